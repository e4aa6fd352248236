/** Which view a path means, and moving between them. All state of a view that is worth a link is in its URL. */

import { useCallback, useMemo, useSyncExternalStore } from "react";

export type Place =
  | { view: "executions" }
  | { view: "execution"; executionId: string; tab?: string; shard?: string }
  | { view: "suites" }
  | { view: "suite"; suite: string }
  | { view: "tests" }
  | { view: "test"; testId: string }
  | { view: "webhooks" }
  | { view: "webhook"; webhookId: string }
  | { view: "system" }
  | { view: "nowhere" };

const ID = "([A-Za-z0-9_-]{1,64})";

const PLACES: [RegExp, (...parts: string[]) => Place][] = [
  [/^\/(?:executions)?$/, () => ({ view: "executions" })],
  [new RegExp(`^/(?:executions|reports)/${ID}$`), (executionId = "") => ({ view: "execution", executionId })],
  [
    new RegExp(`^/reports/${ID}/shard-([1-9][0-9]{0,3})$`),
    (executionId = "", shard = "") => ({ view: "execution", executionId, tab: "tests", shard }),
  ],
  [
    new RegExp(`^/(?:logs|artifacts)/${ID}$`),
    (executionId = "") => ({ view: "execution", executionId, tab: "artifacts" }),
  ],
  [/^\/suites$/, () => ({ view: "suites" })],
  [new RegExp(`^/suites/${ID}$`), (suite = "") => ({ view: "suite", suite })],
  [/^\/tests$/, () => ({ view: "tests" })],
  [new RegExp(`^/tests/${ID}$`), (testId = "") => ({ view: "test", testId })],
  [/^\/webhooks$/, () => ({ view: "webhooks" })],
  [new RegExp(`^/webhooks/${ID}$`), (webhookId = "") => ({ view: "webhook", webhookId })],
  [/^\/system$/, () => ({ view: "system" })],
];

export function placeOf(path: string): Place {
  const plain = path.length > 1 ? path.replace(/\/+$/, "") : path;
  for (const [pattern, place] of PLACES) {
    const match = pattern.exec(plain);
    if (match !== null) return place(...match.slice(1));
  }
  return { view: "nowhere" };
}

const MOVED = "tms:moved";

export function go(url: string, how: "push" | "replace" = "push"): void {
  if (how === "push") history.pushState(null, "", url);
  else history.replaceState(null, "", url);
  dispatchEvent(new Event(MOVED));
}

function subscribe(follower: () => void): () => void {
  addEventListener("popstate", follower);
  addEventListener(MOVED, follower);
  return () => {
    removeEventListener("popstate", follower);
    removeEventListener(MOVED, follower);
  };
}

export function usePath(): string {
  return useSyncExternalStore(subscribe, () => location.pathname);
}

/** The URL's query, and a way to change some of it: null takes a name out. Changes replace the entry of the history
 * unless told to push one. */
export function useQuery(): [URLSearchParams, (changes: Record<string, string | null>, how?: "push") => void] {
  const text = useSyncExternalStore(subscribe, () => location.search);
  const query = useMemo(() => new URLSearchParams(text), [text]);
  const change = useCallback((changes: Record<string, string | null>, how?: "push") => {
    const changed = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(changes)) {
      if (value === null || value === "") changed.delete(name);
      else changed.set(name, value);
    }
    go(location.pathname + (changed.size ? `?${changed}` : ""), how ?? "replace");
  }, []);
  return [query, change];
}
