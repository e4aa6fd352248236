/** What came of an execution, in a word and a sentence. */

import type { Execution, ShardStatus, TestStatus } from "../api/types";
import { count, plural } from "../ui/words";

/** A look: its colour and its sign, which are told apart without the colour too. */
export type Tone = "passed" | "failed" | "broken" | "flaky" | "skipped" | "running" | "waiting" | "cancelled" | "lost";

export interface Verdict {
  tone: Tone;
  word: string;
}

export function verdict(execution: Execution): Verdict {
  switch (execution.status) {
    case "created":
      return { tone: "waiting", word: "Waiting" };
    case "running":
      return execution.results.failed > 0
        ? { tone: "running", word: `Running, ${count(execution.results.failed)} failed` }
        : { tone: "running", word: "Running" };
    case "cancelled":
      return { tone: "cancelled", word: "Cancelled" };
    case "failed":
      return { tone: "broken", word: "Broken" };
    case "completed":
      if (execution.results.failed > 0) return { tone: "failed", word: `${count(execution.results.failed)} failed` };
      return execution.reasonCode === "incomplete"
        ? { tone: "broken", word: "Incomplete" }
        : { tone: "passed", word: "Passed" };
  }
}

/** The headline: one sentence that says it all. */
export function headline(execution: Execution): string {
  const { results, progress } = execution;
  const tests = results.total > 0 ? plural(results.total, "test") : "no tests";
  switch (execution.status) {
    case "created":
      return "No runner has reported yet.";
    case "running":
      return `${count(progress.shardsCompleted)} of ${plural(progress.totalShards, "shard")} done, ${tests} so far.`;
    case "cancelled":
      return execution.reason ?? "It was called off.";
    case "failed":
      return execution.reason ?? "It could not be carried out.";
    case "completed": {
      const outcome =
        results.failed > 0
          ? `${count(results.failed)} of ${tests} failed`
          : results.total > 0
            ? `All of ${tests} passed or were skipped`
            : "No tests were reported";
      const flaky = results.flaky > 0 ? `, ${count(results.flaky)} passed only when tried again` : "";
      return `${outcome}${flaky}.${execution.reason === null ? "" : ` ${execution.reason}`}`;
    }
  }
}

export const SHARD_TONES: Record<ShardStatus, Verdict> = {
  pending: { tone: "waiting", word: "waiting" },
  running: { tone: "running", word: "running" },
  completed: { tone: "passed", word: "passed" },
  failed: { tone: "failed", word: "failed" },
  error: { tone: "broken", word: "broken" },
  lost: { tone: "lost", word: "lost" },
  cancelled: { tone: "cancelled", word: "cancelled" },
};

export const TEST_TONES: Record<TestStatus, Tone> = { passed: "passed", failed: "failed", skipped: "skipped" };

export function isFlaky(test: { status: TestStatus; retries: number | null }): boolean {
  return test.status === "passed" && (test.retries ?? 0) > 0;
}

/** A field of the free metadata, where it is a plain value. */
export function metadata(execution: Execution, name: string): string | null {
  const free = execution.metadata;
  if (typeof free !== "object" || free === null || !(name in free)) return null;
  const value = (free as Record<string, unknown>)[name];
  return typeof value === "string" || typeof value === "number" ? String(value) : null;
}
