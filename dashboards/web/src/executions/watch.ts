/** One execution as it stands, kept current by its live stream for as long as somebody looks at it. */

import { Away, get } from "../api/client";
import { type LiveState, watch } from "../api/live";
import type { EventFrame, Execution, Frame, LiveTest, LoggedEvent, TestPage } from "../api/types";
import { Store } from "../ui/store";
import { applied, isFinished, saysTooLittle } from "./fold";
import { TestBook, type TestRow } from "./test-book";

const RETRY_MS = 2000;
/** How often what came is shown: a screen can show no more, and a person read no more. */
const SHOW_MS = 100;
/** How often a list that grows by thousands is shown: it has to be sorted anew each time. */
const SHOW_TESTS_MS = 500;
const PAGE = 1000;
const MOST_FEED = 200;
/** Below so many tests a shard, reading shard by shard takes more requests than it saves. */
const SMALL_SHARD = 200;

export type FeedItem = { key: string; at: number } & (
  | { event: EventFrame; test?: never }
  | { test: LiveTest & { shardId: string }; event?: never }
);

export interface Seen {
  execution: Execution | null;
  live: LiveState;
  error: Error | null;
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
  error: null,
  events: [],
  feed: [],
  tests: [],
  hasAllTests: false,
};

export class ExecutionWatch {
  readonly seen = new Store<Seen>(NOTHING);
  readonly #id: string;
  readonly #book = new TestBook();
  readonly #log = new Map<number, LoggedEvent>();
  readonly #controller = new AbortController();
  #next: Seen = NOTHING;
  #feed: FeedItem[] = [];
  #showing: ReturnType<typeof setTimeout> | undefined;
  #stop: () => void = () => {};
  /** Number of the last frame of tests; null where tests are not streamed but read page by page. */
  #testsAfter: number | null = null;
  #resumes = false;
  #loading: Promise<void> | null = null;
  #refreshing = false;
  /** Shards whose result may have taken the place of what frames told of them. */
  readonly #replaced = new Set<string>();
  readonly #rereading = new Set<string>();
  /** The latest reading of each shard's tests. */
  readonly #readings = new Map<string | undefined, symbol>();
  #testsShownAt = 0;

  constructor(executionId: string) {
    this.#id = executionId;
  }

  start(): void {
    void this.#begin();
  }

  stop(): void {
    this.#controller.abort();
    clearTimeout(this.#showing);
    this.#stop();
  }

  /** Read all tests, unless they stream in anyway or are here already. */
  loadTests(): Promise<void> {
    if (this.#testsAfter !== null || this.#next.hasAllTests) return Promise.resolve();
    this.#loading ??= this.#persistently(() => this.#readAllTests()).then(() => {
      this.#loading = null;
      this.#put({ hasAllTests: true });
    });
    return this.#loading;
  }

  async #begin(): Promise<void> {
    await this.#persistently(async () => {
      const execution = await get("/api/executions/{executionId}", this.#asked());
      this.#testsAfter = isFinished(execution) ? null : 0;
      this.#resumes = true;
      this.#put({ execution, hasAllTests: !isFinished(execution) });
      this.#show();
    });
    if (this.#next.execution === null) return;
    this.#stop = watch({
      path: () => this.#path(),
      take: (frame) => this.#take(frame),
      forget: () => {
        this.#resumes = false;
      },
      told: (live) => this.#put({ live }),
    });
    await this.#persistently(() => this.#readLog());
  }

  #path(): string {
    const query = new URLSearchParams();
    if (this.#resumes) query.set("after", String(this.#next.execution?.seq ?? 0));
    if (this.#testsAfter !== null) {
      query.set("tests", "1");
      query.set("tests_after", String(this.#testsAfter));
    }
    return `/api/executions/${this.#id}/live?${query}`;
  }

  #take(frame: Frame): void {
    if (frame.type === "tests") {
      if (this.#testsAfter !== null && frame.n <= this.#testsAfter) return;
      this.#testsAfter = frame.n;
      // What a shard reported before is replaced by then: only its pages tell what is left of it.
      if (this.#replaced.has(frame.shardId)) void this.#reread(frame.shardId);
      else this.#book.addFrame(frame);
      this.#feedWith(
        frame.tests.map((test) => ({
          test: { ...test, shardId: frame.shardId },
          key: `t${frame.n}.${test.ordinal}`,
          at: Date.now(),
        })),
      );
    } else if (frame.type === "snapshot") {
      this.#resumes = true;
      const isGap = this.#next.execution !== null && frame.seq > this.#next.execution.seq;
      this.#put({ execution: frame.execution });
      if (isGap) void this.#persistently(() => this.#readLog());
    } else {
      this.#takeEvent(frame);
    }
    this.#put({});
  }

  #takeEvent(frame: EventFrame): void {
    const former = this.#next.execution;
    if (former === null || frame.seq <= former.seq) return;
    this.#log.set(frame.seq, frame);
    this.#feedWith([{ event: frame, key: `e${frame.seq}`, at: Date.now() }]);
    this.#put({ execution: applied(former, frame) });
    if (saysTooLittle(frame)) void this.#refresh();
    if (frame.event === "shard.completed") {
      const shardId = String(frame.data.shardId);
      const before = former.shardResults.find((shard) => shard.shardId === shardId);
      if (before !== undefined && (before.attempts > 0 || before.results.total > 0)) this.#replaced.add(shardId);
      const isMissed = this.#testsAfter === null && (this.#next.hasAllTests || this.#loading !== null);
      if (isMissed || this.#replaced.has(shardId)) void this.#reread(shardId);
    }
  }

  /** Put what came, in order, on top of what came before. */
  #feedWith(items: FeedItem[]): void {
    this.#feed = [...items.reverse(), ...this.#feed].slice(0, MOST_FEED);
  }

  /** Read the state anew, for an event that does not say all. */
  async #refresh(): Promise<void> {
    if (this.#refreshing) return;
    this.#refreshing = true;
    await this.#persistently(async () => {
      this.#refreshing = false; // an event that comes from now on asks again
      const execution = await get("/api/executions/{executionId}", this.#asked());
      if (execution.seq >= (this.#next.execution?.seq ?? 0)) this.#put({ execution });
    });
  }

  /** Read a shard's tests anew; what comes until that begins is asked for once. */
  async #reread(shardId: string): Promise<void> {
    if (this.#rereading.has(shardId)) return;
    this.#rereading.add(shardId);
    await this.#persistently(async () => {
      this.#rereading.delete(shardId);
      await this.#readTests(shardId);
    });
  }

  async #readLog(): Promise<void> {
    let after = 0;
    for (;;) {
      while (this.#log.has(after + 1)) after += 1;
      const page = await get("/api/executions/{executionId}/events", this.#asked({ after, limit: PAGE }));
      for (const event of page.events) this.#log.set(event.seq, event);
      this.#put({});
      if (page.events.length < PAGE) return;
    }
  }

  /** Read all tests. Shard by shard where they are large: the server then has to sort less for each page. */
  async #readAllTests(): Promise<void> {
    const { results, shardResults } = this.#next.execution ?? { results: { total: 0 }, shardResults: [] };
    if (results.total < SMALL_SHARD * shardResults.length) return this.#readTests();
    for (const shard of shardResults) await this.#readTests(shard.shardId);
  }

  /** Read the tests of a shard, or of all; where the same is read again meanwhile, that goes on alone. */
  async #readTests(shardId?: string): Promise<void> {
    const reading = Symbol();
    this.#readings.set(shardId, reading);
    const wanted = { limit: PAGE, ...(shardId !== undefined && { shard: Number(shardId) }) };
    let cursor: string | null = null;
    let isFirst = true;
    do {
      const query = { ...wanted, ...(cursor !== null && { cursor }) };
      const page: TestPage = await get("/api/executions/{executionId}/tests", this.#asked(query));
      if (this.#readings.get(shardId) !== reading) return;
      if (isFirst) this.#book.clear(shardId);
      isFirst = false;
      this.#book.addPage(page.tests);
      cursor = page.nextCursor;
      this.#put({});
    } while (cursor !== null);
  }

  #asked<Query>(query?: Query): { ids: { executionId: string }; signal: AbortSignal; query?: Query } {
    const asked = { ids: { executionId: this.#id }, signal: this.#controller.signal };
    return query === undefined ? asked : { ...asked, query };
  }

  /** Do it again and again while the server is away; anything else that goes wrong is shown. */
  async #persistently(work: () => Promise<void>): Promise<void> {
    while (!this.#controller.signal.aborted) {
      try {
        await work();
        if (this.#next.error !== null) this.#put({ error: null });
        return;
      } catch (error) {
        if (this.#controller.signal.aborted) return;
        this.#put({ error: error as Error });
        this.#show();
        if (!(error instanceof Away) && !isPassing(error)) return;
        await new Promise((go) => setTimeout(go, RETRY_MS));
      }
    }
  }

  #put(changes: Partial<Seen>): void {
    this.#next = { ...this.#next, ...changes };
    this.#showing ??= setTimeout(() => this.#show(), SHOW_MS);
  }

  #show(): void {
    clearTimeout(this.#showing);
    this.#showing = undefined;
    if (this.#controller.signal.aborted) return;
    const events = this.#log.size === this.seen.get().events.length ? this.seen.get().events : inOrder(this.#log);
    const isDue = this.#next.hasAllTests || Date.now() - this.#testsShownAt >= SHOW_TESTS_MS;
    if (isDue) this.#testsShownAt = Date.now();
    const tests = isDue ? this.#book.all() : this.#next.tests;
    this.#next = { ...this.#next, feed: this.#feed, tests, events };
    this.seen.set(this.#next);
  }
}

function inOrder(log: ReadonlyMap<number, LoggedEvent>): LoggedEvent[] {
  return [...log.values()].sort((one, other) => one.seq - other.seq);
}

/** A 503 says that the database or an owner is away for a while. */
function isPassing(error: unknown): boolean {
  return error instanceof Error && "status" in error && error.status === 503;
}
