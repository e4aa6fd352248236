/** Something that has to be read again and again, one reading at a time, until what was asked for last is there. */

import { Backoff } from "./backoff";
import { isPassing } from "./client";

/** What asks for a reading comes in bursts: so long, one reading does for all of it. */
const REST_MS = 100;

export class Reading {
  readonly #read: (signal: AbortSignal) => Promise<void>;
  readonly #told: (error: Error | null) => void;
  readonly #controller = new AbortController();
  readonly #backoff = new Backoff();
  #error: Error | null = null;
  #isAsked = false;
  #isReading = false;
  #resting: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param read rejects where it fails; what it began it then finishes when it is called again.
   * @param told is given what went wrong, and null once it goes well again. What may pass is tried again meanwhile.
   */
  constructor(read: (signal: AbortSignal) => Promise<void>, told: (error: Error | null) => void = () => {}) {
    this.#read = read;
    this.#told = told;
  }

  /** Read what is there from now on: at once, or when the reading under way and its rest are over. */
  ask(): void {
    this.#isAsked = true;
    if (!this.#isReading && this.#resting === undefined) void this.#go();
  }

  /** Try at once what went wrong; nothing where nothing did. */
  retry(): void {
    if (this.#error === null || this.#isReading) return;
    this.#rest(0);
    this.#isAsked = true;
  }

  stop(): void {
    this.#controller.abort();
    clearTimeout(this.#resting);
  }

  async #go(): Promise<void> {
    this.#isAsked = false;
    this.#isReading = true;
    const error = await this.#read(this.#controller.signal).then(
      () => null,
      (failure: Error) => failure,
    );
    if (this.#controller.signal.aborted) return;
    this.#isReading = false;
    if (error === null) this.#backoff.reset();
    else if (isPassing(error)) this.#isAsked = true;
    this.#rest(error === null ? REST_MS : this.#backoff.next());
    if (error === this.#error) return;
    this.#error = error;
    this.#told(error);
  }

  #rest(ms: number): void {
    clearTimeout(this.#resting);
    this.#resting = setTimeout(() => {
      this.#resting = undefined;
      if (this.#isAsked) void this.#go();
    }, ms);
  }
}
