import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Choose, everyWay } from "../testing/every-way";
import { connectBrowser, disconnectBrowser, type FakeRequest, later, network, settled } from "../testing/network";
import { ServedExecution } from "../testing/served";
import { follow, running } from "./running";

let served: ServedExecution;
let stop: () => void;
/** Number of the last event that the connection has delivered. */
let sent: number;

beforeEach(begin);
afterEach(leave);

function begin(): void {
  connectBrowser();
  served = new ServedExecution();
  stop = follow();
  open();
}

function leave(): void {
  stop();
  disconnectBrowser();
}

/** The connection stands: the server begins with what runs. */
function open(): void {
  network.socket.open();
  sent = served.state.seq;
  if (served.state.status !== "completed") snapshot();
}

function snapshot(): void {
  sent = served.state.seq;
  network.socket.send({ type: "snapshot", seq: sent, execution: served.state });
}

function deliver(): void {
  network.socket.send({ type: "event", ...served.events[sent] });
  sent += 1;
}

async function calm(): Promise<void> {
  for (let round = 0; round < 8; round += 1) {
    while (sent < served.state.seq) deliver();
    for (const request of [...network.requests]) request.answer(served.answer(request.url));
    await later(200);
  }
}

describe("in whatever order answers and events come", { timeout: 60_000 }, () => {
  async function anyOrder(choose: Choose, script: ((one: ServedExecution) => void)[], isLost: boolean): Promise<void> {
    leave();
    begin();
    const read = new Map<FakeRequest, unknown>();
    const steps = [...script];
    let isDue = isLost;
    while (steps.length > 0 || sent < served.state.seq) {
      for (const request of network.requests) if (!read.has(request)) read.set(request, served.answer(request.url));
      const [request] = network.requests;
      const possible = [
        ...(steps.length > 0 ? ["happen"] : []),
        ...(sent < served.state.seq ? ["deliver"] : []),
        ...(request !== undefined ? ["answer"] : []),
        ...(isDue ? ["lose"] : []),
      ];
      const step = choose(possible as [string, ...string[]]);
      if (step === "happen") steps.shift()?.(served);
      if (step === "deliver") deliver();
      if (step === "answer") request?.answer(read.get(request));
      if (step === "lose") {
        isDue = false;
        network.socket.lose();
        await later(1000);
        open();
      }
      await settled();
    }
    await calm();
  }

  const run = [(one: ServedExecution) => one.start(), (one: ServedExecution) => one.claim()];

  it.each([false, true])("what runs is as the server has it; a connection was lost: %s", async (isLost) => {
    const more = isLost ? [] : [(one: ServedExecution) => one.claim()];
    const ways = await everyWay(async (choose) => {
      await anyOrder(choose, [...run, (one) => one.complete("1", "a"), ...more], isLost);
      expect(running.get().executions).toEqual([served.state]);
    });
    expect(ways).toBeGreaterThan(10);
  });

  it.each([false, true])("what has ended runs no more; a connection was lost: %s", async (isLost) => {
    const ways = await everyWay(async (choose) => {
      await anyOrder(choose, [...run, (one) => one.end()], isLost);
      expect(running.get().executions).toEqual([]);
      expect(running.get().ended).toBeGreaterThan(0);
    });
    expect(ways).toBeGreaterThan(10);
  });
});

it("does not bring back what has ended by an answer from before", async () => {
  served.claim();
  deliver();
  const late = served.answer(network.request(served.id).url);
  served.end();
  deliver();
  network.request(served.id).answer(late);
  await later(200);
  expect(running.get()).toEqual({ executions: [], ended: 1 });
});

it("does not let go of finding out what ended while the connection was lost", async () => {
  network.socket.lose();
  served.end();
  await later(500);
  open();
  await settled();
  for (const request of [...network.requests]) request.answer(null, 502);
  await later(400);
  expect(running.get().executions).toHaveLength(1);
  await later(400);
  for (const request of [...network.requests]) request.answer(served.answer(request.url));
  await settled();
  network.request(served.id).refuse(500, "It broke");
  await calm();
  expect(running.get().executions).toEqual([]);
});

it("forgets what is not there any more", async () => {
  served.claim();
  deliver();
  network.request(served.id).refuse(404, "No execution");
  await later(200);
  expect(running.get().executions).toEqual([]);
});
