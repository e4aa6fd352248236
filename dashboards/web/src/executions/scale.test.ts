import { expect, it } from "vitest";
import type { Execution } from "../api/types";
import { scaleOf, ticks } from "./scale";

function execution(status: string, startedAt: string | null, completedAt: string | null): Execution {
  return { status, progress: { startedAt, completedAt }, shardResults: [] } as unknown as Execution;
}

it("spans from the first to the last moment", () => {
  const scale = scaleOf(execution("completed", "2026-01-02T12:00:00Z", "2026-01-02T12:01:40Z"), 0);
  expect(scale?.at(Date.parse("2026-01-02T12:00:25Z"))).toBe(0.25);
  expect(scale?.at(0)).toBe(0);
});

it("goes on to the present while it runs", () => {
  const now = Date.parse("2026-01-02T12:10:00Z");
  expect(scaleOf(execution("running", "2026-01-02T12:00:00Z", null), now)?.end).toBe(now);
});

it("is none before anything happened", () => {
  expect(scaleOf(execution("created", null, null), 0)).toBeNull();
});

it.each([1000, 95_000, 3_600_000, 40 * 86_400_000])("has a handful of ticks over %s ms", (length) => {
  const marked = ticks({ begin: 0, end: length, at: (moment) => moment / length });
  expect(marked.length).toBeGreaterThanOrEqual(2);
  expect(marked.length).toBeLessThanOrEqual(9);
});
