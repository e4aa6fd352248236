/** What charts of a suite draw, from its latest executions. */

import type { SuitePoint } from "../api/types";

export interface Series {
  executionIds: readonly string[];
  /** In ms, rising. */
  moments: readonly number[];
  passRates: readonly (number | null)[];
  /** In ms. */
  durations: readonly (number | null)[];
  failed: readonly number[];
  flaky: readonly number[];
}

/** The points, oldest first; those that were called off say nothing of the suite. */
export function seriesOf(points: readonly SuitePoint[]): Series {
  const told = points.filter((point) => point.status !== "cancelled").reverse();
  return {
    executionIds: told.map((point) => point.executionId),
    moments: told.map((point) => Date.parse(point.endedAt)),
    passRates: told.map((point) => point.passRate),
    durations: told.map((point) => point.duration),
    failed: told.map((point) => point.results.failed),
    flaky: told.map((point) => point.results.flaky),
  };
}
