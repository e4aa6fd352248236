/** A lane a shard: when it began and ended, how it came out, its slowest tests, and results that were replaced. */

import { useMemo, useState } from "react";
import { get } from "../api/client";
import type { Execution, LoggedEvent, Shard, Test } from "../api/types";
import { useQuery } from "../router";
import { Text } from "../ui/parts";
import { Sign } from "../ui/sign";
import { useLoaded } from "../ui/use-loaded";
import { useNow } from "../ui/use-now";
import { clock, duration, plural, visible } from "../ui/words";
import { isEnded, Mix, shardInWords, totalsInWords } from "./bars";
import { eventInWords } from "./event-words";
import { type Scale, scaleOf, ticks } from "./scale";
import { SHARD_TONES } from "./verdict";
import type { Seen } from "./watch";

const FEW = 12;
const SLOWEST = 5;

export function Timeline({ seen, execution }: { seen: Seen; execution: Execution }) {
  const now = useNow();
  const [all, setAll] = useState(false);
  const marks = useMemo(() => marksOf(seen.events), [seen.events]);
  const scale = scaleOf(execution, now);
  if (scale === null) return null;
  const shards = execution.shardResults;
  const shown = all ? shards : mostTelling(shards);
  return (
    <section className="timeline" aria-labelledby="timeline">
      <h2 id="timeline" className="unseen">
        Shards over time
      </h2>
      <div className="axis" aria-hidden="true">
        {ticks(scale).map(({ at, words }) => (
          <span key={at} style={{ left: `${at * 100}%` }}>
            {words}
          </span>
        ))}
      </div>
      <ol className="lanes">
        {shown.map((shard) => (
          <Lane
            key={shard.shardId}
            executionId={execution.executionId}
            shard={shard}
            scale={scale}
            now={now}
            marks={marks.get(shard.shardId) ?? []}
          />
        ))}
      </ol>
      {shards.length > FEW && (
        <button type="button" className="plain" onClick={() => setAll(!all)}>
          {all ? "Show fewer" : `Show all ${plural(shards.length, "shard")}`}
        </button>
      )}
    </section>
  );
}

/** The shards that have something to say: what went wrong, then what runs, then the longest. */
function mostTelling(shards: readonly Shard[]): readonly Shard[] {
  if (shards.length <= FEW) return shards;
  const rank = { error: 0, lost: 0, failed: 1, running: 2, cancelled: 3, completed: 3, pending: 4 };
  return [...shards]
    .sort((one, other) => rank[one.status] - rank[other.status] || (other.duration ?? 0) - (one.duration ?? 0))
    .slice(0, FEW)
    .sort((one, other) => Number(one.shardId) - Number(other.shardId));
}

interface LaneProps {
  executionId: string;
  shard: Shard;
  scale: Scale;
  now: number;
  marks: readonly LoggedEvent[];
}

function Lane({ executionId, shard, scale, now, marks }: LaneProps) {
  const [, change] = useQuery();
  const slowest = useSlowest(executionId, shard);
  const { tone, word } = SHARD_TONES[shard.status];
  const begin = beginOf(shard, scale);
  const end = shard.completedAt === null ? now : Date.parse(shard.completedAt);
  const left = begin === null ? 0 : scale.at(begin);
  const width = begin === null ? 0 : Math.max(scale.at(end) - left, 0.004);
  const length = shard.duration ?? (shard.startedAt === null ? null : end - Date.parse(shard.startedAt));
  return (
    <li>
      <button type="button" className="lane" onClick={() => change({ tab: "tests", shard: shard.shardId })}>
        <span className="lane-name">
          <Sign tone={tone} />
          <span>{shard.shardId}</span>
          <span className="unseen">{shardInWords(shard)}. Show its tests.</span>
        </span>
        <span className="track" aria-hidden="true">
          {begin !== null && (
            <span
              className={`span ${tone}`}
              style={{ left: `${left * 100}%`, width: `${width * 100}%` }}
              title={[
                shard.startedAt === null
                  ? `${word}, with no sign of its start`
                  : `${clock(begin)} to ${shard.completedAt === null ? "now" : clock(end)}`,
                totalsInWords(shard.results),
                slowestInWords(slowest),
              ]
                .join("\n")
                .trim()}
            >
              {isEnded(shard) && <Mix totals={shard.results} />}
            </span>
          )}
          {marks.map((event) => (
            <span
              key={event.seq}
              className="mark"
              style={{ left: `${scale.at(Date.parse(event.timestamp)) * 100}%` }}
              title={markInWords(event)}
            />
          ))}
        </span>
        <span className="lane-words" aria-hidden="true">
          <span>{word}</span>
          {length !== null && <span>{duration(length)}</span>}
          {shard.results.failed > 0 && <span className="bad">{shard.results.failed} failed</span>}
          {shard.plan !== undefined && shard.status === "running" && (
            <span>
              {shard.plan.reported} of {shard.plan.planned}
            </span>
          )}
          {shard.attempts > 1 && <span className="again">result {shard.attempts}</span>}
          {slowest[0] !== undefined && (
            <span className="slowest">
              slowest {duration(slowest[0].duration)}: <Text longest={80}>{slowest[0].title}</Text>
            </span>
          )}
        </span>
      </button>
      {slowest.length > 0 && <p className="unseen">Slowest: {slowestInWords(slowest)}</p>}
    </li>
  );
}

/** Where its span begins; of one that was lost before it began, all the time is lost. Null while there is none. */
function beginOf({ status, startedAt, completedAt }: Shard, scale: Scale): number | null {
  if (startedAt !== null) return Date.parse(startedAt);
  if (status === "lost") return scale.begin;
  return completedAt === null ? null : Date.parse(completedAt);
}

function isEarly(event: LoggedEvent): boolean {
  return (event.data as { reason?: unknown }).reason !== "done";
}

/** Results that were replaced later, and runners that let go before they were done, by shard. */
function marksOf(events: readonly LoggedEvent[]): Map<string, LoggedEvent[]> {
  const marks = new Map<string, LoggedEvent[]>();
  const results = new Map<string, LoggedEvent>();
  for (const event of events) {
    const shardId = String((event.data as { shardId?: unknown }).shardId ?? "");
    let mark: LoggedEvent | undefined;
    if (event.event === "shard.released" && isEarly(event)) mark = event;
    if (event.event === "shard.completed") {
      mark = results.get(shardId);
      results.set(shardId, event);
    }
    if (mark !== undefined) marks.set(shardId, [...(marks.get(shardId) ?? []), mark]);
  }
  return marks;
}

function markInWords(event: LoggedEvent): string {
  return `${clock(event.timestamp)}: ${event.event === "shard.completed" ? "a result that was replaced later" : eventInWords(event)}`;
}

/** The slowest tests of a shard; looked for again when it has another result. */
function useSlowest(executionId: string, shard: Shard): readonly Test[] {
  const query = { shard: Number(shard.shardId), sort: "duration" as const, limit: SLOWEST };
  const page = useLoaded(
    isEnded(shard) ? `${executionId} ${shard.shardId}` : null,
    (signal) => get("/api/executions/{executionId}/tests", { ids: { executionId }, query, signal }),
    { revision: shard.attempts },
  );
  return page.value?.tests.filter((test) => test.duration !== null) ?? [];
}

/** No test says when it ran: what took long is told, and nothing drawn where it may not have been. */
function slowestInWords(tests: readonly Test[]): string {
  return tests.map((test) => `${duration(test.duration)} ${visible(test.title, 200)}`).join("\n");
}
