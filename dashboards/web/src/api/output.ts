/** What a managed shard's command has written (docs/jobs.md): read on from where one is, only its end is kept. */

import { Away, Refusal } from "./client";
import { session } from "./session";

const KEPT = 100_000;

export interface Output {
  /** The end of it. */
  text: string;
  /** How much there is, kept or not. */
  bytes: number;
  isCut: boolean;
}

export const NO_OUTPUT: Output = { text: "", bytes: 0, isCut: false };

/**
 * What was there before with all that has come since.
 *
 * @throws Refusal, Away
 */
export async function readOn(
  executionId: string,
  shardId: string,
  former: Output,
  signal: AbortSignal,
): Promise<Output> {
  const response = await reach(`/logs/${executionId}/shard-${shardId}?after=${former.bytes}`, signal);
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let { text, bytes, isCut } = former;
  for (;;) {
    const piece = await reader?.read().catch(lost);
    if (piece?.value === undefined) return { text, bytes, isCut };
    text += decoder.decode(piece.value, { stream: true });
    isCut ||= text.length > KEPT;
    text = text.slice(-KEPT);
    bytes += piece.value.length;
  }
}

async function reach(url: string, signal: AbortSignal): Promise<Response> {
  const headers = { Accept: "text/plain", Authorization: `Bearer ${session.get() ?? ""}` };
  const response = await fetch(url, { headers, signal, cache: "no-store", credentials: "omit" }).catch(lost);
  if (!response.ok) throw new Refusal(response.status, "UNKNOWN", `The server answered ${response.status}`, "");
  return response;
}

function lost(error: Error): never {
  throw error.name === "AbortError" ? error : new Away();
}
