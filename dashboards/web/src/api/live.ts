/** A live stream over a websocket that comes back by itself, where it left off. */

import { Store } from "../ui/store";
import { Backoff } from "./backoff";
import { session, signOut } from "./session";
import type { Frame } from "./types";

/** `away`: it was lost, and is being looked for. `gone`: there is nothing to watch. */
export type LiveState = "connecting" | "live" | "away" | "gone";

/** A connection that has lasted so long is no refusal: the server accepts first and looks at the token afterwards. */
const SETTLED_MS = 300;
/** A connection may die without a word, and a page does not see the server's pings: silence is looked into. */
const QUIET_MS = 60_000;
const LOOK_MS = 5000;
/** A network that swallows what it is given lets a browser wait for minutes. */
const OPENING_MS = 10_000;
/** A connection that takes the place of a silent one, and takes so long, says that the silent one was dead. */
const DOUBT_MS = 1000;

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

export interface Connection {
  state: Exclude<LiveState, "gone">;
  /** Since when something is lost, in ms; null while nothing is. */
  awaySince: number | null;
}

const NOTHING: Connection = { state: "connecting", awaySince: null };

/** All that the page watches, taken together: live where all of it is. */
export const connection = new Store<Connection>(NOTHING);
const states = new Map<Watched, LiveState>();

function tell(watched: Watched, state: LiveState): void {
  if (states.get(watched) === state) return;
  states.set(watched, state);
  sumUp();
  watched.told(state);
}

function sumUp(): void {
  const present = [...states.values()].filter((state) => state !== "gone");
  const state = (["away", "connecting", "live"] as const).find((one) => present.includes(one));
  const { awaySince } = connection.get();
  if (state === undefined) connection.set(NOTHING);
  else if (state === "away") connection.set({ state, awaySince: awaySince ?? Date.now() });
  else connection.set({ state, awaySince: state === "live" ? null : awaySince });
}

/** Watch until the returned function is called. */
export function watch(watched: Watched): () => void {
  const backoff = new Backoff();
  let socket: WebSocket | null = null;
  let heardAt = 0;
  let opened = false;
  let waiting: ReturnType<typeof setTimeout> | undefined;
  let opening: ReturnType<typeof setTimeout> | undefined;
  let doubting: ReturnType<typeof setTimeout> | undefined;
  let settling: ReturnType<typeof setTimeout> | undefined;

  function settle(): void {
    clearTimeout(settling);
    backoff.reset();
    tell(watched, "live");
  }

  function connect(): void {
    clearTimeout(waiting);
    const url = new URL(watched.path(), location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const current = new WebSocket(url, ["tms.v1", `bearer.${session.get() ?? ""}`]);
    socket = current;
    opening = setTimeout(lose, OPENING_MS);
    current.onopen = () => {
      if (current !== socket) return;
      clearTimeout(opening);
      clearTimeout(doubting);
      heardAt = Date.now();
      watched.opened?.(opened);
      opened = true;
      settling = setTimeout(settle, SETTLED_MS);
    };
    current.onmessage = (message: MessageEvent<string>) => {
      if (current !== socket) return;
      heardAt = Date.now();
      settle();
      watched.take(JSON.parse(message.data) as Frame);
    };
    current.onclose = ({ code }) => {
      if (current !== socket) return;
      if (code === NO_RIGHT) {
        stop();
        signOut();
      } else if (code === UNKNOWN) {
        end();
        tell(watched, "gone");
      } else {
        if (code === TOO_SLOW) watched.forget?.();
        lose();
      }
    };
  }

  /** Leave the connection, whatever becomes of it. */
  function drop(): void {
    for (const timer of [opening, doubting, settling]) clearTimeout(timer);
    const current = socket;
    socket = null;
    current?.close();
  }

  function lose(): void {
    drop();
    tell(watched, "away");
    waiting = setTimeout(connect, backoff.next());
  }

  /** Put a new connection in the place of one that may be dead; it goes on where that one was. */
  function renew(): void {
    drop();
    if (states.get(watched) === "live") doubting = setTimeout(() => tell(watched, "connecting"), DOUBT_MS);
    connect();
  }

  /** While somebody looks, nothing waits, and silence is not trusted. */
  function look(): void {
    if (document.visibilityState !== "visible") return;
    const isSilent = socket?.readyState === WebSocket.OPEN && Date.now() - heardAt >= QUIET_MS;
    if (isSilent) renew();
  }

  function hurry(): void {
    if (socket === null && document.visibilityState === "visible") connect();
    else look();
  }

  function end(): void {
    clearTimeout(waiting);
    clearInterval(looking);
    removeEventListener("online", renew);
    document.removeEventListener("visibilitychange", hurry);
    drop();
  }

  function stop(): void {
    end();
    states.delete(watched);
    sumUp();
  }

  const looking = setInterval(look, LOOK_MS);
  // The network that is back may be another one, on which the old connection hears nothing.
  addEventListener("online", renew);
  document.addEventListener("visibilitychange", hurry);
  tell(watched, "connecting");
  connect();
  return stop;
}
