import { describe, expect, it } from "vitest";
import type { EventFrame } from "../api/types";
import { applied, begun, isFinished, saysTooLittle } from "./fold";

const AT = "2026-01-02T12:00:00.000Z";
const LATER = "2026-01-02T12:00:09.000Z";

function event(seq: number, name: string, data: Record<string, unknown>, timestamp = AT): EventFrame {
  return { type: "event", seq, event: name, executionId: "exec_1", timestamp, data };
}

const created = event(1, "execution.created", {
  status: "created",
  triggerSource: null,
  testSuite: "smoke",
  environment: "dev",
  provider: "ci",
  configuration: { shards: 2, parallel: true, browsers: [] },
  metadata: { branch: "main" },
});

function totals(passed: number, failed: number) {
  return { total: passed + failed, passed, failed, skipped: 0, flaky: 0 };
}

function completed(seq: number, shardId: string, passed: number, failed: number): EventFrame {
  const status = failed ? "failed" : "completed";
  return event(seq, "shard.completed", { shardId, status, results: totals(passed, failed), duration: 4000 }, LATER);
}

function folded(...frames: EventFrame[]) {
  return frames.reduce(applied, begun(created));
}

it("begins with all its shards waiting", () => {
  const execution = begun(created);
  expect(execution.shardResults.map((shard) => [shard.shardId, shard.status])).toEqual([
    ["1", "pending"],
    ["2", "pending"],
  ]);
  expect(execution.seq).toBe(1);
});

it("runs when it is started", () => {
  const execution = folded(event(2, "execution.started", { testSuite: "smoke" }));
  expect(execution.status).toBe("running");
  expect(execution.progress.startedAt).toBe(AT);
});

describe("a shard's result", () => {
  it("is counted, and its start told from its duration", () => {
    const execution = folded(completed(2, "1", 3, 1));
    expect(execution.results).toEqual(totals(3, 1));
    expect(execution.progress.shardsCompleted).toBe(1);
    expect(execution.shardResults[0]).toMatchObject({
      status: "failed",
      attempts: 1,
      startedAt: "2026-01-02T12:00:05.000Z",
    });
  });

  it("is counted once when it is sent again", () => {
    const execution = folded(completed(2, "1", 3, 1), completed(3, "1", 4, 0), completed(4, "2", 5, 0));
    expect(execution.results).toEqual(totals(9, 0));
    expect(execution.shardResults[0]?.attempts).toBe(2);
  });

  it("changes nothing when the same event comes again", () => {
    const once = folded(completed(2, "1", 3, 1));
    expect(applied(once, completed(2, "1", 3, 1))).toBe(once);
  });
});

it("grows with each batch that a runner streams, and so does what is done of the plan", () => {
  const state = { mode: "queue" as const, planned: 10, reported: 0, missing: 0, unexpected: 0 };
  const before = {
    ...begun(created),
    plan: { ...state, expectedDuration: 1000, remainingDuration: 1000, leases: 1 },
    shardResults: begun(created).shardResults.map((shard) => ({ ...shard, plan: { ...state, runnerId: "ci-1" } })),
  };
  const news = { ...state, reported: 4 };
  const data = { shardId: "1", status: "running", results: totals(3, 1), plan: news };
  const execution = applied(before, event(2, "shard.progress", data));
  expect(execution.results).toEqual(totals(3, 1));
  expect(execution.shardResults[0]).toMatchObject({ status: "running", plan: { reported: 4, runnerId: "ci-1" } });
  expect(execution.plan).toMatchObject({ reported: 4, remainingDuration: 600 });
});

it("ends with its reason and the shards that were lost", () => {
  const lost = { shardId: "2", status: "lost", results: totals(0, 0) };
  const data = {
    status: "failed",
    reason: "It took too long",
    reasonCode: "timeout",
    duration: 9000,
    shardResults: [lost],
  };
  const execution = folded(completed(2, "1", 1, 0), event(3, "execution.failed", data, LATER));
  expect(isFinished(execution)).toBe(true);
  expect(execution).toMatchObject({ reason: "It took too long", reasonCode: "timeout", deadline: null });
  expect(execution.shardResults.map((shard) => shard.status)).toEqual(["completed", "lost"]);
});

it("knows of an event that is new to it no more than its number", () => {
  const unknown = event(2, "shard.juggled", {});
  expect(folded(unknown).seq).toBe(2);
  expect(saysTooLittle(unknown)).toBe(true);
  expect(saysTooLittle(completed(2, "1", 1, 0))).toBe(false);
});
