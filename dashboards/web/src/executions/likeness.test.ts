import { describe, expect, it } from "vitest";
import { grouped, likeness } from "./likeness";

describe("errors are alike", () => {
  it.each([
    ["Timeout 3000 ms exceeded", "Timeout 5000 ms exceeded"],
    ["expected 'anna' to be 'bert'", "expected 'carl' to be 'dora'"],
    ["lost connection 0x7f3a to 10.0.0.1:80", "lost connection 0x81bc to 10.0.0.2:81"],
    ["no row 3f2504e0-4f89-41d3-9a0c-0305e82c3301", "no row 4a2504e0-4f89-41d3-9a0c-0305e82c3302"],
    ["\u001b[31mAssertionError\u001b[0m: 1 != 2\n at a.js:1", "AssertionError: 3 != 4\n at b.js:9"],
  ])("%s and %s", (one, other) => expect(likeness(one)).toBe(likeness(other)));
});

describe("errors are not alike", () => {
  it.each([
    ["Timeout exceeded", "Connection refused"],
    ["KeyError: id", "ValueError: id"],
  ])("%s and %s", (one, other) => expect(likeness(one)).not.toBe(likeness(other)));
});

it("names the end of a Python stack trace", () => {
  expect(
    likeness('Traceback (most recent call last):\n  File "a.py", line 3, in f\n    g()\nValueError: 5 is odd\n'),
  ).toBe("ValueError: # is odd");
});

it("names the marked line of a pytest failure", () => {
  expect(
    likeness("def test_sum():\n>       assert total == 3\nE       assert 4 == 3\n\ntests/a.py:3: AssertionError"),
  ).toBe("assert # == #");
});

it("has a word for tests without an error", () => {
  expect(likeness(null)).toBe(likeness("  \n"));
});

it("puts the largest group first", () => {
  const tests = ["a is 1", "timeout", "a is 2"].map((error) => ({ error }));
  expect(grouped(tests).map((group) => [group.likeness, group.tests.length])).toEqual([
    ["a is #", 2],
    ["timeout", 1],
  ]);
});

it("takes long and hostile text in its stride", () => {
  expect(likeness("'".repeat(100_000)).length).toBeLessThanOrEqual(240);
  expect(likeness(`${"a".repeat(100_000)}"`).length).toBeLessThanOrEqual(240);
});
