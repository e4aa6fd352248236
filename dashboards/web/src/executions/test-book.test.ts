import { expect, it } from "vitest";
import type { LiveTest, Test, TestsFrame } from "../api/types";
import { TestBook } from "./test-book";

function test(ordinal: number, title: string): LiveTest {
  return { ordinal, title, file: null, status: "passed", duration: 1, error: null, retries: 0, tags: [] };
}

function frame(n: number, shardId: string, ...tests: LiveTest[]): TestsFrame {
  return { type: "tests", n, shardId, tests };
}

function titles(book: TestBook): string[] {
  return book.all().map((one) => one.title);
}

it("lists tests by shard, whenever they came", () => {
  const book = new TestBook();
  book.addFrame(frame(1, "10", test(1, "c")));
  book.addFrame(frame(2, "2", test(1, "a"), test(2, "b")));
  expect(titles(book)).toEqual(["a", "b", "c"]);
  expect(book.all()).toBe(book.all());
});

it("keeps every batch of a shard that reports as it goes, though each counts from one", () => {
  const book = new TestBook();
  book.addFrame(frame(1, "1", test(1, "a")));
  book.addFrame(frame(2, "1", test(1, "b")));
  expect(titles(book)).toEqual(["a", "b"]);
  expect(new Set(book.all().map((one) => one.key)).size).toBe(2);
});

it("takes pages in the place of what a shard reported before", () => {
  const book = new TestBook();
  book.addFrame(frame(1, "1", test(1, "a"), test(2, "b")));
  book.addFrame(frame(2, "2", test(1, "c")));
  book.clear("1");
  const page = [{ ...test(1, "A"), shardId: "1", submissionId: "sub_2" } as Test];
  book.addPage(page);
  book.addPage(page);
  expect(titles(book)).toEqual(["A", "c"]);
});
