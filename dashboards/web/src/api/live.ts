/** A live stream over a websocket that comes back by itself, where it left off. */

import { session, signOut } from "./session";
import type { Frame } from "./types";

/** `away`: it was lost, and is being looked for. `gone`: there is nothing to watch. */
export type LiveState = "connecting" | "live" | "away" | "gone";

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 8000;
/** A connection that has lasted so long is no refusal: the server accepts first and looks at the token afterwards. */
const SETTLED_MS = 300;

const NO_RIGHT = 4401;
const UNKNOWN = 4404;
const TOO_SLOW = 4408;

export interface Watched {
  /** Where to connect, asked anew for each connection: path and query, with what is known already. */
  path: () => string;
  take: (frame: Frame) => void;
  /** A connection stands; `again` unless it is the first. */
  opened?: (again: boolean) => void;
  /** What is known is of no use for coming back: the next connection begins with a snapshot. */
  forget?: () => void;
  told: (state: LiveState) => void;
}

/** Watch until the returned function is called. */
export function watch(watched: Watched): () => void {
  let socket: WebSocket | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let settling: ReturnType<typeof setTimeout> | undefined;
  let delay = FIRST_DELAY_MS;
  let opened = false;
  let over = false;

  function settle(): void {
    clearTimeout(settling);
    delay = FIRST_DELAY_MS;
    watched.told("live");
  }

  function connect(): void {
    clearTimeout(timer);
    const url = new URL(watched.path(), location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const current = new WebSocket(url, ["tms.v1", `bearer.${session.get() ?? ""}`]);
    socket = current;
    current.onopen = () => {
      if (current !== socket) return;
      watched.opened?.(opened);
      opened = true;
      settling = setTimeout(settle, SETTLED_MS);
    };
    current.onmessage = (message: MessageEvent<string>) => {
      if (current !== socket) return;
      settle();
      watched.take(JSON.parse(message.data) as Frame);
    };
    current.onclose = (closed) => {
      if (current !== socket) return;
      socket = null;
      clearTimeout(settling);
      if (closed.code === NO_RIGHT) {
        stop();
        signOut();
      } else if (closed.code === UNKNOWN) {
        stop();
        watched.told("gone");
      } else {
        if (closed.code === TOO_SLOW) watched.forget?.();
        watched.told("away");
        timer = setTimeout(connect, delay * (0.75 + Math.random() / 2));
        delay = Math.min(delay * 2, LONGEST_DELAY_MS);
      }
    };
  }

  /** Somebody looks, or the network is back: no reason to wait any longer. */
  function hurry(): void {
    if (!over && socket === null && document.visibilityState === "visible") connect();
  }

  function stop(): void {
    over = true;
    clearTimeout(timer);
    clearTimeout(settling);
    removeEventListener("online", hurry);
    document.removeEventListener("visibilitychange", hurry);
    const current = socket;
    socket = null;
    current?.close();
  }

  addEventListener("online", hurry);
  document.addEventListener("visibilitychange", hurry);
  watched.told("connecting");
  connect();
  return stop;
}
