/** What charts of a suite draw, from its latest executions; and those of a test, from its latest runs. */

import type { SuitePoint, TestRun } from "../api/types";

/** A run is flaky or not: only several together have a rate that can rise and fall. */
const WINDOW = 10;

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

export interface TestSeries {
  executionIds: readonly string[];
  /** In ms, rising. */
  moments: readonly number[];
  /** In ms. */
  durations: readonly (number | null)[];
  /** How many were flaky of each run and those before it, `WINDOW` together. */
  flaky: readonly number[];
}

/** Runs that come newest first, oldest first. */
export function testSeriesOf(runs: readonly TestRun[]): TestSeries {
  const rising = [...runs].reverse();
  return {
    executionIds: rising.map((run) => run.executionId),
    moments: rising.map((run) => Date.parse(run.endedAt)),
    durations: rising.map((run) => run.duration),
    flaky: rising.map(
      (_, index) => rising.slice(Math.max(index + 1 - WINDOW, 0), index + 1).filter((run) => run.flaky).length,
    ),
  };
}
