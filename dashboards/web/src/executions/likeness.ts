/** Groups failed tests by what their errors have in common: the same message but for numbers, names and addresses. */

import type { Test } from "../api/types";

export interface Group<T> {
  /** What the errors of the group have in common. */
  likeness: string;
  tests: T[];
}

const LONGEST = 240;
const NO_ERROR = "No error was reported";

const CHANGING: [RegExp, string][] = [
  // biome-ignore lint/suspicious/noControlCharactersInRegex: terminals' colours begin with one
  [/\u001b\[[0-9;]*m/g, ""],
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, "…"],
  [/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?/g, "…"],
  [/\b0x[0-9a-f]+\b/gi, "…"],
  [/\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,}\b/gi, "…"],
  [/(["'`])(?:(?!\1).){1,200}\1/g, "$1…$1"],
  [/(?<![A-Za-z_])\d+(\.\d+)?/g, "#"],
];

/** The line that says what went wrong: the last `Error:` line of a stack trace in the fashion of Python, else the first. */
function telling(error: string): string {
  const lines = error.split("\n").map((line) => line.trim());
  const marked = lines.findLast((line) => /^E\s{2,}\S/.test(line))?.replace(/^E\s+/, "");
  if (marked !== undefined && lines[0] !== undefined && !/\b\w*(Error|Exception)\b/.test(lines[0])) return marked;
  if (lines[0]?.startsWith("Traceback")) return lines.findLast((line) => /^[\w.]+(:|$)/.test(line)) ?? "";
  return lines.find((line) => line !== "") ?? "";
}

export function likeness(error: string | null): string {
  if (error === null || error.trim() === "") return NO_ERROR;
  let line = telling(error.slice(0, 20_000)).slice(0, 2000);
  for (const [pattern, put] of CHANGING) line = line.replace(pattern, put);
  return line.replace(/\s+/g, " ").slice(0, LONGEST).trim() || NO_ERROR;
}

/** The groups, largest first; within a group the tests keep their order. */
export function grouped<T extends Pick<Test, "error">>(tests: readonly T[]): Group<T>[] {
  const groups = new Map<string, Group<T>>();
  for (const test of tests) {
    const key = likeness(test.error);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { likeness: key, tests: [test] });
    else group.tests.push(test);
  }
  return [...groups.values()].sort((one, other) => other.tests.length - one.tests.length);
}
