import { expect, it } from "vitest";
import { type Figure, type Look, shown } from "./figures";
import { parse } from "./metrics";

function look(at: number, text: string): Look {
  return { at, metrics: parse(text), trouble: null };
}

const BEFORE = look(0, 'a_total{partition="0"} 10\ns_count 4\ns_sum 1\n');
const AFTER = look(2000, 'a_total{partition="0"} 30\na_total{partition="1"} 7\ns_count 8\ns_sum 3\n');

function figure(kind: Figure["kind"], metric: string): Figure {
  return { name: "", metric, kind };
}

it("shows what grew as a rate, of one row or of all", () => {
  expect(shown(figure("rate", "a_total"), AFTER, BEFORE, { partition: "0" })).toBe("10/s");
  expect(shown(figure("rate", "a_total"), AFTER, BEFORE)).toBe("14/s");
  expect(shown(figure("number", "a_total"), AFTER, BEFORE)).toBe("37");
});

it("averages what took time between two looks", () => {
  expect(shown(figure("average", "s"), AFTER, BEFORE)).toBe("500 ms");
});

it("says nothing of rates before the second look, or where nothing happened", () => {
  expect(shown(figure("rate", "a_total"), AFTER, null)).toBe("–");
  expect(shown(figure("average", "s"), AFTER, AFTER)).toBe("–");
});
