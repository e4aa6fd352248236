/** All tests of an execution that came so far, from live frames and from pages of the API. */

import type { LiveTest, Test, TestsFrame } from "../api/types";

/** A test of a shard; those of live frames lack what only a page has. */
export type TestRow = LiveTest & { key: string; shardId: string } & Partial<Test>;

export function rowOf(test: Test): TestRow {
  return { ...test, key: `${test.submissionId}.${test.ordinal}` };
}

export class TestBook {
  readonly #shards = new Map<string, Map<string, TestRow>>();
  #listed: readonly TestRow[] | null = [];

  /** Add the tests of a frame, which comes once. */
  addFrame({ n, shardId, tests }: TestsFrame): void {
    const shard = this.#shard(shardId);
    for (const [index, test] of tests.entries()) {
      const key = `${n}.${index}`;
      shard.set(key, { ...test, shardId, key });
    }
    this.#listed = null;
  }

  /** Add a page of tests; one that was read before is there once. */
  addPage(tests: readonly Test[]): void {
    for (const row of tests.map(rowOf)) this.#shard(row.shardId).set(row.key, row);
    this.#listed = null;
  }

  /** Forget what a shard reported before; without a shard, everything. */
  clear(shardId?: string): void {
    if (shardId === undefined) this.#shards.clear();
    else this.#shards.delete(shardId);
    this.#listed = null;
  }

  /** Whether `all` is another list than it was. */
  get hasNews(): boolean {
    return this.#listed === null;
  }

  /** In the order of shards and reports; the same list until something changes. */
  all(): readonly TestRow[] {
    if (this.#listed === null) {
      const shards = [...this.#shards].sort(([one], [other]) => Number(one) - Number(other));
      this.#listed = shards.flatMap(([, tests]) => [...tests.values()]);
    }
    return this.#listed;
  }

  #shard(shardId: string): Map<string, TestRow> {
    let shard = this.#shards.get(shardId);
    if (shard === undefined) {
      shard = new Map();
      this.#shards.set(shardId, shard);
    }
    return shard;
  }
}
