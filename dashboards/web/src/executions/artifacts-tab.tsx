/** Files of the shards: those that were uploaded, to be looked at, and those that runners only named. */

import { useState } from "react";
import type { Execution } from "../api/types";
import { Empty, Pending, Text } from "../ui/parts";
import { useLoaded } from "../ui/use-loaded";
import { count } from "../ui/words";
import { ArtifactFile } from "./artifact-file";
import { type FileGroup, groupsOf, listed } from "./artifacts";
import { isFinished } from "./fold";
import { Outputs } from "./outputs";

/** While it runs, files come at any time; afterwards the list is only renewed before its links end. */
const RUNNING_MS = 10_000;
const LINKS_MS = 8 * 60_000;
const SHOWN = 50;

export function ArtifactsTab({ execution }: { execution: Execution }) {
  return (
    <>
      {execution.provider === "managed" && <Outputs execution={execution} />}
      <Files execution={execution} />
    </>
  );
}

function Files({ execution }: { execution: Execution }) {
  const { executionId } = execution;
  const isOver = isFinished(execution);
  const loaded = useLoaded(executionId, (signal) => listed(executionId, signal), {
    everyMs: isOver ? LINKS_MS : RUNNING_MS,
    restMs: RUNNING_MS,
    revision: execution.shardResults.reduce((sum, shard) => sum + shard.attempts, 0), // names come with results
  });
  if (loaded.value === null) return <Pending loaded={loaded} what="the artifacts" />;
  const groups = groupsOf(loaded.value);
  if (groups.length === 0) return <Empty>The shards told of no files.</Empty>;
  return (
    <ul className="artifacts">
      {groups.map((group) => (
        <li key={`${group.shardId} ${group.kind}`} className="card">
          <Group group={group} isOver={isOver} />
        </li>
      ))}
    </ul>
  );
}

function Group({ group, isOver }: { group: FileGroup; isOver: boolean }) {
  const [all, setAll] = useState(false);
  const { files, names } = group;
  const number = files.length + names.length;
  const most = all ? number : SHOWN;
  return (
    <>
      <h3>
        Shard {group.shardId}, {group.kind} <span className="number">{count(number)}</span>
      </h3>
      <ul className="files">
        {files.slice(0, most).map((file) => (
          <li key={file.artifactId}>
            <ArtifactFile file={file} withTest />
          </li>
        ))}
        {names.slice(0, Math.max(most - files.length, 0)).map((name) => (
          <li key={name} className="quiet">
            <Text longest={300}>{name}</Text> ({isOver ? "was not uploaded" : "not uploaded so far"})
          </li>
        ))}
      </ul>
      {number > SHOWN && (
        <button type="button" className="plain" onClick={() => setAll(!all)}>
          {all ? "Show fewer" : `Show all ${count(number)}`}
        </button>
      )}
    </>
  );
}
