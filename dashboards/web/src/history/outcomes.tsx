/** How the latest runs of a test ended, oldest first, as a strip. */

import type { RecentOutcome } from "../api/types";

export function Outcomes({ recent, longest = 30 }: { recent: readonly RecentOutcome[]; longest?: number }) {
  const shown = recent.slice(0, longest).reverse();
  return (
    <span className="outcomes" role="img" aria-label={inWords(shown)} title={inWords(shown)}>
      {shown.map((outcome, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a place in the strip is all that a run is here
        <span key={index} className={outcome} />
      ))}
    </span>
  );
}

export function inWords(recent: readonly RecentOutcome[]): string {
  const numbers = new Map<RecentOutcome, number>();
  for (const outcome of recent) numbers.set(outcome, (numbers.get(outcome) ?? 0) + 1);
  const words = [...numbers].map(([outcome, number]) => `${number} ${outcome}`);
  return `Latest ${recent.length === 1 ? "run" : `${recent.length} runs`}: ${words.join(", ") || "none"}`;
}
