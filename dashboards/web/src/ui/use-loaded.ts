/** Something from the server that a view needs: loaded, kept while it is loaded anew, and tried again. */

import { useCallback, useEffect, useRef, useState } from "react";
import { Away } from "../api/client";

const RETRY_MS = 2000;

export interface Loaded<T> {
  value: T | null;
  error: Error | null;
  loading: boolean;
  /** Load it again; what is shown stays until then. */
  reload: () => void;
}

/**
 * @param key tells what is loaded: another key is another thing, and null is nothing.
 * @param load is called with a signal that ends it when nobody waits any more.
 * @param everyMs loads it again so often while the page is looked at; 0: only when told to.
 */
export function useLoaded<T>(key: string | null, load: (signal: AbortSignal) => Promise<T>, everyMs = 0): Loaded<T> {
  const [state, setState] = useState<{ key: string | null; value: T | null; error: Error | null; loading: boolean }>({
    ...{ key, value: null, error: null, loading: key !== null },
  });
  const [round, setRound] = useState(0);
  const latest = useRef(load);
  latest.current = load;

  // biome-ignore lint/correctness/useExhaustiveDependencies: `round` asks for another load
  useEffect(() => {
    if (key === null) return;
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const again = () => {
      if (document.visibilityState === "visible") setRound((value) => value + 1);
      else timer = setTimeout(again, RETRY_MS);
    };
    latest.current(controller.signal).then(
      (value) => {
        if (controller.signal.aborted) return;
        setState({ key, value, error: null, loading: false });
        if (everyMs > 0) timer = setTimeout(again, everyMs);
      },
      (error: Error) => {
        if (controller.signal.aborted) return;
        setState((former) => ({ key, value: former.key === key ? former.value : null, error, loading: false }));
        if (error instanceof Away || everyMs > 0) timer = setTimeout(again, Math.max(RETRY_MS, everyMs));
      },
    );
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [key, everyMs, round]);

  const reload = useCallback(() => setRound((value) => value + 1), []);
  const isCurrent = state.key === key;
  return {
    value: isCurrent ? state.value : null,
    error: isCurrent ? state.error : null,
    loading: isCurrent ? state.loading : key !== null,
    reload,
  };
}
