/** Files of an execution by shard and kind: uploaded ones, and names that runners told of. */

import { get } from "../api/client";
import type { FilePage, UploadedFile } from "../api/types";

const PAGE = 1000;

export interface Listed {
  shards: Record<string, object>;
  files: readonly UploadedFile[];
}

export interface FileGroup {
  shardId: string;
  kind: string;
  files: readonly UploadedFile[];
  /** Names of files that were not uploaded. */
  names: readonly string[];
}

const KINDS = ["screenshots", "videos", "traces", "logs"];

/** All files there are: of a name that is not among them it can be said that it was not uploaded. */
export async function listed(executionId: string, signal: AbortSignal): Promise<Listed> {
  const told = get("/artifacts/{executionId}", { ids: { executionId }, signal });
  const [{ shards }, files] = await Promise.all([told, uploaded(executionId, signal)]);
  return { shards, files };
}

async function uploaded(executionId: string, signal: AbortSignal): Promise<UploadedFile[]> {
  const found: UploadedFile[] = [];
  let cursor: string | null = null;
  do {
    const page: FilePage = await get("/api/executions/{executionId}/artifacts", {
      ids: { executionId },
      query: { limit: PAGE, ...(cursor !== null && { cursor }) },
      signal,
    });
    found.push(...page.artifacts);
    cursor = page.nextCursor;
  } while (cursor !== null);
  return found;
}

/** By shard, and within one in the order of kinds. */
export function groupsOf({ shards, files }: Listed): FileGroup[] {
  const told = Object.entries(shards).flatMap(([shardId, kinds]) =>
    Object.entries(kinds).map(([kind, names]) => ({ shardId, kind, names: (names ?? []) as readonly string[] })),
  );
  const keys = [...told, ...files].map(({ shardId, kind }) => `${shardId} ${kind}`);
  const groups = [...new Set(keys)].map((key): FileGroup => {
    const [shardId = "", kind = ""] = key.split(" ");
    const own = files.filter((file) => file.shardId === shardId && file.kind === kind);
    const names = told.filter((one) => one.shardId === shardId && one.kind === kind).flatMap((one) => one.names);
    return { shardId, kind, files: own, names: names.filter((name) => !own.some((file) => isNamed(file, name))) };
  });
  return groups
    .filter((group) => group.files.length + group.names.length > 0)
    .sort((one, other) => Number(one.shardId) - Number(other.shardId) || rank(one.kind) - rank(other.kind));
}

/** Where this page fetches a file: on its own server, whatever name others know that by. */
export function hrefOf({ url }: UploadedFile): string | null {
  if (url === null) return null;
  const { pathname, search } = new URL(url, "http://here.invalid");
  return pathname + search;
}

function isNamed(file: UploadedFile, name: string): boolean {
  return file.name === name || file.name.endsWith(`/${name}`);
}

function rank(kind: string): number {
  const place = KINDS.indexOf(kind);
  return place < 0 ? KINDS.length : place;
}
