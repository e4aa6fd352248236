/** What an execution is after an event: the same state that the server would print, without asking it each time. */

import type { EventFrame, Execution, LoggedEvent, Plan, Shard, ShardPlan, ShardStatus, Totals } from "../api/types";

const OPEN_SHARD: readonly ShardStatus[] = ["pending", "running"];
export const NO_TOTALS: Totals = { total: 0, passed: 0, failed: 0, skipped: 0, flaky: 0 };

/** Events that say all that they change; after any other one the state has to be read from the server. */
const TELLING = new Set([
  "execution.created",
  "execution.started",
  "execution.progress",
  "shard.started",
  "shard.progress",
  "shard.completed",
]);

export function isFinished(execution: Execution): boolean {
  return execution.status !== "created" && execution.status !== "running";
}

export function isOpen(shard: Shard): boolean {
  return OPEN_SHARD.includes(shard.status);
}

/** Whether the state has to be read again to know all that an event changed. */
export function saysTooLittle({ event }: { event: string }): boolean {
  return !TELLING.has(event);
}

/**
 * An execution that is told of by events, in order, and by readings that come whenever they come. Neither takes back
 * what the other told: a reading that is older than the last event is followed by the events after it.
 */
export class Followed {
  #state: Execution;
  /** Events from the first one on that says too little and that no reading has told of yet. */
  #unread: LoggedEvent[] = [];

  constructor(state: Execution) {
    this.#state = state;
  }

  get state(): Execution {
    return this.#state;
  }

  /** Take an event, unless it is part of the state; returns whether the state has to be read to know what changed. */
  take(event: LoggedEvent): boolean {
    const { seq } = this.#state;
    if (event.seq !== seq + 1) return event.seq > seq;
    this.#state = applied(this.#state, event);
    const isVague = saysTooLittle(event);
    if (isVague || this.#unread.length > 0) this.#unread.push(event);
    return isVague;
  }

  /** Take what was read of it; what tells nothing new is left. */
  read(state: Execution): void {
    const since = this.#unread[0]?.seq ?? this.#state.seq;
    if (state.seq < since) return;
    const later = this.#unread.filter((event) => event.seq > state.seq);
    this.#state = later.reduce(applied, state);
    this.#unread = later.some(saysTooLittle) ? later.slice(later.findIndex(saysTooLittle)) : [];
  }
}

/** The state after an event; the same one where the event is part of it already. */
export function applied(execution: Execution, event: LoggedEvent): Execution {
  if (event.seq <= execution.seq) return execution;
  const next: Execution = { ...execution, seq: event.seq };
  const { timestamp } = event;
  const data = event.data as EventFrame["data"];
  switch (event.event) {
    case "execution.started":
      return { ...started(next, timestamp), status: "running" };
    case "execution.progress":
      return { ...next, results: (data.results as Totals | undefined) ?? next.results };
    case "shard.started":
      return started(
        withShard(next, String(data.shardId), (shard) => ({
          ...shard,
          status: "running",
          startedAt: (data.startedAt as string | null) ?? timestamp,
          completedAt: null,
        })),
        timestamp,
      );
    case "shard.progress":
      return planned(
        withShard(started(next, timestamp), String(data.shardId), (shard) => ({
          ...shard,
          status: data.status as ShardStatus,
          results: data.results as Totals,
          ...(shard.plan && { plan: { ...shard.plan, reported: reported(shard.plan, data.results as Totals) } }),
        })),
        data.plan as Partial<Plan> | undefined,
      );
    case "shard.completed":
      return withShard(next, String(data.shardId), (shard) => ({
        ...shard,
        status: data.status as ShardStatus,
        results: data.results as Totals,
        duration: data.duration as number | null,
        startedAt: startOf(shard, data.duration as number | null, timestamp),
        completedAt: timestamp,
        attempts: shard.attempts + 1,
      }));
    case "execution.completed":
    case "execution.failed":
    case "execution.cancelled":
      return ended(next, data, timestamp);
    default:
      return next;
  }
}

function started(execution: Execution, at: string): Execution {
  if (execution.progress.startedAt !== null) return execution;
  return { ...execution, progress: { ...execution.progress, startedAt: at } };
}

/** Where a shard was not told of before its result, its duration tells when it began. */
function startOf(shard: Shard, duration: number | null, endedAt: string): string | null {
  if (shard.startedAt !== null && shard.attempts === 0) return shard.startedAt;
  return duration === null ? shard.startedAt : new Date(Date.parse(endedAt) - duration).toISOString();
}

function withShard(execution: Execution, shardId: string, change: (shard: Shard) => Shard): Execution {
  const shardResults = execution.shardResults.map((shard) => (shard.shardId === shardId ? change(shard) : shard));
  const ended = shardResults.filter((shard) => !isOpen(shard));
  return {
    ...execution,
    shardResults,
    results: shardResults.map((shard) => shard.results).reduce(sum, NO_TOTALS),
    progress: { ...execution.progress, shardsCompleted: ended.length },
  };
}

function sum(one: Totals, other: Totals): Totals {
  return {
    total: one.total + other.total,
    passed: one.passed + other.passed,
    failed: one.failed + other.failed,
    skipped: one.skipped + other.skipped,
    flaky: one.flaky + other.flaky,
  };
}

/** With the news of a plan; what is left of it shrinks with the tests that are left. */
function planned(execution: Execution, news: Partial<Plan> | undefined): Execution {
  const { plan } = execution;
  if (plan === undefined || news === undefined) return execution;
  const next = { ...plan, ...news };
  const share = (next.planned - next.reported) / Math.max(plan.planned - plan.reported, 1);
  return {
    ...execution,
    plan: { ...next, remainingDuration: Math.round(plan.remainingDuration * Math.min(share, 1)) },
  };
}

function reported(plan: ShardPlan, results: Totals): number {
  return Math.min(plan.planned, results.total - plan.unexpected);
}

function ended(execution: Execution, data: EventFrame["data"], timestamp: string): Execution {
  const told = new Map(((data.shardResults as Shard[] | undefined) ?? []).map((shard) => [shard.shardId, shard]));
  return {
    ...execution,
    status: data.status as Execution["status"],
    results: (data.results as Totals | undefined) ?? execution.results,
    shardResults: execution.shardResults.map((shard) => ({ ...shard, ...told.get(shard.shardId) })),
    progress: {
      ...execution.progress,
      completedAt: timestamp,
      duration: (data.duration as number | null | undefined) ?? execution.progress.duration,
    },
    deadline: null,
    reason: (data.reason as string | undefined) ?? null,
    reasonCode: (data.reasonCode as Execution["reasonCode"] | undefined) ?? null,
  };
}

/** An execution as it begins, from its first event. */
export function begun(frame: EventFrame): Execution {
  const { data } = frame;
  const configuration = data.configuration as { shards: number; parallel: boolean; browsers: [] };
  const shards = Array.from(
    { length: configuration.shards },
    (_, index): Shard => ({
      shardId: String(index + 1),
      status: "pending",
      results: NO_TOTALS,
      startedAt: null,
      completedAt: null,
      duration: null,
      attempts: 0,
    }),
  );
  const id = frame.executionId;
  return {
    executionId: id,
    status: "created",
    progress: { startedAt: null, completedAt: null, duration: null, shardsCompleted: 0, totalShards: shards.length },
    results: NO_TOTALS,
    shardResults: shards,
    artifacts: { reportUrl: `/reports/${id}`, logsUrl: `/logs/${id}`, artifactsUrl: `/artifacts/${id}` },
    testSuite: data.testSuite as Execution["testSuite"],
    environment: data.environment as Execution["environment"],
    provider: String(data.provider),
    triggerSource: (data.triggerSource ?? null) as Execution["triggerSource"],
    configuration: { timeout: 0, retries: 0, ...configuration },
    metadata: data.metadata ?? null,
    createdAt: frame.timestamp,
    deadline: null,
    reason: null,
    reasonCode: null,
    seq: frame.seq,
  };
}
