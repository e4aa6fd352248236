import { expect, it } from "vitest";
import { queryText } from "./client";

it("asks for an empty text, and not for what is left open", () => {
  expect(queryText({ branch: "", limit: 0, cursor: null, status: undefined })).toBe("?branch=&limit=0");
  expect(queryText({ status: undefined })).toBe("");
  expect(queryText(undefined)).toBe("");
});
