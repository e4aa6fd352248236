/** All tests of an execution, filtered and sorted here, so that typing is answered at once even at 50,000. */

import { memo, useDeferredValue, useEffect, useMemo, useState } from "react";
import type { Execution } from "../api/types";
import { useQuery } from "../router";
import { Choice, Empty, Text } from "../ui/parts";
import { Search } from "../ui/search";
import { Sign } from "../ui/sign";
import { VirtualList } from "../ui/virtual-list";
import { count, duration } from "../ui/words";
import type { TestRow } from "./test-book";
import { TestDialog } from "./test-dialog";
import { chosen, type Order, orderOf, type Wanted } from "./tests-order";
import { isFlaky, TEST_TONES } from "./verdict";
import type { ExecutionWatch, Seen } from "./watch";

const ROW_HEIGHT = 32;
const STATUSES = ["failed", "flaky", "passed", "skipped"] as const;
const COLUMNS: { order: Order; name: string; className: string }[] = [
  { order: "status", name: "Status", className: "c-status" },
  { order: "title", name: "Test", className: "c-title" },
  { order: "file", name: "File", className: "c-file" },
  { order: "shard", name: "Shard", className: "c-shard" },
  { order: "duration", name: "Took", className: "c-duration" },
];

interface Props {
  watch: ExecutionWatch;
  seen: Seen;
  execution: Execution;
  shard: string | undefined;
}

export function TestsTab({ watch, seen, execution, shard }: Props) {
  const [query, change] = useQuery();
  const [opened, setOpened] = useState<TestRow | null>(null);
  useEffect(() => watch.loadTests(), [watch]);

  const search = query.get("q") ?? "";
  const status = STATUSES.find((one) => one === query.get("status")) ?? "";
  const onlyShard = query.get("shard") ?? shard ?? "";
  const order = orderOf(query.get("sort"));
  const wanted: Wanted = useMemo(
    () => ({ search, status, shard: onlyShard, order }),
    [search, status, onlyShard, order],
  );
  const tests = useDeferredValue(seen.tests);
  const rows = useMemo(() => chosen(tests, wanted), [tests, wanted]);
  const sharded = execution.shardResults.length > 1;

  return (
    <>
      <search className="filters">
        <Search label="Search" value={search} placeholder="title or file" change={(q) => change({ q })} />
        <Choice
          label="Status"
          all="any status"
          value={status}
          options={STATUSES}
          choose={(one) => change({ status: one })}
        />
        {sharded && (
          <Choice
            label="Shard"
            all="all shards"
            value={onlyShard}
            options={execution.shardResults.map((one) => one.shardId)}
            choose={(one) => change({ shard: one === "" && shard !== undefined ? "all" : one })}
          />
        )}
        <p className="quiet" role="status">
          {rows.length === tests.length
            ? `${count(rows.length)} tests`
            : `${count(rows.length)} of ${count(tests.length)} tests`}
          {!seen.hasAllTests && seen.failed.tests === null && `, loading ${count(execution.results.total)} …`}
        </p>
      </search>
      <VirtualList
        rows={rows}
        rowHeight={ROW_HEIGHT}
        label="Tests"
        keyOf={(test) => test.key}
        open={setOpened}
        render={(test) => <Row test={test} />}
        header={
          <div className="row columns">
            {COLUMNS.map(({ order: by, name, className }) => (
              <SortButton
                key={by}
                by={by}
                name={name}
                className={className}
                order={order}
                sort={(sort) => change({ sort })}
              />
            ))}
          </div>
        }
      />
      {rows.length === 0 && seen.hasAllTests && (
        <Empty>{tests.length === 0 ? "No single tests were reported." : "No test matches."}</Empty>
      )}
      {opened !== null && (
        <TestDialog executionId={execution.executionId} test={opened} close={() => setOpened(null)} />
      )}
    </>
  );
}

interface SortProps {
  by: Order;
  name: string;
  className: string;
  order: Wanted["order"];
  sort: (text: string | null) => void;
}

/** Sorts by a column, then the other way round, then not at all. */
function SortButton({ by, name, className, order, sort }: SortProps) {
  const isBy = order?.by === by;
  const next = !isBy ? by : order.down ? null : `-${by}`;
  const words = !isBy ? "sort by it" : order.down ? "sorted down" : "sorted up";
  return (
    <button type="button" className={`plain ${className}`} onClick={() => sort(next)} aria-label={`${name}, ${words}`}>
      {name}
      {isBy && <span aria-hidden="true">{order.down ? " ↓" : " ↑"}</span>}
    </button>
  );
}

/** Kept as it is while its test is the same, so that scrolling draws only the rows that come into sight. */
const Row = memo(function Row({ test }: { test: TestRow }) {
  const tone = isFlaky(test) ? "flaky" : TEST_TONES[test.status];
  return (
    <div className="row">
      <span className={`c-status ${tone}`}>
        <Sign tone={tone} />
        {tone}
      </span>
      <span className="c-title">
        <Text longest={300}>{test.title}</Text>
      </span>
      <span className="c-file quiet">{test.file !== null && <Text longest={200}>{test.file}</Text>}</span>
      <span className="c-shard quiet">
        <span className="phone-only">shard </span>
        {test.shardId}
      </span>
      <span className="c-duration">{duration(test.duration)}</span>
    </div>
  );
});
