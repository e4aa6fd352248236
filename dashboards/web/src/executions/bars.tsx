/** Bars: how tests came out, and how far each shard is. */

import type { Execution, Shard, Totals } from "../api/types";
import { count, duration, plural } from "../ui/words";
import { SHARD_TONES } from "./verdict";

const PARTS = ["failed", "flaky", "passed", "skipped"] as const;

function parts(totals: Totals): [(typeof PARTS)[number], number][] {
  const flaky = Math.min(totals.flaky, totals.passed); // a flaky test has passed, and is counted as that too
  const numbers = { ...totals, flaky, passed: totals.passed - flaky };
  return PARTS.map((part): [(typeof PARTS)[number], number] => [part, numbers[part]]).filter(
    ([, number]) => number > 0,
  );
}

export function totalsInWords(totals: Totals): string {
  const words = parts(totals).map(([part, number]) => `${count(number)} ${part}`);
  return words.length > 0 ? words.join(", ") : "no tests";
}

/** How tests came out, as shares of what is around it. */
export function Mix({ totals }: { totals: Totals }) {
  return (
    <span className="mix">
      {parts(totals).map(([part, number]) => (
        <span key={part} className={part} style={{ flexGrow: number }} />
      ))}
    </span>
  );
}

export function OutcomeBar({ totals }: { totals: Totals }) {
  return (
    <span className="outcome" role="img" aria-label={totalsInWords(totals)} title={totalsInWords(totals)}>
      <Mix totals={totals} />
    </span>
  );
}

/** One bar a shard, in order. */
export function ShardBars({ execution }: { execution: Execution }) {
  const shards = execution.shardResults;
  const done = `${execution.progress.shardsCompleted} of ${plural(shards.length, "shard")} done`;
  return (
    <span className={shards.length > 40 ? "shards many" : "shards"} role="img" aria-label={done}>
      {shards.map((shard) => (
        <span key={shard.shardId} className={`shard ${SHARD_TONES[shard.status].tone}`} title={shardInWords(shard)}>
          {isEnded(shard) ? (
            <Mix totals={shard.results} />
          ) : (
            shard.status !== "pending" && <span className="fill" style={{ width: `${share(shard) * 100}%` }} />
          )}
        </span>
      ))}
    </span>
  );
}

/** Whether its tests tell how it went. */
export function isEnded({ status, results }: Shard): boolean {
  return (status === "completed" || status === "failed") && results.total > 0;
}

/** How much of a shard is done; all of its bar moves where that is not known. */
function share({ status, plan }: Shard): number {
  return status === "running" && plan !== undefined && plan.planned > 0 ? plan.reported / plan.planned : 1;
}

export function shardInWords(shard: Shard): string {
  const again = shard.attempts > 1 ? `, result number ${shard.attempts}` : "";
  const time = shard.duration === null ? "" : `, ${duration(shard.duration)}`;
  return `Shard ${shard.shardId}: ${SHARD_TONES[shard.status].word}, ${totalsInWords(shard.results)}${time}${again}`;
}
