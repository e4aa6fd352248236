/** Files that the shards made, by shard and kind. */

import { get } from "../api/client";
import type { Execution } from "../api/types";
import { Empty, Loading, Text, Trouble } from "../ui/parts";
import { useLoaded } from "../ui/use-loaded";

const KINDS = ["screenshots", "videos", "traces", "logs"] as const;

export function ArtifactsTab({ execution }: { execution: Execution }) {
  const { executionId, seq } = execution;
  const loaded = useLoaded(`${executionId} ${seq}`, (signal) =>
    get("/artifacts/{executionId}", { ids: { executionId }, signal }),
  );
  if (loaded.error !== null) return <Trouble error={loaded.error} retry={loaded.reload} />;
  if (loaded.value === null) return <Loading what="the artifacts" />;
  const shards = Object.entries(loaded.value.shards).sort(([one], [other]) => Number(one) - Number(other));
  const named = shards.filter(([, kinds]) => KINDS.some((kind) => (kinds[kind] ?? []).length > 0));
  if (named.length === 0) return <Empty>The shards told of no files.</Empty>;
  return (
    <ul className="artifacts">
      {named.map(([shardId, kinds]) => (
        <li key={shardId} className="card">
          <h3>Shard {shardId}</h3>
          {KINDS.filter((kind) => (kinds[kind] ?? []).length > 0).map((kind) => (
            <section key={kind} aria-label={`${kind} of shard ${shardId}`}>
              <h4>{kind}</h4>
              <ul>
                {(kinds[kind] ?? []).map((name) => (
                  <li key={name}>
                    <Text longest={300}>{name}</Text>
                  </li>
                ))}
              </ul>
            </section>
          ))}
        </li>
      ))}
    </ul>
  );
}
