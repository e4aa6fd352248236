/** The events of an execution, each once and in order, however and how often they come. */

import type { LoggedEvent } from "../api/types";

export class EventLog {
  readonly #events = new Map<number, LoggedEvent>();
  #whole: readonly LoggedEvent[] = [];
  #followed: number;
  #newest: number;

  /** @param after number of the event after which they are followed. */
  constructor(after: number) {
    this.#followed = after;
    this.#newest = after;
  }

  /** Number of the last event followed: none that came after the first one is missing up to here. */
  get followed(): number {
    return this.#followed;
  }

  /** Whether there are events that cannot be followed, since one before them is missing. */
  get hasGap(): boolean {
    return this.#newest > this.#followed;
  }

  /** All of them from the first one on, up to where one is missing; the same list until there are more. */
  get whole(): readonly LoggedEvent[] {
    const more = this.#from(this.#whole.length + 1);
    if (more.length > 0) this.#whole = [...this.#whole, ...more];
    return this.#whole;
  }

  /** Learn that there are events up to this number. */
  hearOf(seq: number): void {
    this.#newest = Math.max(this.#newest, seq);
  }

  /** Add an event; returns those that can be followed now. */
  add(event: LoggedEvent): LoggedEvent[] {
    this.#events.set(event.seq, event);
    this.hearOf(event.seq);
    const next = this.#from(this.#followed + 1);
    this.#followed += next.length;
    return next;
  }

  #from(seq: number): LoggedEvent[] {
    const found: LoggedEvent[] = [];
    for (let event = this.#events.get(seq); event !== undefined; event = this.#events.get(seq + found.length)) {
      found.push(event);
    }
    return found;
  }
}
