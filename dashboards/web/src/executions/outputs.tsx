/** What the commands of managed shards write, as they write it. */

import { useLayoutEffect, useRef, useState } from "react";
import { get } from "../api/client";
import { NO_OUTPUT, type Output, readOn } from "../api/output";
import type { Execution, ManagedShard } from "../api/types";
import { Pending, Text } from "../ui/parts";
import { useLoaded } from "../ui/use-loaded";
import { bytes, wholeMoment } from "../ui/words";
import { isFinished } from "./fold";

const EVERY_MS = 2000;
/** So near to its end a reader follows what comes. */
const NEAR_PX = 40;
// biome-ignore lint/suspicious/noControlCharactersInRegex: colours of terminals begin with one
const COLOURS = /\u001b\[[0-9;]*m/g;

export function Outputs({ execution }: { execution: Execution }) {
  const { executionId } = execution;
  const job = useLoaded(
    executionId,
    (signal) => get("/api/executions/{executionId}/job", { ids: { executionId }, signal }),
    { everyMs: isFinished(execution) ? 0 : EVERY_MS, revision: execution.seq },
  );
  return (
    <section aria-labelledby="outputs">
      <h2 id="outputs">Output</h2>
      <Pending loaded={job} what="the shards' state" />
      <ul className="artifacts">
        {job.value?.shards.map((shard) => (
          <li key={shard.shardId} className="card">
            <ShardOutput executionId={executionId} shard={shard} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function ShardOutput({ executionId, shard }: { executionId: string; shard: ManagedShard }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details className="output" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <strong>Shard {shard.shardId}</strong> <span className="quiet">{inWords(shard)}</span>
      </summary>
      {shard.reason !== null && (
        <p>
          <Text longest={1000}>{shard.reason}</Text>
        </p>
      )}
      {isOpen && <Tail executionId={executionId} shard={shard} />}
    </details>
  );
}

function inWords({ state, attempt, node, exitCode, endedAt }: ManagedShard): string {
  return [
    state,
    ...(attempt > 1 ? [`attempt ${attempt}`] : []),
    ...(node === null ? [] : [`on ${node}`]),
    ...(exitCode === null ? [] : [`exit code ${exitCode}`]),
    ...(endedAt === null ? [] : [wholeMoment(endedAt)]),
  ].join(", ");
}

function Tail({ executionId, shard }: { executionId: string; shard: ManagedShard }) {
  const former = useRef<Output>(NO_OUTPUT);
  const isOver = shard.state === "ended" || shard.state === "lost";
  const read = useLoaded(
    `${executionId} ${shard.shardId}`,
    async (signal) => {
      former.current = await readOn(executionId, shard.shardId, former.current, signal);
      return former.current;
    },
    { everyMs: isOver ? 0 : EVERY_MS, revision: shard.attempt },
  );
  const room = useRef<HTMLPreElement>(null);
  const follows = useRef(true);
  const text = read.value?.text ?? "";
  // biome-ignore lint/correctness/useExhaustiveDependencies: what came is below what was there
  useLayoutEffect(() => {
    if (room.current !== null && follows.current) room.current.scrollTop = room.current.scrollHeight;
  }, [text]);

  if (read.value === null) return <Pending loaded={read} what="the output" />;
  const shown = text.replace(COLOURS, "");
  return (
    <>
      <p className="quiet">
        {bytes(read.value.bytes)}
        {read.value.isCut && ", of which this is the end"}; all of it:{" "}
        <code>
          GET /logs/{executionId}/shard-{shard.shardId}
        </code>
      </p>
      <pre
        ref={room}
        className="json"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and so must be reached by keys
        tabIndex={0}
        role="log"
        aria-live="off"
        aria-label={`Output of shard ${shard.shardId}`}
        onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
          follows.current = scrollHeight - scrollTop - clientHeight < NEAR_PX;
        }}
      >
        <Text>{shown === "" ? "Nothing was written so far." : shown}</Text>
      </pre>
    </>
  );
}
