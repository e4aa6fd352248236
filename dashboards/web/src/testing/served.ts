/** An execution as a server has it: what happens to it, what is true then, and what it answers and sends. */

import type { Execution, LoggedEvent, Shard, Test, TestsFrame, Totals } from "../api/types";
import { begun } from "../executions/fold";

const AT = "2026-01-02T12:00:00.000Z";

export class ServedExecution {
  readonly events: LoggedEvent[] = [];
  readonly frames: TestsFrame[] = [];
  state: Execution;
  readonly #tests = new Map<string, Test[]>();

  constructor(
    readonly id = "exec_1",
    { isPlanned = true } = {},
  ) {
    const configuration = { shards: 2, parallel: true, browsers: [] };
    const data = { testSuite: "smoke", environment: "dev", provider: "ci", metadata: null, configuration };
    const created = { seq: 1, event: "execution.created", timestamp: AT, executionId: id, data };
    this.events.push(created);
    const shares = { planned: 10, reported: 0, missing: 0, unexpected: 0 };
    const plan = { ...shares, mode: "queue" as const, expectedDuration: 1000, remainingDuration: 1000, leases: 0 };
    this.state = { ...begun({ ...created, type: "event" }), ...(isPlanned && { plan }) };
  }

  start(): void {
    this.#happen("execution.started", {}, { status: "running", progress: { ...this.state.progress, startedAt: AT } });
  }

  /** Of which the event does not tell all that it changes. */
  claim(): void {
    const { plan } = this.state;
    this.#happen("shard.claimed", { shardId: "2" }, plan && { plan: { ...plan, leases: plan.leases + 1 } });
  }

  /** A shard tells of tests before its result. */
  stream(shardId: string, ...titles: string[]): void {
    const results = allPassed(titles.length);
    const shardResults = this.state.shardResults.map((shard) =>
      shard.shardId === shardId ? { ...shard, status: "running" as const, results } : shard,
    );
    this.#happen("shard.progress", { shardId, status: "running", results }, { shardResults, results });
    this.#tests.set(shardId, this.#report(shardId, titles));
  }

  /** A shard's result takes the place of its former one. */
  complete(shardId: string, ...titles: string[]): void {
    const results = allPassed(titles.length);
    const change = (shard: Shard): Shard => ({
      ...{ ...shard, status: "completed", results, duration: 1000, completedAt: AT, attempts: shard.attempts + 1 },
      startedAt: "2026-01-02T11:59:59.000Z",
    });
    const shardResults = this.state.shardResults.map((shard) => (shard.shardId === shardId ? change(shard) : shard));
    const ended = shardResults.filter((shard) => shard.status === "completed");
    const total = shardResults.reduce((sum, shard) => sum + shard.results.total, 0);
    const data = { shardId, status: "completed", results, duration: 1000 };
    this.#happen("shard.completed", data, {
      shardResults,
      results: { ...results, total, passed: total },
      progress: { ...this.state.progress, shardsCompleted: ended.length },
    });
    this.#tests.set(shardId, this.#report(shardId, titles));
  }

  end(): void {
    const progress = { ...this.state.progress, completedAt: AT, duration: 1000 };
    this.#happen("execution.completed", { status: "completed", duration: 1000 }, { status: "completed", progress });
  }

  /** What it answers to a request at the moment. */
  answer({ pathname, searchParams }: URL): unknown {
    if (pathname.endsWith("/events")) {
      const after = Number(searchParams.get("after"));
      return { events: this.events.slice(after, after + Number(searchParams.get("limit"))), lastSeq: this.state.seq };
    }
    if (pathname.endsWith("/tests")) return { tests: this.tests(searchParams.get("shard")), nextCursor: null };
    if (pathname.endsWith(this.id)) return this.state;
    const { status } = this.state;
    return { executions: searchParams.get("status") === status ? [this.state] : [], nextCursor: null };
  }

  /** The tests that count, of one shard or of all. */
  tests(shardId: string | null = null): Test[] {
    const shards = [...this.#tests].sort(([one], [other]) => Number(one) - Number(other));
    return shards.filter(([id]) => shardId === null || id === shardId).flatMap(([, tests]) => tests);
  }

  /** Send tests; returns them as they are stored. */
  #report(shardId: string, titles: string[]): Test[] {
    const tests = titles.map((title, index) => ({
      ...{ title, file: null, status: "passed" as const, duration: 1, error: null, retries: 0, tags: [] },
      ordinal: index + 1,
    }));
    this.frames.push({ type: "tests", n: this.frames.length + 1, shardId, tests });
    const stored = { shardId, submissionId: `sub_${this.state.seq}`, attempt: null, details: null };
    return tests.map((test) => ({ ...test, ...stored, testId: `test_${test.title}` }));
  }

  #happen(event: string, data: object, change: Partial<Execution> = {}): void {
    const seq = this.state.seq + 1;
    this.events.push({ seq, event, timestamp: AT, executionId: this.id, data });
    this.state = { ...this.state, ...change, seq };
  }
}

function allPassed(tests: number): Totals {
  return { total: tests, passed: tests, failed: 0, skipped: 0, flaky: 0 };
}
