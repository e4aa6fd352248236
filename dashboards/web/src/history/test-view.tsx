/** A test's own page: every run in every execution, its rates, its durations over time, and its quarantine. */

import { useMemo } from "react";
import { get } from "../api/client";
import type { KnownTestDetails, TestRun } from "../api/types";
import { isFlaky, TEST_TONES } from "../executions/verdict";
import { go, useQuery } from "../router";
import { Chart } from "../ui/chart";
import { Link } from "../ui/link";
import { Pages, useCursor } from "../ui/pages";
import { Ago, Empty, Pending, Text, useTitle } from "../ui/parts";
import { Search } from "../ui/search";
import { Badge } from "../ui/sign";
import { useLoaded } from "../ui/use-loaded";
import { duration, percent, plural } from "../ui/words";
import { Outcomes } from "./outcomes";
import { QuarantinePanel } from "./quarantine-panel";
import { testSeriesOf } from "./series";
import { BranchName } from "./suites-view";
import { trend } from "./test-table";

const PAGE = 100;

export function TestView({ testId }: { testId: string }) {
  const ids = { testId };
  const loaded = useLoaded(testId, (signal) => get("/api/tests/{testId}", { ids, signal }));
  const test = loaded.value;
  useTitle(test?.title ?? "Test");
  if (test === null) return <Pending loaded={loaded} what="the test" />;
  return (
    <div className="view">
      <header className={`head ${test.lastStatus}`}>
        <p className="crumbs">
          <Link href="/tests">Tests</Link> <span aria-hidden="true">/</span> <code>{testId}</code>
        </p>
        <div className="head-line">
          <h1>
            <Badge tone={TEST_TONES[test.lastStatus]} word={`Last ${test.lastStatus}`} />
            <span>
              <Text longest={1000}>{test.title}</Text>
            </span>
          </h1>
        </div>
        {test.file !== null && (
          <p className="quiet">
            <Text longest={1000}>{test.file}</Text>
          </p>
        )}
        <Outcomes recent={test.recent} />
        <Facts test={test} />
        <QuarantinePanel test={test} changed={loaded.reload} />
      </header>
      <Runs testId={testId} />
    </div>
  );
}

function Facts({ test }: { test: KnownTestDetails }) {
  const facts: [string, string][] = [
    ["Fails", percent(test.failureRate)],
    ["Flaky", percent(test.flakeRate)],
    ["Takes", duration(test.medianDuration)],
    ["Nearly always under", duration(test.p95Duration)],
    ["Trend", trend(test.durationTrend)],
    ["Suites", test.testSuites.join(", ")],
    ["From its latest", plural(test.runs, "run")],
  ];
  return (
    <dl className="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Runs({ testId }: { testId: string }) {
  const [query, change] = useQuery();
  const branch = query.get("branch") ?? "";
  const cursor = useCursor();
  const asked = { limit: PAGE, ...(branch !== "" && { branch }), ...cursor };
  const page = useLoaded(`${testId} ${JSON.stringify(asked)}`, (signal) =>
    get("/api/tests/{testId}/history", { ids: { testId }, query: asked, signal }),
  );
  const runs = page.value?.runs ?? null;
  return (
    <section aria-labelledby="runs">
      <div className="bar">
        <h2 id="runs">Every run</h2>
        <search className="filters">
          <Search
            label="Branch"
            value={branch}
            placeholder="all branches"
            change={(text) => change({ branch: text.trim(), cursor: null })}
          />
        </search>
      </div>
      <Pending loaded={page} what="its runs" />
      {runs?.length === 0 && <Empty>It has not run on this branch.</Empty>}
      {runs !== null && runs.length > 1 && <Durations runs={runs} />}
      {runs !== null && runs.length > 0 && <RunTable runs={runs} />}
      <Pages next={page.value?.nextCursor} />
    </section>
  );
}

function Durations({ runs }: { runs: readonly TestRun[] }) {
  const drawn = useMemo(() => {
    const { executionIds, moments, durations } = testSeriesOf(runs);
    return { executionIds, moments, lines: [{ name: "took", colour: "--running-bar", values: durations }] };
  }, [runs]);
  const open = (index: number) => go(`/executions/${drawn.executionIds[index]}`);
  return <Chart title="Duration" moments={drawn.moments} lines={drawn.lines} inWords={duration} open={open} />;
}

function RunTable({ runs }: { runs: readonly TestRun[] }) {
  return (
    <div className="table-room">
      <table className="runs">
        <caption className="unseen">Runs, newest first</caption>
        <thead>
          <tr>
            <th scope="col">Outcome</th>
            <th scope="col">Execution</th>
            <th scope="col">Branch</th>
            <th scope="col">Attempts and errors</th>
            <th scope="col" className="figure">
              Took
            </th>
            <th scope="col" className="figure">
              Ended
            </th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => {
            const tone = isFlaky(run) ? "flaky" : TEST_TONES[run.status];
            return (
              <tr key={`${run.executionId} ${run.shardId}`}>
                <td>
                  <Badge tone={tone} word={tone} />
                </td>
                <td>
                  <Link href={`/executions/${run.executionId}`} className="name">
                    {run.testSuite} <span className="quiet">on</span> {run.environment}
                  </Link>{" "}
                  <span className="quiet">shard {run.shardId}</span>
                </td>
                <td>
                  <BranchName branch={run.branch} />
                </td>
                <td className="error-cell">
                  <Attempts run={run} />
                </td>
                <td className="figure">{duration(run.duration)}</td>
                <td className="figure">
                  <Ago at={run.endedAt} />
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

/** Every try of a run, in order; of those that its runner did not tell of, that there were any. */
function Attempts({ run }: { run: TestRun }) {
  const { status, duration: took, error, retries } = run;
  const untold = retries - run.attempts.length;
  const tries = [...run.attempts, { status, duration: took, error }];
  if (tries.length === 1 && untold <= 0) return error === null ? null : <Text longest={300}>{error}</Text>;
  return (
    <>
      {untold > 0 && <p>{plural(untold, "attempt")} before, of which nothing was told</p>}
      <ol className="tries" aria-label="Attempts">
        {tries.map((attempt, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: attempts have no other name than their place
          <li key={index}>
            <Badge tone={TEST_TONES[attempt.status]} word={attempt.status} /> {duration(attempt.duration)}
            {attempt.error != null && (
              <>
                {" "}
                <Text longest={300}>{attempt.error}</Text>
              </>
            )}
          </li>
        ))}
      </ol>
    </>
  );
}
