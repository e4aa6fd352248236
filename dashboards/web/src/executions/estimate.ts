/** How fast a running execution goes, and how long it may still take. */

import type { Execution, Shard } from "../api/types";
import { isOpen } from "./fold";

export interface Pace {
  /** Tests a second since it started; null before any came. */
  perSecond: number | null;
  /** Milliseconds; null where nothing tells. */
  left: number | null;
}

/**
 * @param now in ms.
 * @param typical how long such an execution takes, in ms: the median of former ones; null if there are none.
 */
export function pace(execution: Execution, now: number, typical: number | null = null): Pace {
  const { startedAt } = execution.progress;
  if (startedAt === null) return { perSecond: null, left: typical };
  const passed = Math.max(now - Date.parse(startedAt), 1);
  const done = execution.results.total;
  return {
    perSecond: done > 0 ? (done * 1000) / passed : null,
    left:
      leftByPlan(execution) ??
      leftByShards(execution, now) ??
      (typical === null ? null : Math.max(typical - passed, 0)),
  };
}

/** What is left of a plan, shared among the runners that are at work. */
function leftByPlan({ plan, shardResults }: Execution): number | null {
  if (plan === undefined) return null;
  const atWork = plan.leases || shardResults.filter((shard) => shard.status === "running").length;
  return atWork === 0 ? null : plan.remainingDuration / atWork;
}

/** The longest wait for a shard, if each open one takes as long as those that ended; null while none has. */
function leftByShards(execution: Execution, now: number): number | null {
  const ended = execution.shardResults.filter((shard) => !isOpen(shard) && shard.duration !== null);
  const usual = median(ended.map((shard) => shard.duration ?? 0));
  if (usual === null) return null;
  return Math.max(0, ...execution.shardResults.filter(isOpen).map((shard) => usual - elapsed(shard, now)));
}

function elapsed(shard: Shard, now: number): number {
  return shard.startedAt === null ? 0 : now - Date.parse(shard.startedAt);
}

export function median(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? high : (high + (sorted[middle - 1] ?? high)) / 2;
}
