/** The REST API, typed by the server's own OpenAPI document. */

import type { paths } from "./schema";
import { session, signOut } from "./session";

/** The server answered with an error. `message` is the server's sentence. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly requestId: string,
  ) {
    super(message);
  }
}

/** No answer of the server came: it or the network is away. */
export class Away extends Error {
  constructor() {
    super("The server cannot be reached");
  }
}

/** Whether something that went wrong may go well when it is tried again. */
export function isPassing(error: unknown): boolean {
  return error instanceof Away || (error instanceof Refusal && error.status >= 500);
}

type Method = "get" | "post" | "put" | "patch" | "delete";
type Json<Response> = Response extends { content: { "application/json": infer Content } } ? Content : never;
type Success<Responses> = Json<
  Responses extends { 200: infer R }
    ? R
    : Responses extends { 201: infer R }
      ? R
      : Responses extends { 202: infer R }
        ? R
        : never
>;
type Operation<P extends keyof paths, M extends Method> = M extends keyof paths[P] ? paths[P][M] : never;
type Answer<P extends keyof paths, M extends Method> =
  Operation<P, M> extends { responses: infer Responses } ? Success<Responses> : never;
type QueryOf<P extends keyof paths, M extends Method> =
  Operation<P, M> extends { parameters: { query?: infer Query } } ? Query : never;
/** What has a default may be left out of a body, which the generated types do not say. */
type BodyOf<P extends keyof paths, M extends Method> =
  Operation<P, M> extends { requestBody?: { content: { "application/json": infer Body } } } ? Partial<Body> : never;

interface Asked<P extends keyof paths, M extends Method> {
  /** Ids in the path. */
  ids?: Record<string, string>;
  query?: QueryOf<P, M> | undefined;
  body?: BodyOf<P, M>;
  signal?: AbortSignal | undefined;
}

export type PathOf<M extends Method> = {
  [P in keyof paths]: [Answer<P, M>] extends [never] ? never : P;
}[keyof paths];

/**
 * One request.
 *
 * @throws Refusal, Away
 */
export async function ask<M extends Method, P extends PathOf<M>>(
  method: M,
  path: P,
  asked: Asked<P, M> = {},
): Promise<Answer<P, M>> {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(asked.ids?.[name] ?? ""));
  const response = await send(method, filled + queryText(asked.query as object | undefined), asked.body, asked.signal);
  return (await whole(response.json())) as Answer<P, M>;
}

export function get<P extends PathOf<"get">>(path: P, asked: Asked<P, "get"> = {}): Promise<Answer<P, "get">> {
  return ask("get", path, asked);
}

/** The numbers of the server in Prometheus' text form; they need no token. */
export async function metricsText(signal?: AbortSignal): Promise<string> {
  return whole((await send("get", "/metrics", undefined, signal)).text());
}

/** Whether the server can work; its own sentence where it cannot. */
export async function readiness(signal?: AbortSignal): Promise<string | null> {
  try {
    await send("get", "/readyz", undefined, signal);
    return null;
  } catch (error) {
    if (error instanceof Refusal) return error.message;
    throw error;
  }
}

/** Whether a token opens anything. */
export async function isValidToken(token: string): Promise<boolean> {
  const headers = { Accept: "application/json", Authorization: `Bearer ${token}` };
  const response = await reach("/api/executions?limit=1", { headers });
  if (response.status === 401) return false;
  if (!response.ok) throw await refusal(response);
  return true;
}

async function send(method: Method, url: string, body: unknown, signal: AbortSignal | undefined): Promise<Response> {
  const token = session.get();
  const headers: Record<string, string> = { Accept: "application/json" };
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await reach(url, {
    method: method.toUpperCase(),
    headers,
    body: body === undefined ? null : JSON.stringify(body),
    signal: signal ?? null,
  });
  if (response.ok) return response;
  if (response.status === 401 && token === session.get()) signOut();
  throw await refusal(response);
}

function reach(url: string, request: RequestInit): Promise<Response> {
  return whole(fetch(url, { ...request, cache: "no-store", credentials: "omit" }));
}

/** What comes over the network, which may break at any byte. */
async function whole<T>(coming: Promise<T>): Promise<T> {
  try {
    return await coming;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Away();
  }
}

async function refusal(response: Response): Promise<Refusal | Away> {
  const fallback = { code: "UNKNOWN", message: `The server answered ${response.status}`, requestId: "", details: [] };
  const body = (await response.json().catch(() => null)) as { error?: typeof fallback } | null;
  // Our own errors have a body: something in between speaks for a server that does not.
  if (response.status >= 500 && body?.error === undefined) return new Away();
  const { code, message, requestId, details } = { ...fallback, ...body?.error };
  const fields = (details as { field: string; message: string }[]).map((one) => `${one.field}: ${one.message}`);
  return new Refusal(response.status, code, [message, ...fields].join("; "), requestId);
}

/** What is undefined or null is left out; an empty text is asked for, such as the branch of executions without one. */
export function queryText(query: object | undefined): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null) given.set(name, String(value));
  }
  return given.size ? `?${given}` : "";
}
