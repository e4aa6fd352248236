/** One execution as it stands, kept current by its live stream for as long as somebody looks at it. */

import { get } from "../api/client";
import { type LiveState, watch } from "../api/live";
import { Reading } from "../api/reading";
import type { Execution, Frame, LiveTest, LoggedEvent, TestPage, TestsFrame } from "../api/types";
import { Store } from "../ui/store";
import { EventLog } from "./event-log";
import { Followed, isFinished } from "./fold";
import { TestBook, type TestRow } from "./test-book";

/** How often what came is shown: a screen can show no more, and a person read no more. */
const SHOW_MS = 100;
/** How often a list that grows by thousands is shown: it has to be sorted anew each time. */
const SHOW_TESTS_MS = 500;
const PAGE = 1000;
const MOST_FEED = 200;
/** Below so many tests a shard, reading shard by shard takes more requests than it saves. */
const SMALL_SHARD = 200;

export type FeedItem = { key: string; at: number } & (
  | { event: LoggedEvent; test?: never }
  | { test: LiveTest & { shardId: string }; event?: never }
);

/** What may fail to be read. */
export type Part = "state" | "log" | "tests";

export interface Seen {
  execution: Execution | null;
  live: LiveState;
  /** Why a part could not be read at the last try; what may pass is tried again by itself. */
  failed: Readonly<Record<Part, Error | null>>;
  /** All events, in order, once the log was read. */
  events: readonly LoggedEvent[];
  /** What came since the page was opened, newest first. */
  feed: readonly FeedItem[];
  tests: readonly TestRow[];
  /** Whether `tests` are all there are. */
  hasAllTests: boolean;
}

const NOTHING: Seen = {
  execution: null,
  live: "connecting",
  failed: { state: null, log: null, tests: null },
  events: [],
  feed: [],
  tests: [],
  hasAllTests: false,
};

export class ExecutionWatch {
  readonly seen = new Store<Seen>(NOTHING);
  readonly #id: string;
  readonly #readings: Readonly<Record<Part, Reading>>;
  readonly #book = new TestBook();
  #execution: Followed | null = null;
  #log = new EventLog(0);
  #feed: FeedItem[] = [];
  #next: Seen = NOTHING;
  #showing: ReturnType<typeof setTimeout> | undefined;
  #showingTests: ReturnType<typeof setTimeout> | undefined;
  #testsShownAt = 0;
  #unwatch: () => void = () => {};
  #resumes = true;
  /** Number of the last frame of tests; null where tests are not streamed but read page by page. */
  #testsAfter: number | null = null;
  #wantsTests = false;
  /** Shards whose tests are to be read; undefined: those of all shards at once. */
  readonly #unread = new Set<string | undefined>();
  /** Shards whose result may have taken the place of what frames told of them. */
  readonly #replaced = new Set<string>();

  constructor(executionId: string) {
    this.#id = executionId;
    const reading = (part: Part, read: (signal: AbortSignal) => Promise<void>) =>
      new Reading(read, (error) => {
        this.#put({ failed: { ...this.#next.failed, [part]: error } });
        this.#show();
      });
    this.#readings = {
      state: reading("state", (signal) => this.#readState(signal)),
      log: reading("log", (signal) => this.#readLog(signal)),
      tests: reading("tests", (signal) => this.#readTests(signal)),
    };
  }

  start(): void {
    this.#readings.state.ask();
  }

  stop(): void {
    this.#unwatch();
    for (const reading of Object.values(this.#readings)) reading.stop();
    clearTimeout(this.#showing);
    clearTimeout(this.#showingTests);
  }

  /** Try at once to read what could not be read. */
  retry(): void {
    for (const reading of Object.values(this.#readings)) reading.retry();
  }

  /** Read all tests, unless they stream in anyway or are asked for already. */
  loadTests(): void {
    const execution = this.#execution?.state;
    if (execution === undefined || this.#testsAfter !== null || this.#wantsTests) return;
    this.#wantsTests = true;
    // Shard by shard where they are large: the server then has to sort less for each page.
    const isSmall = execution.results.total < SMALL_SHARD * execution.shardResults.length;
    for (const shard of isSmall ? [undefined] : execution.shardResults) this.#unread.add(shard?.shardId);
    this.#readings.tests.ask();
  }

  /** Follow an execution from here on. */
  #begin(execution: Execution): void {
    this.#unwatch();
    this.#execution = new Followed(execution);
    this.#log = new EventLog(execution.seq);
    this.#resumes = true;
    this.#book.clear();
    this.#unread.clear();
    this.#replaced.clear();
    this.#testsAfter = isFinished(execution) ? null : 0;
    const wantedTests = this.#wantsTests;
    this.#wantsTests = false;
    if (wantedTests) this.loadTests();
    for (const { shardId, attempts } of execution.shardResults) {
      // Frames tell of former results too, and of what was streamed before a result.
      if (attempts > 1 || (attempts > 0 && execution.plan !== undefined)) this.#replaced.add(shardId);
    }
    this.#put({ execution, hasAllTests: !isFinished(execution) });
    this.#show();
    this.#readings.log.ask();
    this.#unwatch = watch({
      path: () => this.#path(),
      take: (frame) => this.#take(frame),
      opened: (again) => {
        if (again) this.retry();
      },
      forget: () => {
        this.#resumes = false;
      },
      told: (live) => this.#put({ live }),
    });
  }

  #path(): string {
    const query = new URLSearchParams();
    if (this.#resumes) query.set("after", String(this.#log.followed));
    if (this.#testsAfter !== null) {
      query.set("tests", "1");
      query.set("tests_after", String(this.#testsAfter));
    }
    return `/api/executions/${this.#id}/live?${query}`;
  }

  #take(frame: Frame): void {
    if (this.#execution === null) return;
    if (frame.type === "tests") {
      this.#takeTests(frame);
    } else if (frame.type === "event") {
      this.#follow(frame);
      this.#apply(frame); // which may be part of the state before it is its turn in the log
    } else if (frame.seq < this.#log.followed) {
      this.#begin(frame.execution); // the server's database was set back
    } else {
      this.#resumes = true;
      this.#log.hearOf(frame.seq);
      this.#execution.read(frame.execution);
    }
    if (this.#log.hasGap) this.#readings.log.ask();
    this.#put({ execution: this.#execution.state });
  }

  #takeTests(frame: TestsFrame): void {
    if (this.#testsAfter !== null && frame.n <= this.#testsAfter) return;
    this.#testsAfter = frame.n;
    // What a shard reported before is replaced by then: only its pages tell what is left of it.
    if (this.#replaced.has(frame.shardId)) this.#reread(frame.shardId);
    else this.#book.addFrame(frame);
    this.#feedWith(
      frame.tests.map((test) => ({
        test: { ...test, shardId: frame.shardId },
        key: `t${frame.n}.${test.ordinal}`,
        at: Date.now(),
      })),
    );
  }

  /** Take an event of the stream or of the log: what is new since the page was opened is told once and in order. */
  #follow(event: LoggedEvent): void {
    for (const next of this.#log.add(event)) {
      this.#feedWith([{ event: next, key: `e${next.seq}`, at: Date.now() }]);
      if (next.event === "shard.completed") this.#ended(String((next.data as { shardId: unknown }).shardId));
      this.#apply(next);
    }
  }

  #apply(event: LoggedEvent): void {
    if (this.#execution?.take(event)) this.#readings.state.ask();
  }

  /** A shard has a result. The state may know that already: then it is taken to have had one before, to be sure. */
  #ended(shardId: string): void {
    const shard = this.#execution?.state.shardResults.find((one) => one.shardId === shardId);
    if (shard !== undefined && (shard.attempts > 0 || shard.results.total > 0)) this.#replaced.add(shardId);
    if (this.#testsAfter === null ? this.#wantsTests : this.#replaced.has(shardId)) this.#reread(shardId);
  }

  /** Put what came, in order, on top of what came before. */
  #feedWith(items: FeedItem[]): void {
    this.#feed = [...items.reverse(), ...this.#feed].slice(0, MOST_FEED);
  }

  #reread(shardId: string): void {
    this.#unread.add(shardId);
    this.#readings.tests.ask();
  }

  async #readState(signal: AbortSignal): Promise<void> {
    const execution = await get("/api/executions/{executionId}", { ids: { executionId: this.#id }, signal });
    if (this.#execution === null) return this.#begin(execution);
    this.#execution.read(execution);
    this.#put({ execution: this.#execution.state });
  }

  async #readLog(signal: AbortSignal): Promise<void> {
    const ids = { executionId: this.#id };
    for (;;) {
      const query = { after: this.#log.whole.length, limit: PAGE };
      const { events } = await get("/api/executions/{executionId}/events", { ids, query, signal });
      for (const event of events) this.#follow(event);
      this.#put({});
      if (events.length < PAGE) return;
    }
  }

  async #readTests(signal: AbortSignal): Promise<void> {
    for (const shardId of [...this.#unread]) {
      this.#unread.delete(shardId);
      try {
        await this.#readPages(shardId, signal);
      } catch (error) {
        this.#unread.add(shardId);
        throw error;
      }
    }
    this.#put({ hasAllTests: true });
  }

  /** Read the tests of a shard, or of all, in the place of those that are known. */
  async #readPages(shardId: string | undefined, signal: AbortSignal): Promise<void> {
    const ids = { executionId: this.#id };
    const wanted = { limit: PAGE, ...(shardId !== undefined && { shard: Number(shardId) }) };
    let cursor: string | null = null;
    do {
      const query = { ...wanted, ...(cursor !== null && { cursor }) };
      const page: TestPage = await get("/api/executions/{executionId}/tests", { ids, query, signal });
      if (cursor === null) this.#book.clear(shardId);
      this.#book.addPage(page.tests);
      cursor = page.nextCursor;
      this.#put({});
    } while (cursor !== null);
  }

  #put(changes: Partial<Seen>): void {
    this.#next = { ...this.#next, ...changes };
    this.#showing ??= setTimeout(() => this.#show(), SHOW_MS);
  }

  #show(): void {
    clearTimeout(this.#showing);
    this.#showing = undefined;
    this.#next = { ...this.#next, feed: this.#feed, events: this.#log.whole, tests: this.#testsToShow() };
    this.seen.set(this.#next);
  }

  #testsToShow(): readonly TestRow[] {
    const isWhole = this.#next.hasAllTests && !this.seen.get().hasAllTests;
    const wait = isWhole ? 0 : this.#testsShownAt + SHOW_TESTS_MS - Date.now();
    if (wait <= 0) {
      this.#testsShownAt = Date.now();
      return this.#book.all();
    }
    clearTimeout(this.#showingTests);
    if (this.#book.hasNews) this.#showingTests = setTimeout(() => this.#show(), wait);
    return this.#next.tests;
  }
}
