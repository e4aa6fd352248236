/** Events as sentences. */

import type { LoggedEvent, Totals } from "../api/types";
import { count, duration } from "../ui/words";
import { totalsInWords } from "./bars";

const RELEASES: Record<string, string> = {
  done: "has worked off its tests",
  lapsed: "fell silent; its tests go to others",
  handed_back: "handed its tests back",
};

type Told = Pick<LoggedEvent, "event" | "data">;

export function eventInWords({ event, data: told }: Told): string {
  const data = told as Record<string, unknown>;
  const shard = `Shard ${String(data.shardId)}`;
  const results = data.results as Totals | undefined;
  switch (event) {
    case "execution.created":
      return "Created";
    case "execution.started":
      return "Started";
    case "execution.progress":
      return `Under way: ${results === undefined ? "no figures" : totalsInWords(results)}`;
    case "execution.completed":
      return `Completed: ${results === undefined ? "no figures" : totalsInWords(results)}`;
    case "execution.failed":
      return `Broken: ${String(data.reason)}`;
    case "execution.cancelled":
      return `Cancelled: ${String(data.reason)}`;
    case "plan.created":
      return "The tests were planned";
    case "shard.started":
      return `${shard} started`;
    case "shard.claimed":
      return `${shard} was claimed by ${String(data.runnerId)}`;
    case "shard.released":
      return `${shard}: ${String(data.runnerId)} ${RELEASES[String(data.reason)] ?? "let go of it"}`;
    case "shard.progress":
      return `${shard} under way: ${results === undefined ? "" : count(results.total)} tests`;
    case "shard.completed":
      return `${shard} ${String(data.status)}: ${results === undefined ? "" : totalsInWords(results)}, ${duration(data.duration as number | null)}`;
    default:
      return event;
  }
}
