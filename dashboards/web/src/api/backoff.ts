/** Waits between tries that grow, and differ from page to page, so that not all of them come back at once. */

const FIRST_MS = 500;
const LONGEST_MS = 8000;

export class Backoff {
  #ms = FIRST_MS;

  /** How long to wait before the next try, in ms. */
  next(): number {
    const ms = this.#ms * (0.75 + Math.random() / 2);
    this.#ms = Math.min(this.#ms * 2, LONGEST_MS);
    return ms;
  }

  reset(): void {
    this.#ms = FIRST_MS;
  }
}
