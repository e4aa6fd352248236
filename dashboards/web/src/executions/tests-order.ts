/** Which of an execution's tests are listed, and in which order. */

import type { TestRow } from "./test-book";
import { isFlaky } from "./verdict";

export type Order = "status" | "title" | "file" | "shard" | "duration";
const ORDERS: readonly string[] = ["status", "title", "file", "shard", "duration"];

export interface Wanted {
  search: string;
  status: "failed" | "flaky" | "passed" | "skipped" | "";
  /** "" and "all" leave it open. */
  shard: string;
  /** null: as they were reported. */
  order: { by: Order; down: boolean } | null;
}

/** The order that a URL names, such as `-duration`. */
export function orderOf(text: string | null): Wanted["order"] {
  const by = text?.replace(/^-/, "") ?? "";
  return ORDERS.includes(by) ? { by: by as Order, down: text?.startsWith("-") ?? false } : null;
}

export function chosen(tests: readonly TestRow[], wanted: Wanted): readonly TestRow[] {
  const search = wanted.search.trim().toLowerCase();
  const shard = wanted.shard === "all" ? "" : wanted.shard;
  const isOpen = search === "" && wanted.status === "" && shard === "";
  const found = isOpen
    ? tests
    : tests.filter(
        (test) =>
          (shard === "" || test.shardId === shard) &&
          (wanted.status === "" || statusOf(test) === wanted.status) &&
          (search === "" || test.title.toLowerCase().includes(search) || test.file?.toLowerCase().includes(search)),
      );
  const { order } = wanted;
  if (order === null) return found;
  const sign = order.down ? -1 : 1;
  return [...found].sort((one, other) => sign * COMPARE[order.by](one, other));
}

function statusOf(test: TestRow): string {
  return isFlaky(test) ? "flaky" : test.status;
}

const RANK: Record<string, number> = { failed: 0, flaky: 1, passed: 2, skipped: 3 };

const COMPARE: Record<Order, (one: TestRow, other: TestRow) => number> = {
  status: (one, other) => (RANK[statusOf(one)] ?? 0) - (RANK[statusOf(other)] ?? 0),
  title: (one, other) => compareText(one.title, other.title),
  file: (one, other) => compareText(one.file ?? "", other.file ?? ""),
  shard: (one, other) => Number(one.shardId) - Number(other.shardId),
  duration: (one, other) => (one.duration ?? -1) - (other.duration ?? -1),
};

/** By code units: a collator would take a second for 50,000 titles. */
function compareText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
