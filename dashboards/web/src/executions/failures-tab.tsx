/** Failed tests, those that failed alike together. */

import { useMemo, useState } from "react";
import { get } from "../api/client";
import type { Execution, Test, TestPage } from "../api/types";
import { Empty, Loading, Text, Trouble } from "../ui/parts";
import { Sign } from "../ui/sign";
import { useLoaded } from "../ui/use-loaded";
import { count, duration, plural } from "../ui/words";
import { isFinished } from "./fold";
import { type Group, grouped } from "./likeness";
import { rowOf, type TestRow } from "./test-book";
import { TestDialog } from "./test-dialog";
import type { Seen } from "./watch";

const PAGE = 1000;
const MOST = 5000;
const SHOWN = 20;

export function FailuresTab({ seen, execution }: { seen: Seen; execution: Execution }) {
  const { executionId, results } = execution;
  const isOver = isFinished(execution);
  // While it runs, failed tests come with the live stream; afterwards they are read whole.
  const stored = useLoaded(
    isOver && results.failed > 0 ? executionId : null,
    (signal) => failedTests(executionId, signal),
    { revision: execution.seq },
  );
  const live = useMemo(() => seen.tests.filter((test) => test.status === "failed"), [seen.tests]);
  const tests: readonly TestRow[] = useMemo(() => stored.value?.map(rowOf) ?? live, [stored.value, live]);
  const groups = useMemo(() => grouped(tests), [tests]);
  const [opened, setOpened] = useState<TestRow | null>(null);

  if (stored.error !== null && tests.length === 0) return <Trouble error={stored.error} retry={stored.reload} />;
  if (stored.loading && tests.length === 0) return <Loading what="the failed tests" />;
  if (tests.length === 0) return <NoFailures execution={execution} />;
  return (
    <>
      <p className="quiet">
        {plural(tests.length, "failed test")} in {plural(groups.length, "group")} of like errors
        {results.failed > tests.length && `, of ${count(results.failed)}`}
      </p>
      <ol className="groups">
        {groups.map((group) => (
          <li key={group.likeness}>
            <GroupCard group={group} open={setOpened} isFirst={group === groups[0]} />
          </li>
        ))}
      </ol>
      {opened !== null && <TestDialog executionId={executionId} test={opened} close={() => setOpened(null)} />}
    </>
  );
}

async function failedTests(executionId: string, signal: AbortSignal): Promise<Test[]> {
  const found: Test[] = [];
  const query = { status: "failed" as const, limit: PAGE };
  let cursor: string | null = null;
  do {
    const page: TestPage = await get("/api/executions/{executionId}/tests", {
      ids: { executionId },
      query: { ...query, ...(cursor !== null && { cursor }) },
      signal,
    });
    found.push(...page.tests);
    cursor = page.nextCursor;
  } while (cursor !== null && found.length < MOST);
  return found;
}

function NoFailures({ execution }: { execution: Execution }) {
  const { failed } = execution.results;
  if (failed > 0) return <Empty>{`${plural(failed, "test")} failed, but the runner did not say which.`}</Empty>;
  return <Empty>{isFinished(execution) ? "No test failed." : "No test has failed so far."}</Empty>;
}

function GroupCard({
  group,
  open,
  isFirst,
}: {
  group: Group<TestRow>;
  open: (test: TestRow) => void;
  isFirst: boolean;
}) {
  const [all, setAll] = useState(false);
  const [startsOpen] = useState(isFirst || group.tests.length === 1); // afterwards it is the reader's
  const first = group.tests[0];
  const shown = all ? group.tests : group.tests.slice(0, SHOWN);
  return (
    <details className="card group" open={startsOpen}>
      <summary>
        <span className="number bad">{group.tests.length}</span>
        <span className="likeness">
          <Text longest={240}>{group.likeness}</Text>
        </span>
      </summary>
      {first?.error != null && first.error !== "" && (
        <pre className="error">
          <Text longest={3000}>{first.error}</Text>
        </pre>
      )}
      <ul className="failed-tests">
        {shown.map((test) => (
          <li key={test.key}>
            <button type="button" className="test-line" onClick={() => open(test)}>
              <Sign tone="failed" />
              <span className="title">
                <Text longest={300}>{test.title}</Text>
              </span>
              <span className="quiet file">{test.file !== null && <Text longest={160}>{test.file}</Text>}</span>
              <span className="quiet">shard {test.shardId}</span>
              {(test.retries ?? 0) > 0 && <span className="quiet">{plural((test.retries ?? 0) + 1, "attempt")}</span>}
              <span className="quiet figure">{duration(test.duration)}</span>
            </button>
          </li>
        ))}
      </ul>
      {group.tests.length > SHOWN && (
        <button type="button" className="plain" onClick={() => setAll(!all)}>
          {all ? "Show fewer" : `Show all ${count(group.tests.length)}`}
        </button>
      )}
    </details>
  );
}
