/** Moves through a list that the server gives page by page; which page it is stands in the URL as its cursor. */

import { useQuery } from "../router";

/** The query's part that asks for the page that the URL names. */
export function useCursor(): { cursor?: string } {
  const cursor = useQuery()[0].get("cursor");
  return cursor === null ? {} : { cursor };
}

interface Props {
  /** Of the page that is shown; undefined while there is none. */
  next: string | null | undefined;
  first?: string;
  more?: string;
}

export function Pages({ next, first = "Newest", more = "Older" }: Props) {
  const [query, change] = useQuery();
  const isFirst = query.get("cursor") === null;
  if (isFirst && next == null) return null;
  return (
    <nav className="pages" aria-label="Pages">
      <button type="button" disabled={isFirst} onClick={() => change({ cursor: null }, "push")}>
        {first}
      </button>
      <button
        type="button"
        disabled={next == null}
        onClick={() => {
          change({ cursor: next ?? null }, "push");
          scrollTo(0, 0);
        }}
      >
        {more}
      </button>
    </nav>
  );
}
