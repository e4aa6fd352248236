/** The executions that have not ended, kept current by the live stream of all of them while somebody is signed in. */

import { get, isPassing, Refusal } from "../api/client";
import { watch } from "../api/live";
import { Reading } from "../api/reading";
import type { Execution, Frame } from "../api/types";
import { Store } from "../ui/store";
import { begun, Followed, isFinished } from "./fold";

const SHOW_MS = 100;
const MOST = 200;
/** How many ended executions are remembered: no answer that was under way for longer comes back. */
const MOST_ENDED = 1000;
const UNFINISHED = ["running", "created"] as const;

export interface Running {
  /** Newest first. */
  executions: readonly Execution[];
  /** Raised whenever an execution ends or changes after its end: what lists ended ones has to be read anew. */
  ended: number;
}

export const running = new Store<Running>({ executions: [], ended: 0 });

/** Follow all executions until the returned function is called. */
export function follow(): () => void {
  const known = new Map<string, Followed>();
  /** Those that have ended, oldest first: what is read of them may be older than that. */
  const over = new Set<string>();
  const unread = new Set<string>();
  const readings = { one: new Reading(readUnread), all: new Reading(readAll) };
  let { ended } = running.get();
  let showing: ReturnType<typeof setTimeout> | undefined;

  function show(): void {
    showing = undefined;
    const executions = [...known.values()].map(({ state }) => state);
    running.set({ executions: executions.sort((one, other) => (one.createdAt < other.createdAt ? 1 : -1)), ended });
  }

  function changed(): void {
    showing ??= setTimeout(show, SHOW_MS);
  }

  function hasEnded(executionId: string): void {
    known.delete(executionId);
    over.delete(executionId);
    over.add(executionId);
    for (const oldest of over) {
      if (over.size <= MOST_ENDED) break;
      over.delete(oldest);
    }
    ended += 1;
    changed();
  }

  /** Take an execution as it was read or sent. */
  function put(execution: Execution): void {
    const { executionId } = execution;
    const followed = known.get(executionId) ?? new Followed(execution);
    followed.read(execution);
    if (isFinished(followed.state)) {
      hasEnded(executionId);
    } else if (!over.has(executionId)) {
      known.set(executionId, followed);
      changed();
    }
  }

  function take(frame: Frame): void {
    if (frame.type === "tests") return;
    if (frame.type === "snapshot") {
      put(frame.execution);
      return;
    }
    const { executionId } = frame;
    const followed = known.get(executionId);
    if (followed !== undefined) {
      const isVague = followed.take(frame);
      if (isFinished(followed.state)) hasEnded(executionId);
      else if (isVague) read(executionId);
      changed();
    } else if (frame.event === "execution.created") {
      put(begun(frame));
    } else {
      ended += 1; // only what has ended is told of without being known
      changed();
    }
  }

  function read(executionId: string): void {
    unread.add(executionId);
    readings.one.ask();
  }

  async function readUnread(signal: AbortSignal): Promise<void> {
    const wanted = [...unread];
    unread.clear();
    await Promise.all(wanted.map((executionId) => readOne(executionId, signal)));
  }

  async function readOne(executionId: string, signal: AbortSignal): Promise<void> {
    try {
      put(await get("/api/executions/{executionId}", { ids: { executionId }, signal }));
    } catch (error) {
      if (error instanceof Refusal && error.status === 404) return hasEnded(executionId);
      if (isPassing(error)) unread.add(executionId);
      throw error;
    }
  }

  /** What ended while nobody listened comes in no snapshot. */
  async function readAll(signal: AbortSignal): Promise<void> {
    const before = [...known.keys()];
    const pages = await Promise.all(
      UNFINISHED.map((status) => get("/api/executions", { query: { status, limit: MOST }, signal })),
    );
    const unfinished = pages.flatMap((page) => page.executions);
    unfinished.forEach(put);
    const there = new Set(unfinished.map(({ executionId }) => executionId));
    for (const executionId of before) if (known.has(executionId) && !there.has(executionId)) read(executionId);
    ended += 1;
    changed();
  }

  const stop = watch({
    path: () => "/api/live",
    take,
    opened: (again) => {
      if (again) readings.all.ask();
      readings.all.retry();
      readings.one.retry();
    },
    told: () => {},
  });
  return () => {
    clearTimeout(showing);
    stop();
    readings.one.stop();
    readings.all.stop();
    running.set({ executions: [], ended: 0 });
  };
}
