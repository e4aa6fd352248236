import { describe, expect, it } from "vitest";
import { ago, bytes, duration, percent, visible } from "./words";

describe("a duration", () => {
  it.each([
    [null, "–"],
    [0, "0 ms"],
    [999, "999 ms"],
    [4200, "4.2 s"],
    [9990, "10 s"],
    [59_600, "1 min 00 s"],
    [187_000, "3 min 07 s"],
    [7_500_000, "2 h 05 min"],
    [176_400_000, "2 d 1 h"],
  ])("of %s ms is %s", (ms, words) => expect(duration(ms)).toBe(words));
});

it("says how long ago in one unit", () => {
  const now = Date.parse("2026-01-02T12:00:00Z");
  expect(ago("2026-01-02T11:59:58Z", now)).toBe("just now");
  expect(ago("2026-01-02T11:56:30Z", now)).toBe("3 min ago");
  expect(ago("2026-01-01T12:00:00Z", now)).toBe("1 day ago");
});

it("does not round a few failures away", () => {
  expect(percent(0.9996)).toBe("99.9 %");
  expect(percent(1)).toBe("100 %");
  expect(percent(0)).toBe("0 %");
  expect(percent(0.0004)).toBe("<0.1 %");
  expect(percent(0.5)).toBe("50 %");
});

it("gives sizes in units that are easy to read", () => {
  expect([0, 999, 4200, 123_456_789].map(bytes)).toEqual(["0 B", "999 B", "4.2 kB", "123 MB"]);
});

describe("strangers' text", () => {
  it("shows marks that turn text around", () => expect(visible("a\u202eb")).toBe("a⟨202E⟩b"));
  it("shows control characters, but keeps line breaks", () => expect(visible("a\u0007\n\tb")).toBe("a⟨0007⟩\n\tb"));
  it("keeps emoji whole words of other scripts", () => expect(visible("👩‍👩‍👧 שלום")).toBe("👩‍👩‍👧 שלום"));
  it("is cut where asked for", () => expect(visible("abcdef", 3)).toBe("abc…"));
});
