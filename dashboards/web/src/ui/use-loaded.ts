/** Something from the server that a view needs: loaded, kept while it is loaded anew, and tried again. */

import { useCallback, useEffect, useRef, useState } from "react";
import { Loader, type Pace } from "./loader";

const REST_MS = 1000;

export interface Loaded<T> {
  value: T | null;
  error: Error | null;
  loading: boolean;
  /** Load it again; what is shown stays until then. */
  reload: () => void;
}

interface Terms extends Partial<Pace> {
  /** Another one says that it has changed: it is loaded again, and what is shown stays until then. */
  revision?: string | number;
}

/**
 * @param key tells what is loaded: another key is another thing, and null is nothing.
 * @param load is called with a signal that ends it when nobody waits any more.
 */
export function useLoaded<T>(
  key: string | null,
  load: (signal: AbortSignal) => Promise<T>,
  { everyMs = 0, restMs = REST_MS, revision = "" }: Terms = {},
): Loaded<T> {
  const [state, setState] = useState<{ key: string | null; value: T | null; error: Error | null }>({
    ...{ key, value: null, error: null },
  });
  const latest = useRef(load);
  latest.current = load;
  const loader = useRef<Loader<T> | null>(null);
  const known = useRef(revision);

  // Before the next effect: another thing is loaded anew anyway, whatever its revision.
  useEffect(() => {
    if (known.current !== revision) loader.current?.renew();
    known.current = revision;
  }, [revision]);

  useEffect(() => {
    if (key === null) return;
    const started = new Loader<T>(
      (signal) => latest.current(signal),
      (outcome) =>
        setState((former) => ({
          ...{ key, value: former.key === key ? former.value : null, error: null },
          ...outcome,
        })),
      { everyMs, restMs },
    );
    loader.current = started;
    started.now();
    return () => {
      loader.current = null;
      started.stop();
    };
  }, [key, everyMs, restMs]);

  const reload = useCallback(() => loader.current?.now(), []);
  const isCurrent = state.key === key;
  return {
    value: isCurrent ? state.value : null,
    error: isCurrent ? state.error : null,
    loading: key !== null && !(isCurrent && (state.value !== null || state.error !== null)),
    reload,
  };
}
