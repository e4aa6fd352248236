/** Suites over time, a card for each branch they run on; and one suite on one branch, with its worst tests. */

import { useMemo } from "react";
import { get } from "../api/client";
import type { KnownTest, SuiteBranch } from "../api/types";
import { running } from "../executions/running";
import { go, useQuery } from "../router";
import { Chart } from "../ui/chart";
import { Link } from "../ui/link";
import { Pages, useCursor } from "../ui/pages";
import { Ago, Empty, Pending, Text, useTitle } from "../ui/parts";
import { Search } from "../ui/search";
import { useStore } from "../ui/store";
import { useLoaded } from "../ui/use-loaded";
import { duration, percent, plural, whole } from "../ui/words";
import { seriesOf } from "./series";
import { TestChart, type TestCurve } from "./test-chart";
import { TestTable } from "./test-table";

const FEW_POINTS = 30;
const MANY_POINTS = 100;
const MOST_WORST = 10;
const CHARTED = 4;
/** What is told of single tests needs many rows, and changes little with one execution more. */
const REST_MS = 10_000;

/** Where a suite on a branch is looked at; an empty branch is that of executions without one. */
function hrefOf({ testSuite, branch }: SuiteBranch): string {
  return `/suites/${testSuite}?${new URLSearchParams({ branch: branch ?? "" })}`;
}

export function SuitesView() {
  const [query, change] = useQuery();
  const { ended } = useStore(running);
  const branch = query.get("branch") ?? "";
  const cursor = useCursor();
  const asked = { points: FEW_POINTS, limit: 20, ...(branch !== "" && { branch }), ...cursor };
  const page = useLoaded(JSON.stringify(asked), (signal) => get("/api/suites", { query: asked, signal }), {
    revision: ended,
  });
  const suites = page.value?.suites ?? null;
  useTitle("Suites");
  return (
    <div className="view">
      <div className="bar">
        <h1>Suites</h1>
        <search className="filters">
          <Search
            label="Branch"
            value={branch}
            placeholder="all branches"
            change={(text) => change({ branch: text.trim(), cursor: null })}
          />
        </search>
      </div>
      <Pending loaded={page} what="the suites" />
      {suites?.length === 0 && <Empty>No execution of a suite has ended yet.</Empty>}
      <ul className="cards suites">
        {suites?.map((suite) => (
          <li key={`${suite.testSuite} ${suite.branch}`} className="suite">
            <h2>
              <Link href={hrefOf(suite)} className="name">
                {suite.testSuite} <span className="quiet">on</span> <BranchName branch={suite.branch} />
              </Link>{" "}
              <span className="quiet">
                {plural(suite.points.length, "execution")}, last <Ago at={suite.lastEndedAt} />
              </span>
            </h2>
            <Charts suite={suite} height={110} />
          </li>
        ))}
      </ul>
      <Pages next={page.value?.nextCursor} first="First" more="More" />
    </div>
  );
}

export function SuiteView({ suite }: { suite: string }) {
  const [query] = useQuery();
  const { ended } = useStore(running);
  const testSuite = suite as SuiteBranch["testSuite"];
  const branch = query.get("branch");
  const asked = { testSuite, points: MANY_POINTS, limit: 1, ...(branch !== null && { branch }) };
  const page = useLoaded(JSON.stringify(asked), (signal) => get("/api/suites", { query: asked, signal }), {
    revision: ended,
  });
  const found = page.value?.suites[0];
  useTitle(`${suite} suite`);

  if (found === undefined) {
    if (page.value === null) return <Pending loaded={page} what="the suite" />;
    return <Empty>It has not run on this branch.</Empty>;
  }
  return (
    <div className="view">
      <header className="bar">
        <h1>
          {found.testSuite} <span className="quiet">on</span> <BranchName branch={found.branch} />
        </h1>
        <p className="quiet">
          <Link href="/suites">All suites</Link> · {plural(found.points.length, "execution")}, last{" "}
          <Ago at={found.lastEndedAt} />
        </p>
      </header>
      <Charts suite={found} height={180} />
      <Worst {...WORST.flaky} suite={found} />
      <Worst {...WORST.slow} suite={found} />
      <p>
        <Link href={`/tests?suite=${found.testSuite}`}>All tests of this suite</Link>
      </p>
    </div>
  );
}

interface Kind {
  title: string;
  none: string;
  sort: "flakeRate" | "duration";
  isIt: (test: KnownTest) => boolean;
  draws: TestCurve;
}

const WORST: Record<"flaky" | "slow", Kind> = {
  flaky: {
    ...{ title: "Flakiest tests", none: "No test is flaky.", sort: "flakeRate", draws: "flaky" },
    isIt: (test) => test.flakeRate > 0,
  },
  slow: {
    ...{ title: "Slowest tests", none: "No test has run.", sort: "duration", draws: "durations" },
    isIt: (test) => test.medianDuration !== null,
  },
};

/** The worst tests of a suite on its branch, in a table, and the first of them over time. */
function Worst({ title, none, sort, isIt, draws, suite }: Kind & { suite: SuiteBranch }) {
  const query = { testSuite: suite.testSuite, branch: suite.branch ?? "", sort, limit: MOST_WORST };
  const page = useLoaded(JSON.stringify(query), (signal) => get("/api/tests", { query, signal }), {
    restMs: REST_MS,
    revision: useStore(running).ended,
  });
  const tests = page.value?.tests.filter(isIt);
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      <Pending loaded={page} what="tests" />
      {tests?.length === 0 && <Empty>{none}</Empty>}
      {tests !== undefined && tests.length > 0 && (
        <>
          <TestTable title={title} tests={tests} />
          <div className="charts">
            {tests.slice(0, CHARTED).map((test) => (
              <TestChart key={test.testId} test={test} branch={suite.branch} draws={draws} />
            ))}
          </div>
        </>
      )}
    </section>
  );
}

export function BranchName({ branch }: { branch: string | null }) {
  return branch === null ? <span className="quiet">no branch</span> : <Text longest={120}>{branch}</Text>;
}

function Charts({ suite, height }: { suite: SuiteBranch; height: number }) {
  const drawn = useMemo(() => {
    const series = seriesOf(suite.points);
    return {
      series,
      rates: [{ name: "passed", colour: "--passed-bar", values: series.passRates }],
      durations: [{ name: "took", colour: "--running-bar", values: series.durations }],
      troubles: [
        { name: "failed", colour: "--failed-bar", values: series.failed },
        { name: "flaky", colour: "--flaky-bar", values: series.flaky },
      ],
    };
  }, [suite]);
  const { series, rates, durations, troubles } = drawn;
  if (series.moments.length === 0) return <Empty>All of its executions were called off.</Empty>;
  const open = (index: number) => go(`/executions/${series.executionIds[index]}`);
  const shared = { moments: series.moments, height, open };
  return (
    <div className="charts">
      <Chart {...shared} title="Pass rate" lines={rates} inWords={percent} most={1} />
      <Chart {...shared} title="Duration" lines={durations} inWords={duration} />
      <Chart {...shared} title="Failed and flaky tests" lines={troubles} inWords={whole} />
    </div>
  );
}
