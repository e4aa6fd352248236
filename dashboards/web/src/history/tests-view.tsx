/** All tests over all executions. */

import { get } from "../api/client";
import { useQuery } from "../router";
import { Pages, useCursor } from "../ui/pages";
import { Choice, Empty, Pending, useTitle } from "../ui/parts";
import { Search } from "../ui/search";
import { useLoaded } from "../ui/use-loaded";
import { TestTable } from "./test-table";

const SUITES = ["smoke", "regression", "api", "ui", "all"] as const;
const STATUSES = ["passed", "failed", "skipped"] as const;
const ONLY = [
  ["flaky", "flaky"],
  ["quarantined", "in quarantine"],
] as const;
const SORTS = [
  ["flakeRate", "flakiest first"],
  ["duration", "slowest first"],
  ["lastRun", "latest first"],
  ["name", "by name"],
] as const;

export function TestsView() {
  const [query, change] = useQuery();
  const search = query.get("q") ?? "";
  const suite = SUITES.find((one) => one === query.get("suite")) ?? "";
  const status = STATUSES.find((one) => one === query.get("status")) ?? "";
  const only = ONLY.find(([one]) => one === query.get("only"))?.[0] ?? "";
  const sort = SORTS.find(([one]) => one === query.get("sort"))?.[0] ?? "";
  const cursor = useCursor();
  const asked = {
    limit: 50,
    ...(search !== "" && { search }),
    ...(suite !== "" && { testSuite: suite }),
    ...(status !== "" && { status }),
    ...(only !== "" && { [only]: true }),
    ...(sort !== "" && { sort }),
    ...cursor,
  };
  const page = useLoaded(JSON.stringify(asked), (signal) => get("/api/tests", { query: asked, signal }));
  const filter = (changes: Record<string, string | null>) => change({ ...changes, cursor: null });
  useTitle("Tests");

  return (
    <div className="view">
      <div className="bar">
        <h1>Tests</h1>
        <search className="filters">
          <Search label="Search" value={search} placeholder="title or file" change={(q) => filter({ q })} />
          <Choice
            label="Suite"
            all="all suites"
            value={suite}
            options={SUITES}
            choose={(one) => filter({ suite: one })}
          />
          <Choice
            label="Last run"
            all="any status"
            value={status}
            options={STATUSES}
            choose={(one) => filter({ status: one })}
          />
          <Choice label="Only" all="all tests" value={only} options={ONLY} choose={(one) => filter({ only: one })} />
          <Choice
            label="Order"
            all="most failing first"
            value={sort}
            options={SORTS}
            choose={(one) => filter({ sort: one })}
          />
        </search>
      </div>
      <Pending loaded={page} what="the tests" />
      {page.value?.tests.length === 0 && <Empty>No test that is so has run.</Empty>}
      {page.value !== null && page.value.tests.length > 0 && <TestTable title="Tests" tests={page.value.tests} />}
      <Pages next={page.value?.nextCursor} first="First" more="More" />
    </div>
  );
}
