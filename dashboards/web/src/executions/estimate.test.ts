import { expect, it } from "vitest";
import type { Execution, Shard } from "../api/types";
import { median, pace } from "./estimate";

const START = Date.parse("2026-01-02T12:00:00Z");

function shard(shardId: string, duration: number | null): Shard {
  return {
    shardId,
    status: duration === null ? "running" : "completed",
    results: { total: 0, passed: 0, failed: 0, skipped: 0, flaky: 0 },
    startedAt: new Date(START).toISOString(),
    completedAt: null,
    duration,
    attempts: 0,
  };
}

function running(total: number, ...shardResults: Shard[]): Execution {
  return {
    progress: { startedAt: new Date(START).toISOString() },
    results: { total },
    shardResults,
  } as Execution;
}

it("counts tests a second since the start", () => {
  expect(pace(running(50), START + 10_000).perSecond).toBe(5);
  expect(pace(running(0), START + 10_000).perSecond).toBeNull();
});

it("takes open shards to last as long as those that ended", () => {
  expect(pace(running(1, shard("1", 30_000), shard("2", null)), START + 10_000).left).toBe(20_000);
  expect(pace(running(1, shard("1", 30_000), shard("2", null)), START + 40_000).left).toBe(0);
});

it("shares what is left of a plan among the runners", () => {
  const plan = { remainingDuration: 60_000, leases: 3 } as Execution["plan"];
  expect(pace({ ...running(1, shard("1", null)), plan } as Execution, START + 10_000).left).toBe(20_000);
});

it("goes by former executions until a shard has ended", () => {
  expect(pace(running(1, shard("1", null)), START + 10_000, 60_000).left).toBe(50_000);
  expect(pace(running(1, shard("1", null)), START + 10_000).left).toBeNull();
});

it("has a median of none, odd and even numbers", () => {
  expect([median([]), median([3, 1, 2]), median([4, 1, 2, 3])]).toEqual([null, 2, 2.5]);
});
