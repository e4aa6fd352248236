import { describe, expect, it } from "vitest";
import type { TestRow } from "./test-book";
import { chosen, orderOf, type Wanted } from "./tests-order";

function test(ordinal: number, title: string, fields: Partial<TestRow> = {}): TestRow {
  return {
    key: String(ordinal),
    ordinal,
    title,
    file: null,
    status: "passed",
    duration: 1,
    error: null,
    retries: 0,
    tags: [],
    shardId: "1",
    ...fields,
  };
}

const TESTS = [
  test(1, "logs in", { file: "auth.spec.js", duration: 30 }),
  test(2, "Pays", { status: "failed", duration: 20, shardId: "2" }),
  test(3, "ships", { retries: 1, duration: null }),
  test(4, "waits", { status: "skipped", duration: 10 }),
];

function titles(wanted: Partial<Wanted>): string[] {
  return chosen(TESTS, { search: "", status: "", shard: "", order: null, ...wanted }).map((one) => one.title);
}

describe("tests are chosen", () => {
  it("by title and file, in any case", () => {
    expect(titles({ search: "PAY" })).toEqual(["Pays"]);
    expect(titles({ search: "auth." })).toEqual(["logs in"]);
  });
  it("by status, where a flaky one is no passed one", () => {
    expect(titles({ status: "flaky" })).toEqual(["ships"]);
    expect(titles({ status: "passed" })).toEqual(["logs in"]);
  });
  it("by shard", () => expect(titles({ shard: "2" })).toEqual(["Pays"]));
  it("of all shards, where the address names one", () => expect(titles({ shard: "all" })).toHaveLength(4));
});

describe("tests are sorted", () => {
  it("worst first by status", () =>
    expect(titles({ order: orderOf("status") })).toEqual(["Pays", "ships", "logs in", "waits"]));
  it("slowest first by duration down", () =>
    expect(titles({ order: orderOf("-duration") })).toEqual(["logs in", "Pays", "waits", "ships"]));
  it("not at all by an order that there is not", () => expect(orderOf("-nothing")).toBeNull());
});
