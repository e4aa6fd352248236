import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Away } from "../api/client";
import { Loader, type Pace } from "./loader";

const page = { visibilityState: "visible" };

beforeEach(() => {
  vi.useFakeTimers();
  page.visibilityState = "visible";
  vi.stubGlobal("document", page);
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** A loader of the numbers 1, 2, 3 …, each of which takes 100 ms, and what it told. */
function counting(pace: Partial<Pace> = {}, fails: (number: number) => Error | null = () => null) {
  const told: (number | string)[] = [];
  let begun = 0;
  const loader = new Loader<number>(
    async () => {
      begun += 1;
      const number = begun;
      await new Promise((go) => setTimeout(go, 100));
      const error = fails(number);
      if (error !== null) throw error;
      return number;
    },
    (outcome) =>
      told.push("value" in outcome ? outcome.value : outcome.error instanceof Away ? "away" : outcome.error.message),
    { everyMs: 0, restMs: 1000, ...pace },
  );
  return { loader, told, begun: () => begun };
}

it("loads while it is asked again all the time, and no more often than it may", async () => {
  const { loader, told } = counting();
  loader.now();
  for (let passed = 0; passed < 5000; passed += 10) {
    loader.renew();
    await vi.advanceTimersByTimeAsync(10);
  }
  expect(told).toEqual([1, 2, 3, 4, 5]);
});

it("loads once more at once where somebody asked during a load", async () => {
  const { loader, told } = counting();
  loader.now();
  loader.now();
  loader.now();
  await vi.advanceTimersByTimeAsync(5000);
  expect(told).toEqual([1, 2]);
});

it("loads by itself while it is looked at", async () => {
  const { loader, begun } = counting({ everyMs: 10_000 });
  loader.now();
  await vi.advanceTimersByTimeAsync(25_000);
  expect(begun()).toBe(3);
  page.visibilityState = "hidden";
  await vi.advanceTimersByTimeAsync(60_000);
  expect(begun()).toBe(3);
  page.visibilityState = "visible";
  await vi.advanceTimersByTimeAsync(2000);
  expect(begun()).toBe(4);
});

it("tries again while the server is away, and leaves a refusal at that", async () => {
  const { loader, told } = counting({}, (number) => [new Away(), new Error("refused")][number - 1] ?? null);
  loader.now();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(told).toEqual(["away", "refused"]);
});

it("tells nothing when it was stopped", async () => {
  const { loader, told } = counting({ everyMs: 1000 });
  loader.now();
  loader.stop();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(told).toEqual([]);
});
