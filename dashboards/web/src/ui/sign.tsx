/** A sign and a word for each outcome: told apart by shape and word, not by colour alone. */

import type { Tone } from "../executions/verdict";

const SHAPES: Record<Tone, string> = {
  passed: "M3.5 8.5l3 3 6-7",
  failed: "M4 4l8 8M12 4l-8 8",
  broken: "M8 3.2v6M8 12v.6",
  flaky: "M2.5 9.5c2-5 4-5 5.5-1.5s3.5 3.5 5.5-1.5",
  skipped: "M4 8h8",
  running: "M5.5 3.8v8.4L12 8z",
  waiting: "M8 4.5V8l2.5 1.6",
  cancelled: "M4.2 11.8l7.6-7.6",
  lost: "M5.8 6a2.2 2.2 0 1 1 3.2 2c-.7.4-1 .8-1 1.5M8 12v.6",
};

const RINGED: ReadonlySet<Tone> = new Set(["broken", "waiting", "cancelled", "lost"]);

export function Sign({ tone }: { tone: Tone }) {
  return (
    <svg className={`sign ${tone}`} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      {RINGED.has(tone) && <circle cx="8" cy="8" r="6.7" />}
      <path d={SHAPES[tone]} className={tone === "running" ? "solid" : undefined} />
    </svg>
  );
}

/** A sign with its word beside it. */
export function Badge({ tone, word, title }: { tone: Tone; word: string; title?: string | undefined }) {
  return (
    <span className={`badge ${tone}`} title={title}>
      <Sign tone={tone} />
      {word}
    </span>
  );
}
