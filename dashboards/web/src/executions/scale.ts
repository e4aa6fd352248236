/** From moments to places on a timeline. */

import type { Execution } from "../api/types";

export interface Scale {
  begin: number;
  end: number;
  /** 0 at the begin, 1 at the end. */
  at: (moment: number) => number;
}

const STEPS = [0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400].map(
  (s) => s * 1000,
);
const MOST_TICKS = 8;
/** Further right there is no room for words. */
const LAST_TICK = 0.94;

/** Over all that happened; null while nothing has. */
export function scaleOf(execution: Execution, now: number): Scale | null {
  const moments = execution.shardResults.flatMap((shard) => [shard.startedAt, shard.completedAt]);
  const known = [execution.progress.startedAt, execution.progress.completedAt, ...moments]
    .filter((moment) => moment !== null)
    .map((moment) => Date.parse(moment));
  if (known.length === 0) return null;
  const isRunning =
    execution.status === "running" || execution.shardResults.some((shard) => shard.status === "running");
  const begin = Math.min(...known);
  const end = Math.max(begin + 1000, ...known, isRunning ? now : 0);
  return { begin, end, at: (moment) => Math.min(Math.max((moment - begin) / (end - begin), 0), 1) };
}

/** Where to write what time has passed. */
export function ticks(scale: Scale): { at: number; words: string }[] {
  const length = scale.end - scale.begin;
  const step =
    STEPS.find((one) => length / one <= MOST_TICKS) ?? 86_400_000 * Math.ceil(length / 86_400_000 / MOST_TICKS);
  const marked: { at: number; words: string }[] = [];
  for (let passed = 0; passed <= length * LAST_TICK; passed += step) {
    marked.push({ at: passed / length, words: words(passed / 1000) });
  }
  return marked;
}

/** Short, for many stand side by side: `30 s`, `1:30`, `2:05 h`. */
function words(seconds: number): string {
  if (seconds === 0) return "0";
  if (seconds < 60) return `${seconds} s`;
  const [large, small] = seconds < 3600 ? [seconds / 60, seconds % 60] : [seconds / 3600, (seconds / 60) % 60];
  return `${Math.floor(large)}:${String(Math.floor(small)).padStart(2, "0")}${seconds < 3600 ? "" : " h"}`;
}
