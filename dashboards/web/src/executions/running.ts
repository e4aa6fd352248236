/** The executions that have not ended, kept current by the live stream of all of them while somebody is signed in. */

import { get } from "../api/client";
import { type LiveState, watch } from "../api/live";
import type { Execution, Frame } from "../api/types";
import { Store } from "../ui/store";
import { applied, begun, isFinished, saysTooLittle } from "./fold";

const SHOW_MS = 100;
const MOST = 200;
const UNFINISHED = ["running", "created"] as const;

export interface Running {
  live: LiveState;
  /** Since when the connection is lost, in ms; null while it stands. */
  awaySince: number | null;
  /** Newest first. */
  executions: readonly Execution[];
  /** Raised whenever an execution ends or changes after its end: what lists ended ones has to be read anew. */
  ended: number;
}

export const running = new Store<Running>({ live: "connecting", awaySince: null, executions: [], ended: 0 });

/** Follow all executions until the returned function is called. */
export function follow(): () => void {
  const known = new Map<string, Execution>();
  const reading = new Set<string>();
  let told: Omit<Running, "executions"> = { live: "connecting", awaySince: null, ended: running.get().ended };
  let showing: ReturnType<typeof setTimeout> | undefined;
  let over = false;

  function show(): void {
    showing = undefined;
    const executions = [...known.values()].sort((one, other) => (one.createdAt < other.createdAt ? 1 : -1));
    running.set({ ...told, executions });
  }

  function put(execution: Execution): void {
    const former = known.get(execution.executionId);
    if (former !== undefined && former.seq > execution.seq) return;
    if (isFinished(execution)) {
      known.delete(execution.executionId);
      told = { ...told, ended: told.ended + 1 };
    } else {
      known.set(execution.executionId, execution);
    }
    showing ??= setTimeout(show, SHOW_MS);
  }

  function take(frame: Frame): void {
    if (frame.type === "tests") return;
    if (frame.type === "snapshot") {
      put(frame.execution);
      return;
    }
    const former = known.get(frame.executionId);
    if (former !== undefined) {
      put(applied(former, frame));
      if (saysTooLittle(frame) && known.has(frame.executionId)) void read(frame.executionId);
    } else if (frame.event === "execution.created") {
      put(begun(frame));
    } else {
      told = { ...told, ended: told.ended + 1 };
      showing ??= setTimeout(show, SHOW_MS);
    }
  }

  async function read(executionId: string): Promise<void> {
    if (reading.has(executionId)) return;
    reading.add(executionId);
    await new Promise((go) => setTimeout(go, SHOW_MS)); // events come in bursts
    reading.delete(executionId);
    const execution = await get("/api/executions/{executionId}", { ids: { executionId } }).catch(() => null);
    if (execution !== null && !over) put(execution);
  }

  /** What ended while nobody listened comes in no snapshot. */
  async function reread(): Promise<void> {
    const before = [...known.keys()];
    const pages = await Promise.all(
      UNFINISHED.map((status) => get("/api/executions", { query: { status, limit: MOST } })),
    ).catch(() => null);
    if (over || pages === null) return;
    const unfinished = pages.flatMap((page) => page.executions);
    const there = new Set(unfinished.map((execution) => execution.executionId));
    for (const executionId of before) if (!there.has(executionId)) void read(executionId);
    unfinished.forEach(put);
    told = { ...told, ended: told.ended + 1 };
    showing ??= setTimeout(show, SHOW_MS);
  }

  const stop = watch({
    path: () => "/api/live",
    take,
    opened: (again) => {
      if (again) void reread();
    },
    told: (live) => {
      const awaySince = live === "away" ? (told.awaySince ?? Date.now()) : live === "live" ? null : told.awaySince;
      told = { ...told, live, awaySince };
      showing ??= setTimeout(show, SHOW_MS);
    },
  });
  return () => {
    over = true;
    clearTimeout(showing);
    stop();
    running.set({ live: "connecting", awaySince: null, executions: [], ended: 0 });
  };
}
