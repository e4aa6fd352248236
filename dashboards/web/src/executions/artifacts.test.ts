import { afterEach, expect, it, vi } from "vitest";
import type { UploadedFile } from "../api/types";
import { groupsOf, hrefOf, listed } from "./artifacts";

function file(fields: Partial<UploadedFile>): UploadedFile {
  return {
    ...{ artifactId: "art_1", shardId: "1", kind: "screenshots", name: "a.png", contentType: "image/png", size: 10 },
    ...{ test: null, attempt: null, url: "https://elsewhere.test/artifacts/exec_1/files/art_1?expires=1&signature=x" },
    ...fields,
  } as UploadedFile;
}

it("puts names that runners told of beside the files that were uploaded, each once", () => {
  const listed = { shards: { "10": { logs: ["a.log"] }, "1": { screenshots: ["a.png", "b.png"] } }, files: [file({})] };
  expect(groupsOf(listed).map(({ shardId, kind, files, names }) => [shardId, kind, files.length, names])).toEqual([
    ["1", "screenshots", 1, ["b.png"]],
    ["10", "logs", 0, ["a.log"]],
  ]);
});

afterEach(() => vi.unstubAllGlobals());

it("reads every page of files before it says that one was not uploaded", async () => {
  const pages: Record<string, object> = {
    "/artifacts/exec_1": { executionId: "exec_1", shards: { "1": { screenshots: ["late.png"] } }, files: [] },
    "/api/executions/exec_1/artifacts?limit=1000": { artifacts: [file({})], nextCursor: "c1" },
    "/api/executions/exec_1/artifacts?limit=1000&cursor=c1": {
      artifacts: [file({ artifactId: "art_2", name: "late.png" })],
      nextCursor: null,
    },
  };
  vi.stubGlobal("fetch", async (url: string) => Response.json(pages[url]));
  const [group] = groupsOf(await listed("exec_1", new AbortController().signal));
  expect(group?.files.map(({ name }) => name)).toEqual(["a.png", "late.png"]);
  expect(group?.names).toEqual([]);
});

it("has no groups without files", () => {
  expect(groupsOf({ shards: { "1": { logs: [] } }, files: [] })).toEqual([]);
});

it("stays on its own server", () => {
  expect(hrefOf(file({}))).toBe("/artifacts/exec_1/files/art_1?expires=1&signature=x");
  expect(hrefOf(file({ url: "javascript:alert(1)" }))).not.toContain("javascript");
  expect(hrefOf(file({ url: null }))).toBeNull();
});
