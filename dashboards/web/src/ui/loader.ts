/** Loads something over and over: one load at a time, and whoever asks during one gets another one afterwards. */

import { isPassing } from "../api/client";

const RETRY_MS = 2000;

export interface Pace {
  /** How often it is loaded without anybody asking, while the page is looked at; 0: never. */
  everyMs: number;
  /** How long it rests at least from the start of a load to that of one that `renew` asked for. */
  restMs: number;
}

export class Loader<T> {
  readonly #controller = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isLoading = false;
  #beganAt = Number.NEGATIVE_INFINITY;
  /** When to load next; null: not until somebody asks. */
  #due: number | null = null;

  constructor(
    readonly load: (signal: AbortSignal) => Promise<T>,
    readonly told: (outcome: { value: T } | { error: Error }) => void,
    readonly pace: Pace,
  ) {}

  /** Load it at once; after the load under way, if there is one, for that may have seen what was before. */
  now(): void {
    this.#plan(Date.now());
  }

  /** It has changed: load it soon. */
  renew(): void {
    this.#plan(Math.max(Date.now(), this.#beganAt + this.pace.restMs));
  }

  stop(): void {
    this.#controller.abort();
    clearTimeout(this.#timer);
  }

  #plan(at: number): void {
    this.#due = Math.min(at, this.#due ?? at);
    this.#wait();
  }

  #wait(): void {
    clearTimeout(this.#timer);
    if (this.#due === null || this.#isLoading || this.#controller.signal.aborted) return;
    const left = this.#due - Date.now();
    if (left <= 0) void this.#run();
    else this.#timer = setTimeout(() => this.#lookedAt(), left);
  }

  /** Nobody needs what nobody looks at. */
  #lookedAt(): void {
    if (document.visibilityState === "visible") void this.#run();
    else this.#timer = setTimeout(() => this.#lookedAt(), RETRY_MS);
  }

  async #run(): Promise<void> {
    this.#due = null;
    this.#isLoading = true;
    this.#beganAt = Date.now();
    const { everyMs } = this.pace;
    let again = everyMs;
    try {
      const value = await this.load(this.#controller.signal);
      if (!this.#controller.signal.aborted) this.told({ value });
    } catch (error) {
      if (!this.#controller.signal.aborted) this.told({ error: error as Error });
      if (isPassing(error) || everyMs > 0) again = Math.max(RETRY_MS, everyMs);
    }
    this.#isLoading = false;
    if (again > 0) this.#plan(Date.now() + again);
    else this.#wait();
  }
}
