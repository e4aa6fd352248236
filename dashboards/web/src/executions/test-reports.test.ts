import { expect, it } from "vitest";
import { isOf, queryOf } from "./test-reports";

it("asks for a test by its whole title, so that those with a longer one are not among what comes", () => {
  expect(queryOf({ title: "test_add", file: "sums.py" })).toMatchObject({ title: "test_add", file: "sums.py" });
});

it.each(["x".repeat(1001), "試験".repeat(400)])("asks for the begin of a title that no address can hold", (title) => {
  const query = queryOf({ title, file: title });
  expect(query).toMatchObject({ q: title.slice(0, 255) });
  expect(query).not.toHaveProperty("title");
  expect(query).not.toHaveProperty("file");
});

it("takes only the test of the same title and file", () => {
  const others = ["sums.py", "other.py", null].map((file) => ({ title: "test_add", file }));
  expect(others.filter(isOf({ title: "test_add", file: null }))).toEqual([others[2]]);
  expect(others.filter(isOf({ title: "test_add", file: "sums.py" }))).toEqual([others[0]]);
});
