/** A browser's network as tests hold it in their hands: nothing arrives before they let it. */

import { vi } from "vitest";

export class FakeSocket {
  static readonly OPEN = 1;
  readyState = 0;
  onopen: () => void = () => {};
  onmessage: (message: { data: string }) => void = () => {};
  onclose: (closed: { code: number }) => void = () => {};

  constructor(
    readonly url: URL,
    readonly protocols: string[],
  ) {
    network.sockets.push(this);
  }

  get query(): URLSearchParams {
    return this.url.searchParams;
  }

  open(): void {
    this.readyState = 1;
    this.onopen();
  }

  send(frame: object): void {
    this.onmessage({ data: JSON.stringify(frame) });
  }

  /** The other side, or the way there, ends it. */
  lose(code = 1006): void {
    this.readyState = 3;
    this.onclose({ code });
  }

  /** The page ends it. */
  close(): void {
    this.readyState = 3;
  }
}

export class FakeRequest {
  readonly url: URL;
  #settle: (response: Response) => void = () => {};
  #reject: (error: unknown) => void = () => {};
  readonly response = new Promise<Response>((settle, reject) => {
    this.#settle = settle;
    this.#reject = reject;
  });

  constructor(url: string, signal: AbortSignal | null | undefined) {
    this.url = new URL(url, "http://tms.test");
    signal?.addEventListener("abort", () => {
      network.requests.delete(this);
      this.#reject(new DOMException("", "AbortError"));
    });
  }

  /** Answer it; a body that is null is none of ours. */
  answer(body: unknown, status = 200): void {
    network.requests.delete(this);
    const json = () => (body === null ? Promise.reject(new SyntaxError("<html>")) : Promise.resolve(body));
    this.#settle({ ok: status < 400, status, json } as Response);
  }

  refuse(status: number, message: string): void {
    this.answer({ error: { code: "REFUSED", message, requestId: "req_1", details: [] } }, status);
  }

  fail(): void {
    network.requests.delete(this);
    this.#reject(new TypeError("Failed to fetch"));
  }
}

class Network {
  readonly sockets: FakeSocket[] = [];
  readonly requests = new Set<FakeRequest>();
  window = new EventTarget();
  document = Object.assign(new EventTarget(), { visibilityState: "visible" });

  /** The connection that was made last. */
  get socket(): FakeSocket {
    const last = this.sockets.at(-1);
    if (last === undefined) throw new Error("There is no connection");
    return last;
  }

  /** The oldest request without an answer, by the end of its path. */
  request(path: string): FakeRequest {
    const found = [...this.requests].find((one) => one.url.pathname.endsWith(path));
    if (found === undefined) throw new Error(`There is no request of ${path}`);
    return found;
  }

  asked(): string[] {
    return [...this.requests].map(({ url }) => url.pathname);
  }
}

export let network = new Network();

/** Begin anew, on a clock that stands still. */
export function connectBrowser(): void {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"] });
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  network = new Network();
  vi.stubGlobal("location", { href: "http://tms.test/" });
  vi.stubGlobal("document", network.document);
  vi.stubGlobal("addEventListener", network.window.addEventListener.bind(network.window));
  vi.stubGlobal("removeEventListener", network.window.removeEventListener.bind(network.window));
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("fetch", (url: string, { signal }: RequestInit) => {
    const request = new FakeRequest(url, signal);
    network.requests.add(request);
    return request.response;
  });
}

export function disconnectBrowser(): void {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
}

/** Let everything happen that does not wait for the clock or the network. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 25; turn += 1) await Promise.resolve();
}

/** Let so much time pass. */
export async function later(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
  await settled();
}
