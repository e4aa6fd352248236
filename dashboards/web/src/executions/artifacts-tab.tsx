/** Files of the shards: those that were uploaded, to be looked at, and those that runners only named. */

import { get } from "../api/client";
import type { Execution, UploadedFile } from "../api/types";
import { Empty, Pending, Text } from "../ui/parts";
import { useLoaded } from "../ui/use-loaded";
import { bytes } from "../ui/words";
import { type FileGroup, groupsOf, hrefOf } from "./artifacts";
import { isFinished } from "./fold";

/** While it runs, files come at any time; afterwards the list is only renewed before its links end. */
const RUNNING_MS = 10_000;
const LINKS_MS = 8 * 60_000;

export function ArtifactsTab({ execution }: { execution: Execution }) {
  const { executionId, seq } = execution;
  const loaded = useLoaded(
    `${executionId} ${seq}`,
    (signal) => get("/artifacts/{executionId}", { ids: { executionId }, signal }),
    isFinished(execution) ? LINKS_MS : RUNNING_MS,
  );
  if (loaded.value === null) return <Pending loaded={loaded} what="the artifacts" />;
  const groups = groupsOf(loaded.value);
  if (groups.length === 0) return <Empty>The shards told of no files.</Empty>;
  return (
    <ul className="artifacts">
      {groups.map((group) => (
        <li key={`${group.shardId} ${group.kind}`} className="card">
          <Group group={group} />
        </li>
      ))}
    </ul>
  );
}

function Group({ group }: { group: FileGroup }) {
  return (
    <>
      <h3>
        Shard {group.shardId}, {group.kind}
      </h3>
      <ul className="files">
        {group.files.map((file) => (
          <li key={file.artifactId}>
            <File file={file} />
          </li>
        ))}
        {group.names.map((name) => (
          <li key={name} className="quiet">
            <Text longest={300}>{name}</Text> (was not uploaded)
          </li>
        ))}
      </ul>
    </>
  );
}

function File({ file }: { file: UploadedFile }) {
  const href = hrefOf(file);
  const about = [bytes(file.size), ...(file.attempt === null ? [] : [`attempt ${file.attempt}`])].join(", ");
  return (
    <figure>
      {href !== null && file.contentType.startsWith("image/") && (
        <a href={href} target="_blank" rel="noreferrer">
          <img src={href} alt={`${file.name} of ${file.test ?? `shard ${file.shardId}`}`} loading="lazy" />
        </a>
      )}
      {href !== null && file.contentType.startsWith("video/") && (
        // biome-ignore lint/a11y/useMediaCaption: a recording of a test has no words
        <video src={href} controls preload="none" aria-label={file.name} />
      )}
      <figcaption>
        {href === null ? (
          <Text longest={300}>{file.name}</Text>
        ) : (
          <a href={href} target="_blank" rel="noreferrer">
            <Text longest={300}>{file.name}</Text>
          </a>
        )}{" "}
        <span className="quiet">
          {about}
          {href === null && ", on its way"}
          {file.test !== null && (
            <>
              , of <Text longest={200}>{file.test}</Text>
            </>
          )}
        </span>
      </figcaption>
    </figure>
  );
}
