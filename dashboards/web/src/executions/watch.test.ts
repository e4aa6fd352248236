import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Away } from "../api/client";
import { type Choose, everyWay } from "../testing/every-way";
import { connectBrowser, disconnectBrowser, type FakeRequest, later, network, settled } from "../testing/network";
import { ServedExecution } from "../testing/served";
import { ExecutionWatch } from "./watch";

let served: ServedExecution;
let watch: ExecutionWatch;

beforeEach(begin);
afterEach(leave);

function begin(): void {
  connectBrowser();
  served = new ServedExecution();
  served.start();
  watch = new ExecutionWatch(served.id);
}

function leave(): void {
  watch.stop();
  disconnectBrowser();
}

/** The server's end of the page's connection: what waits there to be delivered. */
class Wire {
  readonly socket = network.socket;
  #seq: number;
  #frames: number;

  constructor() {
    this.#seq = Number(this.socket.query.get("after"));
    this.#frames = Number(this.socket.query.get("tests_after"));
    this.socket.open();
  }

  get hasFrames(): boolean {
    return this.#seq < served.state.seq || (this.socket.query.has("tests") && this.#frames < served.frames.length);
  }

  deliver(first: "events" | "tests" = "events"): void {
    const event = served.events[this.#seq];
    const tests = this.socket.query.has("tests") ? served.frames[this.#frames] : undefined;
    if (event !== undefined && (first === "events" || tests === undefined)) {
      this.#seq += 1;
      this.socket.send({ type: "event", ...event });
    } else if (tests !== undefined) {
      this.#frames += 1;
      this.socket.send(tests);
    }
  }

  /** The reader was too slow: events are dropped, and a snapshot takes their place. */
  overflow(): void {
    this.#seq = served.state.seq;
    this.socket.send({ type: "snapshot", seq: this.#seq, execution: served.state });
  }
}

async function opened(): Promise<Wire> {
  watch.start();
  await settled();
  network.request(served.id).answer(served.state);
  await later(200);
  return new Wire();
}

function answerAll(): void {
  for (const request of [...network.requests]) request.answer(served.answer(request.url));
}

/** Answer all but what is asked of the state. */
async function answerLists(): Promise<void> {
  const isState = (request: FakeRequest) => request.url.pathname.endsWith(served.id);
  for (const request of [...network.requests]) if (!isState(request)) request.answer(served.answer(request.url));
  await settled();
}

/** Everything arrives, and is shown. */
async function calm(wire: Wire | null): Promise<void> {
  for (let round = 0; round < 8; round += 1) {
    while (wire?.hasFrames) wire.deliver();
    answerAll();
    await later(200);
  }
}

function expectTruth(openedAt: number): void {
  const { execution, events, feed, tests, failed } = watch.seen.get();
  expect(execution).toEqual(served.state);
  expect(events.map(({ seq }) => seq)).toEqual(served.events.map(({ seq }) => seq));
  const told = feed.flatMap(({ event }) => event?.seq ?? []);
  expect(told.reverse()).toEqual(served.events.map(({ seq }) => seq).filter((seq) => seq > openedAt));
  expect(tests.map(({ title }) => title)).toEqual(served.tests().map(({ title }) => title));
  expect(failed).toEqual({ state: null, log: null, tests: null });
}

describe("in whatever order answers and frames come, each event is told once and the state is the server's", () => {
  type Fault = "nothing else" | "a lost connection" | "an overflow";
  type Reading = "when it is asked" | "when it answers";

  async function anyOrder(choose: Choose, first: "events" | "tests", reading: Reading, fault: Fault): Promise<void> {
    leave();
    begin();
    if (fault === "a lost connection") served.complete("1", "old");
    let wire = await opened();
    const openedAt = served.state.seq;
    const script = [() => served.claim(), () => served.complete("1", "a", "b")];
    if (fault !== "a lost connection") script.push(() => served.complete("1", "a"));
    const read = new Map<FakeRequest, unknown>();
    let isDue = fault !== "nothing else";
    while (script.length > 0 || wire.hasFrames) {
      if (fault !== "nothing else") await answerLists();
      for (const request of network.requests) if (!read.has(request)) read.set(request, served.answer(request.url));
      const [request] = network.requests;
      const steps = [
        ...(script.length > 0 ? ["happen"] : []),
        ...(wire.hasFrames ? ["deliver"] : []),
        ...(request !== undefined ? ["answer"] : []),
        ...(isDue ? [fault] : []),
      ];
      const step = choose(steps as [string, ...string[]]);
      if (step === "happen") script.shift()?.();
      if (step === "deliver") wire.deliver(first);
      if (step === "answer")
        request?.answer(reading === "when it is asked" ? read.get(request) : served.answer(request.url));
      if (step === fault) isDue = false;
      if (step === "an overflow") wire.overflow();
      if (step === "a lost connection") {
        wire.socket.lose();
        await later(1000);
        wire = new Wire();
      }
      await settled();
    }
    await calm(wire);
    expectTruth(openedAt);
  }

  for (const fault of ["nothing else", "a lost connection", "an overflow"] as const)
    for (const reading of ["when it is asked", "when it answers"] as const)
      for (const first of ["events", "tests"] as const)
        it(`with ${fault}, ${first} first, and what is read ${reading}`, { timeout: 60_000 }, async () => {
          const ways = await everyWay((choose) => anyOrder(choose, first, reading, fault));
          expect(ways).toBeGreaterThan(50);
        });
});

it("begins anew with a snapshot that is older than what it has, as after a database was set back", async () => {
  served.complete("1", "a");
  served.complete("2", "b");
  const wire = await opened();
  await calm(wire);
  served = new ServedExecution();
  served.start();
  wire.socket.send({ type: "snapshot", seq: served.state.seq, execution: served.state });
  const next = new Wire();
  served.complete("1", "A");
  await calm(next);
  expect(watch.seen.get().execution).toEqual(served.state);
  expect(watch.seen.get().events).toEqual(served.events);
  expect(watch.seen.get().tests.map(({ title }) => title)).toEqual(["A"]);
});

describe("has only the tests that count, though frames tell of former ones too", () => {
  it.each([
    ["streamed before it", true, () => served.stream("1", "a", "b", "c")],
    ["of a former result", false, () => served.complete("1", "a", "b")],
  ])("those %s", async (_, isPlanned, report) => {
    for (const isBeforeOpening of [true, false]) {
      leave();
      begin();
      served = new ServedExecution("exec_1", { isPlanned });
      served.start();
      let wire = isBeforeOpening ? null : await opened();
      report();
      served.complete("1", "a");
      wire ??= await opened();
      await calm(wire);
      expect(watch.seen.get().tests.map(({ title }) => title)).toEqual(["a"]);
    }
  });
});

describe("what cannot be read is told of, and not taken for what there is", () => {
  /** An execution that has ended, with its log read. */
  async function openedAtItsEnd(): Promise<void> {
    served.complete("1", "a", "b");
    served.complete("2", "c");
    served.end();
    await calm(await opened());
    watch.loadTests();
    await settled();
  }

  function titles(): string[] {
    return watch.seen.get().tests.map(({ title }) => title);
  }

  it("the execution, which is tried again while a proxy or the server fails", async () => {
    watch.start();
    await settled();
    network.request(served.id).answer(null, 502);
    await settled();
    expect(watch.seen.get().failed.state).toBeInstanceOf(Away);
    await later(1000);
    network.request(served.id).refuse(500, "It broke");
    await settled();
    expect(watch.seen.get().failed.state?.message).toBe("It broke");
    await later(2000);
    network.request(served.id).fail();
    await later(4000);
    network.request(served.id).answer(served.state);
    await settled();
    expect(watch.seen.get().execution).toEqual(served.state);
    expect(watch.seen.get().failed.state).toBeNull();
  });

  it("the execution, which is tried again when told to where that does not help by itself", async () => {
    watch.start();
    await settled();
    network.request(served.id).refuse(429, "Too many requests");
    await later(60_000);
    expect(network.asked()).toEqual([]);
    expect(watch.seen.get().failed.state?.message).toBe("Too many requests");
    watch.retry();
    await later(0);
    network.request(served.id).answer(served.state);
    await settled();
    expect(watch.seen.get().failed.state).toBeNull();
  });

  it("the tests, of which there are more than none", async () => {
    await openedAtItsEnd();
    network.request("/tests").refuse(500, "It broke");
    await later(100);
    expect(watch.seen.get()).toMatchObject({ hasAllTests: false, failed: { tests: { message: "It broke" } } });
    await calm(null);
    expect(watch.seen.get()).toMatchObject({ hasAllTests: true, failed: { tests: null } });
    expect(titles()).toEqual(["a", "b", "c"]);
  });

  it("the tests of a result that is sent again, which are read until they are there", async () => {
    await openedAtItsEnd();
    await calm(null);
    served.complete("1", "a");
    network.socket.send({ type: "event", ...served.events.at(-1) });
    await settled();
    network.request("/tests").fail();
    await calm(null);
    expect(titles()).toEqual(["a", "c"]);
  });

  it("the log", async () => {
    await opened();
    network.request("/events").answer(null, 504);
    await later(100);
    expect(watch.seen.get()).toMatchObject({ events: [], failed: { log: new Away() } });
    await later(1000);
    network.request("/events").answer(served.answer(network.request("/events").url));
    await later(200);
    expect(watch.seen.get()).toMatchObject({ events: served.events, failed: { log: null } });
  });

  it("at once when the connection is back", async () => {
    const { socket } = await opened();
    socket.lose();
    for (let tries = 0; tries < 8; tries += 1) {
      if (network.requests.size > 0) network.request("/events").fail();
      await later(10_000);
    }
    if (network.requests.size > 0) network.request("/events").fail();
    await later(500);
    expect(network.asked()).toEqual([]);
    network.socket.open();
    await later(0);
    expect(network.asked()).toEqual([`/api/executions/${served.id}/events`]);
  });
});

it("shows tests that stream in no more than twice a second, and the last of them too", async () => {
  const wire = await opened();
  let lists = 0;
  let last = watch.seen.get().tests;
  watch.seen.subscribe(() => {
    if (watch.seen.get().tests !== last) lists += 1;
    last = watch.seen.get().tests;
  });
  for (let n = 1; n <= 40; n += 1) {
    const test = { ordinal: n, title: `t${n}`, file: null, status: "passed", duration: 1, error: null, retries: 0 };
    wire.socket.send({ type: "tests", n, shardId: "1", tests: [{ ...test, tags: [] }] });
    await later(50);
  }
  await later(500);
  expect(last).toHaveLength(40);
  expect(lists).toBeGreaterThanOrEqual(4);
  expect(lists).toBeLessThanOrEqual(6);
});
