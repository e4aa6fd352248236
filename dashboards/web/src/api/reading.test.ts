import { afterEach, beforeEach, expect, it } from "vitest";
import { connectBrowser, disconnectBrowser, later } from "../testing/network";
import { Away, Refusal } from "./client";
import { Reading } from "./reading";

/** What is being read: settled by the test. */
let under: { done: () => void; fail: (error: Error) => void; signal: AbortSignal }[];
let told: (string | null)[];
let reading: Reading;

beforeEach(() => {
  connectBrowser();
  under = [];
  told = [];
  reading = new Reading(
    (signal) => new Promise((done, fail) => under.push({ done, fail, signal })),
    (error) => told.push(error?.message ?? null),
  );
});

afterEach(disconnectBrowser);

it("reads once at a time, and once more for all that was asked meanwhile", async () => {
  reading.ask();
  reading.ask();
  reading.ask();
  await later(1000);
  expect(under).toHaveLength(1);
  under[0]?.done();
  await later(1000);
  expect(under).toHaveLength(2);
  under[1]?.done();
  await later(60_000);
  expect(under).toHaveLength(2);
  expect(told).toEqual([]);
});

it("reads for a burst of wishes twice: for the first, and for all others", async () => {
  for (let wish = 0; wish < 50; wish += 1) {
    reading.ask();
    under.at(-1)?.done();
    await later(1);
  }
  await later(1000);
  expect(under).toHaveLength(2);
});

it("tries again what may pass, ever less often, and says so until it goes well", async () => {
  reading.ask();
  for (let tries = 1; tries <= 20; tries += 1) {
    expect(under).toHaveLength(tries);
    under.at(-1)?.fail(new Away());
    await later(8000);
  }
  under.at(-1)?.done();
  await later(60_000);
  expect(under).toHaveLength(21);
  expect(told).toEqual([...Array(20).fill("The server cannot be reached"), null]);
});

it("does not try by itself what will not pass, but does when it is asked or told to", async () => {
  reading.ask();
  under[0]?.fail(new Refusal(403, "FORBIDDEN", "Not for you", ""));
  await later(60_000);
  expect(under).toHaveLength(1);
  reading.retry();
  await later(0);
  under[1]?.fail(new Refusal(403, "FORBIDDEN", "Still not", ""));
  await later(60_000);
  reading.ask();
  expect(under).toHaveLength(3);
  expect(told).toEqual(["Not for you", "Still not"]);
});

it("ends with nothing more to be told of", async () => {
  reading.ask();
  reading.stop();
  expect(under[0]?.signal.aborted).toBe(true);
  under[0]?.fail(new Away());
  await later(60_000);
  expect(told).toEqual([]);
  expect(under).toHaveLength(1);
});
