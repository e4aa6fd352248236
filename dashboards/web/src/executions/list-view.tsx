/** All executions: those under way on top, kept current; those that ended below, filtered and page by page. */

import { useCallback } from "react";
import { get } from "../api/client";
import type { Execution } from "../api/types";
import { go, useQuery } from "../router";
import { Link } from "../ui/link";
import { Pages } from "../ui/pages";
import { Ago, Choice, Empty, Pending, Text, useTitle } from "../ui/parts";
import { Search } from "../ui/search";
import { Badge } from "../ui/sign";
import { useStore } from "../ui/store";
import { useLoaded } from "../ui/use-loaded";
import { useNow } from "../ui/use-now";
import { count, duration, plural, rate } from "../ui/words";
import { OutcomeBar, ShardBars, totalsInWords } from "./bars";
import { median, pace } from "./estimate";
import { running } from "./running";
import { headline, metadata, verdict } from "./verdict";

const SUITES = ["smoke", "regression", "api", "ui", "all"] as const;
const ENVIRONMENTS = ["dev", "staging", "production"] as const;
/** An execution whose tests failed is completed all the same: that it is red is its result. */
const RESULTS = [
  ["passing", "passed"],
  ["failing", "with failures, or broken"],
] as const;
const STATUSES = [
  ["completed", "completed"],
  ["failed", "broken"],
  ["cancelled", "cancelled"],
] as const;
const OUTCOMES = [...RESULTS, ...STATUSES];
const TIMES = [
  ["1", "last 24 hours"],
  ["7", "last 7 days"],
  ["30", "last 30 days"],
] as const;
const DAY_MS = 24 * 3600 * 1000;
const PAGE = 50;

type Suite = (typeof SUITES)[number];
type Environment = (typeof ENVIRONMENTS)[number];
type Outcome = (typeof OUTCOMES)[number][0];

interface Filters {
  suite: Suite | "";
  environment: Environment | "";
  outcome: Outcome | "";
  branch: string;
  commit: string;
  days: string;
  cursor: string;
}

function filtersOf(query: URLSearchParams): Filters {
  const one = <T extends string>(name: string, known: readonly T[]): T | "" => {
    const value = query.get(name) as T;
    return known.includes(value) ? value : "";
  };
  return {
    suite: one("suite", SUITES),
    environment: one("environment", ENVIRONMENTS),
    outcome: one(
      "outcome",
      OUTCOMES.map(([outcome]) => outcome),
    ),
    branch: query.get("branch") ?? "",
    commit: query.get("commit") ?? "",
    days: one(
      "days",
      TIMES.map(([days]) => days),
    ),
    cursor: query.get("cursor") ?? "",
  };
}

/** The part of the server's query that filters ask for, at this moment. */
function asked(filters: Filters, now: number) {
  const { outcome, days } = filters;
  const result = RESULTS.find(([one]) => one === outcome)?.[0];
  const status = STATUSES.find(([one]) => one === outcome)?.[0];
  return {
    limit: PAGE,
    ended: true,
    ...(filters.suite && { testSuite: filters.suite }),
    ...(filters.environment && { environment: filters.environment }),
    ...(result && { result }),
    ...(status && { status }),
    ...(filters.branch && { branch: filters.branch }),
    ...(filters.commit && { commit: filters.commit }),
    ...(days && { from: new Date(now - Number(days) * DAY_MS).toISOString() }),
    ...(filters.cursor && { cursor: filters.cursor }),
  };
}

export function ListView() {
  const [query, change] = useQuery();
  const filters = filtersOf(query);
  const { ended } = useStore(running);
  useTitle("Executions");

  // What ends comes before the first page, and changes no other.
  const page = useLoaded(
    JSON.stringify(filters),
    (signal) => get("/api/executions", { query: asked(filters, Date.now()), signal }),
    { revision: filters.cursor === "" ? ended : 0 },
  );
  const filter = useCallback(
    (changes: Record<string, string | null>) => change({ ...changes, cursor: null }),
    [change],
  );
  const find = useCallback(
    (text: string) => filter({ commit: text.startsWith("exec_") ? null : text.trim() }),
    [filter],
  );
  const isFiltered = [...query.keys()].length > 0;

  return (
    <div className="view">
      <h1 className="unseen">Executions</h1>
      <UnderWay filters={filters} past={page.value?.executions ?? []} />
      <section aria-labelledby="ended">
        <div className="bar">
          <h2 id="ended">Ended</h2>
          <search className="filters">
            <Search
              label="Execution or commit"
              value={filters.commit}
              placeholder="exec_… or commit"
              change={find}
              enter={(text) => text.trim().startsWith("exec_") && go(`/executions/${encodeURIComponent(text.trim())}`)}
            />
            <Search label="Branch" value={filters.branch} change={(branch) => filter({ branch: branch.trim() })} />
            <Choice
              label="Suite"
              all="all suites"
              value={filters.suite}
              options={SUITES}
              choose={(suite) => filter({ suite })}
            />
            <Choice
              label="Environment"
              all="all environments"
              value={filters.environment}
              options={ENVIRONMENTS}
              choose={(environment) => filter({ environment })}
            />
            <Choice
              label="Outcome"
              all="any outcome"
              value={filters.outcome}
              options={OUTCOMES}
              choose={(outcome) => filter({ outcome })}
            />
            <Choice
              label="Time"
              all="any time"
              value={filters.days}
              options={TIMES}
              choose={(days) => filter({ days })}
            />
            {isFiltered && (
              <button type="button" className="plain" onClick={() => go("/")}>
                Clear
              </button>
            )}
          </search>
        </div>
        <Pending loaded={page} what="executions" />
        {page.value !== null && <Ended executions={page.value.executions} isFiltered={isFiltered} />}
        <Pages next={page.value?.nextCursor} />
      </section>
    </div>
  );
}

function UnderWay({ filters, past }: { filters: Filters; past: readonly Execution[] }) {
  const { executions } = useStore(running);
  const shown = executions.filter(
    (execution) =>
      (filters.suite === "" || execution.testSuite === filters.suite) &&
      (filters.environment === "" || execution.environment === filters.environment) &&
      (filters.branch === "" || metadata(execution, "branch") === filters.branch) &&
      (filters.commit === "" || metadata(execution, "commit") === filters.commit),
  );
  return (
    <section aria-labelledby="under-way">
      <h2 id="under-way">
        Under way <span className="number">{shown.length}</span>
      </h2>
      {shown.length === 0 ? (
        <Empty>Nothing runs at the moment. What starts appears here by itself.</Empty>
      ) : (
        <ul className="cards">
          {shown.map((execution) => (
            <RunningCard key={execution.executionId} execution={execution} typical={typical(execution, past)} />
          ))}
        </ul>
      )}
    </section>
  );
}

/** How long executions like this one took, of those that are listed. */
export function typical(execution: Execution, past: readonly Execution[]): number | null {
  const alike = past.filter(
    (one) =>
      one.status === "completed" && one.testSuite === execution.testSuite && one.environment === execution.environment,
  );
  return median(alike.slice(0, 9).flatMap((one) => one.progress.duration ?? []));
}

function RunningCard({ execution, typical }: { execution: Execution; typical: number | null }) {
  const now = useNow();
  const { tone, word } = verdict(execution);
  const { perSecond, left } = pace(execution, now, typical);
  const startedAt = execution.progress.startedAt;
  return (
    <li className="card">
      <div className="card-head">
        <Badge tone={tone} word={word} />
        <Link href={`/executions/${execution.executionId}`} className="name">
          {execution.testSuite} <span className="quiet">on</span> {execution.environment}
        </Link>
        <Source execution={execution} />
      </div>
      <ShardBars execution={execution} />
      <p className="facts">
        <span>{headline(execution)}</span>
        <span>{totalsInWords(execution.results)}</span>
        {startedAt !== null && <span>for {duration(now - Date.parse(startedAt))}</span>}
        {perSecond !== null && <span>{rate(perSecond)}</span>}
        {left !== null && execution.status === "running" && (
          <span>{left > 0 ? `about ${duration(left)} left` : "any moment now"}</span>
        )}
      </p>
    </li>
  );
}

/** What it was run for: branch and commit. */
export function Source({ execution }: { execution: Execution }) {
  const branch = metadata(execution, "branch");
  const commit = metadata(execution, "commit");
  return (
    <span className="source">
      {branch !== null && <Text longest={120}>{branch}</Text>}
      {commit !== null && (
        <code>
          <Text longest={10}>{commit}</Text>
        </code>
      )}
    </span>
  );
}

function Ended({ executions, isFiltered }: { executions: readonly Execution[]; isFiltered: boolean }) {
  if (executions.length === 0) {
    return <Empty>{isFiltered ? "Nothing here matches these filters." : "No execution has ended yet."}</Empty>;
  }
  return (
    <div className="table-room">
      <table className="ended">
        <caption className="unseen">
          Executions that have ended, newest first: {plural(executions.length, "row")}
        </caption>
        <thead>
          <tr>
            <th scope="col">Outcome</th>
            <th scope="col">Execution</th>
            <th scope="col">Branch</th>
            <th scope="col">Tests</th>
            <th scope="col" className="figure">
              Took
            </th>
            <th scope="col" className="figure">
              Created
            </th>
          </tr>
        </thead>
        <tbody>
          {executions.map((execution) => {
            const { tone, word } = verdict(execution);
            return (
              <tr key={execution.executionId}>
                <td className="outcome-cell">
                  <Badge tone={tone} word={word} title={headline(execution)} />
                </td>
                <td>
                  <Link href={`/executions/${execution.executionId}`} className="name">
                    {execution.testSuite} <span className="quiet">on</span> {execution.environment}
                  </Link>
                </td>
                <td>
                  <Source execution={execution} />
                </td>
                <td className="tests-cell">
                  <div>
                    <span className="figure">{count(execution.results.total)}</span>
                    <OutcomeBar totals={execution.results} />
                  </div>
                </td>
                <td className="figure">{duration(execution.progress.duration)}</td>
                <td className="figure">
                  <Ago at={execution.createdAt} />
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
