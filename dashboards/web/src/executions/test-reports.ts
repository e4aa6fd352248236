/** What was reported of one test of an execution, whichever result of its shard that was in. */

import { get } from "../api/client";
import type { Test, TestPage } from "../api/types";

const PAGE = 1000;
const LONGEST_SEARCH = 255;
/** Servers take a line of 8 kB, which has to hold two texts. */
const LONGEST_IN_URL = 3000;
const LONGEST_FILTER = 1000;

interface Named {
  title: string;
  file: string | null;
}

export function isOf(test: Named): (other: Named) => boolean {
  return (other) => other.title === test.title && other.file === test.file;
}

/** Whether a text can be asked for as it is. */
export function fitsUrl(text: string): boolean {
  return text.length <= LONGEST_FILTER && encodeURIComponent(text).length <= LONGEST_IN_URL;
}

/** What to ask for: the test alone, or where its name is too long for that, tests whose titles have its begin. */
export function queryOf({ title, file }: Named) {
  return {
    attempts: "all" as const,
    limit: PAGE,
    ...(fitsUrl(title) ? { title } : { q: [...title].slice(0, LONGEST_SEARCH).join("") }),
    ...(file !== null && fitsUrl(file) && { file }),
  };
}

export async function reportsOf(executionId: string, test: Named, signal: AbortSignal): Promise<Test[]> {
  const found: Test[] = [];
  let cursor: string | null = null;
  do {
    const page: TestPage = await get("/api/executions/{executionId}/tests", {
      ids: { executionId },
      query: { ...queryOf(test), ...(cursor !== null && { cursor }) },
      signal,
    });
    found.push(...page.tests.filter(isOf(test)));
    cursor = page.nextCursor;
  } while (cursor !== null);
  return found;
}
