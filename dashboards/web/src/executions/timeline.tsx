/** A lane a shard: when it began and ended, how it came out, its slowest tests, and what went before a second result. */

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
import { isFinished } from "./fold";
import { type Scale, scaleOf, ticks } from "./scale";
import { SHARD_TONES } from "./verdict";
import type { Seen } from "./watch";

const FEW = 12;
/** A test that takes less of its shard's time than this cannot be seen in its lane. */
const SMALLEST_SHARE = 0.02;

export function Timeline({ seen, execution }: { seen: Seen; execution: Execution }) {
  const now = useNow();
  const [all, setAll] = useState(false);
  const slowest = useSlowest(execution);
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
            shard={shard}
            scale={scale}
            now={now}
            slowest={slowest.get(shard.shardId) ?? []}
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
  shard: Shard;
  scale: Scale;
  now: number;
  slowest: readonly Test[];
  marks: readonly LoggedEvent[];
}

function Lane({ shard, scale, now, slowest, marks }: LaneProps) {
  const [, change] = useQuery();
  const { tone, word } = SHARD_TONES[shard.status];
  const begin = shard.startedAt === null ? null : Date.parse(shard.startedAt);
  const end = shard.completedAt === null ? now : Date.parse(shard.completedAt);
  const left = begin === null ? 0 : scale.at(begin);
  const width = begin === null ? 0 : Math.max(scale.at(end) - left, 0.004);
  const length = shard.duration ?? (begin === null ? 0 : end - begin);
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
              title={`${clock(begin)} to ${shard.completedAt === null ? "now" : clock(end)}\n${totalsInWords(shard.results)}`}
            >
              {isEnded(shard) && <Mix totals={shard.results} />}
              {slowest
                .filter((test) => length > 0 && (test.duration ?? 0) / length >= SMALLEST_SHARE)
                .map((test) => (
                  <span
                    key={`${test.submissionId} ${test.ordinal}`}
                    className="slow"
                    style={{ width: `${(100 * (test.duration ?? 0)) / length}%` }}
                    title={`${visible(test.title, 200)}\n${duration(test.duration)}`}
                  />
                ))}
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
          <span>{begin === null ? "" : duration(length)}</span>
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
    </li>
  );
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

/** The slowest tests of the execution, by shard; looked for again when shards have ended. */
function useSlowest(execution: Execution): Map<string, Test[]> {
  const { executionId, progress } = execution;
  const round = isFinished(execution) ? `end ${execution.seq}` : progress.shardsCompleted;
  const key = execution.results.total > 0 ? `${executionId} ${round}` : null;
  const report = useLoaded(key, (signal) => get("/reports/{executionId}", { ids: { executionId }, signal }));
  const [last, setLast] = useState<readonly Test[]>([]);
  if (report.value !== null && report.value.slowestTests !== last) setLast(report.value.slowestTests);
  return useMemo(() => {
    const byShard = new Map<string, Test[]>();
    for (const test of last) byShard.set(test.shardId, [...(byShard.get(test.shardId) ?? []), test]);
    return byShard;
  }, [last]);
}
