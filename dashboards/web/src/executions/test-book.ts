/** All tests of an execution that came so far, from live frames and from pages of the API. */

import type { LiveTest, Test } from "../api/types";

/** A test of a shard; those of live frames lack what only a page has. */
export type TestRow = LiveTest & { shardId: string } & Partial<Test>;

export class TestBook {
  readonly #shards = new Map<string, Map<number, TestRow>>();
  /** Those shards in order that have not changed since they were last listed. */
  readonly #sorted = new Map<string, readonly TestRow[]>();
  #listed: readonly TestRow[] | null = [];

  /** Add or replace tests, each by its place in its shard. */
  add(shardId: string, tests: readonly LiveTest[]): void {
    let shard = this.#shards.get(shardId);
    if (shard === undefined) {
      shard = new Map();
      this.#shards.set(shardId, shard);
    }
    for (const test of tests) shard.set(test.ordinal, { ...test, shardId });
    this.#sorted.delete(shardId);
    this.#listed = null;
  }

  /** Forget what a shard reported before; without a shard, everything. */
  clear(shardId?: string): void {
    for (const forgotten of shardId === undefined ? [...this.#shards.keys()] : [shardId]) {
      this.#shards.delete(forgotten);
      this.#sorted.delete(forgotten);
    }
    this.#listed = null;
  }

  /** In the order of shard and report; the same list until something changes. */
  all(): readonly TestRow[] {
    if (this.#listed === null) {
      const rows: TestRow[] = [];
      for (const shardId of [...this.#shards.keys()].sort((one, other) => Number(one) - Number(other))) {
        for (const test of this.#inOrder(shardId)) rows.push(test);
      }
      this.#listed = rows;
    }
    return this.#listed;
  }

  #inOrder(shardId: string): readonly TestRow[] {
    let sorted = this.#sorted.get(shardId);
    if (sorted === undefined) {
      sorted = [...(this.#shards.get(shardId)?.values() ?? [])].sort((one, other) => one.ordinal - other.ordinal);
      this.#sorted.set(shardId, sorted);
    }
    return sorted;
  }
}
