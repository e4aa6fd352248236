import { expect, it } from "vitest";
import type { SuitePoint, TestRun } from "../api/types";
import { inWords } from "./outcomes";
import { seriesOf, testSeriesOf } from "./series";

function point(executionId: string, fields: Partial<SuitePoint>): SuitePoint {
  return {
    executionId,
    endedAt: "2026-01-02T12:00:00Z",
    status: "completed",
    duration: 1000,
    results: { total: 4, passed: 3, failed: 1, skipped: 0, flaky: 2 },
    passRate: 0.75,
    ...fields,
  };
}

it("goes from the oldest to the newest, without those that were called off", () => {
  const newest = point("exec_3", { endedAt: "2026-01-03T12:00:00Z", passRate: null, duration: null });
  const series = seriesOf([newest, point("exec_2", { status: "cancelled" }), point("exec_1", {})]);
  expect(series.executionIds).toEqual(["exec_1", "exec_3"]);
  expect(series.passRates).toEqual([0.75, null]);
  expect(series.durations).toEqual([1000, null]);
  expect(series.failed).toEqual([1, 1]);
  expect(series.flaky).toEqual([2, 2]);
  expect(series.moments[0]).toBeLessThan(series.moments[1] ?? 0);
});

it("says in words how runs ended", () => {
  expect(inWords(["passed", "failed", "passed"])).toBe("Latest 3 runs: 2 passed, 1 failed");
  expect(inWords([])).toBe("Latest 0 runs: none");
});

it("counts the flaky ones of the ten runs up to each", () => {
  const run = (number: number) =>
    ({
      executionId: `exec_${number}`,
      endedAt: new Date(number).toISOString(),
      duration: number,
      flaky: number <= 2,
    }) as TestRun;
  const newestFirst = Array.from({ length: 12 }, (_, index) => run(12 - index));
  const series = testSeriesOf(newestFirst);
  expect(series.flaky).toEqual([1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 0]);
  expect(series.durations).toEqual(series.moments);
  expect(series.executionIds[0]).toBe("exec_1");
});
