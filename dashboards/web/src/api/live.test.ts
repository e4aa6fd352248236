import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { connectBrowser, disconnectBrowser, later, network } from "../testing/network";
import { connection, type LiveState, watch } from "./live";
import { session } from "./session";

const FRAME = { type: "tests", n: 1, shardId: "1", tests: [] };

let told: LiveState[];
let opened: boolean[];
let after: number;
let stop: () => void;

beforeEach(() => {
  connectBrowser();
  told = [];
  opened = [];
  after = 0;
  stop = watching();
});

afterEach(() => {
  stop();
  disconnectBrowser();
});

function watching(tell: (state: LiveState) => void = (state) => told.push(state)): () => void {
  return watch({
    path: () => `/api/live?after=${after}`,
    take: () => {
      after += 1;
    },
    opened: (again) => opened.push(again),
    forget: () => {
      after = 0;
    },
    told: tell,
  });
}

/** The connection stands, and something came. */
function live(): void {
  network.socket.open();
  network.socket.send(FRAME);
}

it("comes back where it left off, ever less often, and at once when somebody looks", async () => {
  live();
  network.socket.lose();
  expect(told).toEqual(["connecting", "live", "away"]);
  for (const [ms, connections] of [
    [500, 2],
    [1000, 3],
    [2000, 4],
    [4000, 5],
    [8000, 6],
    [8000, 7],
  ] as const) {
    await later(ms - 1);
    expect(network.sockets).toHaveLength(connections - 1);
    await later(1);
    expect(network.sockets).toHaveLength(connections);
    network.socket.lose();
  }
  network.document.dispatchEvent(new Event("visibilitychange"));
  expect(network.sockets).toHaveLength(8);
  expect(network.socket.query.get("after")).toBe("1");
  live();
  expect(told.at(-1)).toBe("live");
  expect(opened).toEqual([false, true]);
});

describe("a connection that died without a word", () => {
  /** The connection before, which still looks as if it stood. */
  function silent() {
    live();
    return network.socket;
  }

  it("is replaced as soon as the network is back", () => {
    const dead = silent();
    network.window.dispatchEvent(new Event("online"));
    expect(network.socket).not.toBe(dead);
    expect(dead.readyState).toBe(3);
    expect(network.socket.query.get("after")).toBe("1");
  });

  it("is replaced when the machine wakes", async () => {
    const dead = silent();
    vi.setSystemTime(Date.now() + 3_600_000);
    network.document.dispatchEvent(new Event("visibilitychange"));
    expect(network.socket).not.toBe(dead);
  });

  it("is replaced after a minute of silence, unless nobody looks", async () => {
    const dead = silent();
    network.document.visibilityState = "hidden";
    await later(600_000);
    expect(network.socket).toBe(dead);
    network.document.visibilityState = "visible";
    await later(5000);
    expect(network.socket).not.toBe(dead);
  });

  it("is found to be away where no other one takes its place", async () => {
    silent();
    await later(60_000);
    expect(told.at(-1)).toBe("live");
    await later(1000);
    expect(told.at(-1)).toBe("connecting");
    await later(9000);
    expect(told.at(-1)).toBe("away");
    await later(500);
    live();
    expect(told.at(-1)).toBe("live");
  });

  it("tells nothing more, and its end is not the end of the other one", async () => {
    const dead = silent();
    network.window.dispatchEvent(new Event("online"));
    live();
    dead.send(FRAME);
    dead.lose();
    expect(after).toBe(2);
    expect(told).toEqual(["connecting", "live"]);
  });
});

it("does not doubt a connection on which something comes", async () => {
  live();
  const { socket } = network;
  for (let minute = 0; minute < 5; minute += 1) {
    await later(59_000);
    socket.send(FRAME);
  }
  expect(network.sockets).toEqual([socket]);
});

it("shows no doubt where silence was all there was", async () => {
  live();
  await later(60_000);
  expect(network.sockets).toHaveLength(2);
  network.socket.open();
  await later(30_000);
  expect(told).toEqual(["connecting", "live"]);
});

describe("what the server says when it closes", () => {
  it("4401: signed out", async () => {
    session.set("tms_revoked");
    network.socket.lose(4401);
    await later(60_000);
    expect(session.get()).toBeNull();
    expect(network.sockets).toHaveLength(1);
  });

  it("4408: what is known is of no use for coming back", async () => {
    live();
    network.socket.lose(4408);
    await later(500);
    expect(network.socket.query.get("after")).toBe("0");
  });

  it("4404: there is nothing to come back to", async () => {
    network.socket.lose(4404);
    network.window.dispatchEvent(new Event("online"));
    await later(60_000);
    expect(told).toEqual(["connecting", "gone"]);
    expect(network.sockets).toHaveLength(1);
  });
});

describe("the page is live", () => {
  it("where all that it watches is", async () => {
    live();
    const first = network.socket;
    expect(connection.get()).toEqual({ state: "live", awaySince: null });
    const leave = watching(() => {});
    expect(connection.get().state).toBe("connecting");
    live();
    expect(connection.get().state).toBe("live");

    network.socket.lose();
    const awaySince = Date.now();
    expect(connection.get()).toEqual({ state: "away", awaySince });
    await later(100);
    first.lose();
    expect(connection.get()).toEqual({ state: "away", awaySince });

    leave();
    await later(500);
    live();
    expect(connection.get()).toEqual({ state: "live", awaySince: null });
  });

  it("though what is gone is not", () => {
    live();
    const leave = watching(() => {});
    network.socket.lose(4404);
    expect(connection.get().state).toBe("live");
    leave();
  });
});
