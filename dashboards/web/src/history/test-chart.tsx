/** One test over the executions of a branch. */

import { useMemo } from "react";
import { get } from "../api/client";
import type { KnownTest } from "../api/types";
import { running } from "../executions/running";
import { go } from "../router";
import { Chart } from "../ui/chart";
import { useStore } from "../ui/store";
import { useLoaded } from "../ui/use-loaded";
import { duration, whole } from "../ui/words";
import { testSeriesOf } from "./series";

const RUNS = 100;
const REST_MS = 10_000;
const HEIGHT = 110;

const CURVES = {
  durations: { name: "took", colour: "--running-bar", inWords: duration },
  flaky: { name: "flaky of the latest 10", colour: "--flaky-bar", inWords: whole },
} as const;

export type TestCurve = keyof typeof CURVES;

interface Props {
  test: KnownTest;
  branch: string | null;
  draws: TestCurve;
}

export function TestChart({ test, branch, draws }: Props) {
  const { testId } = test;
  const query = { limit: RUNS, branch: branch ?? "" };
  const page = useLoaded(
    `${testId} ${branch}`,
    (signal) => get("/api/tests/{testId}/history", { ids: { testId }, query, signal }),
    { restMs: REST_MS, revision: useStore(running).ended },
  );
  const runs = page.value?.runs;
  const drawn = useMemo(() => {
    const { inWords, ...line } = CURVES[draws];
    const series = testSeriesOf(runs ?? []);
    return { series, inWords, lines: [{ ...line, values: series[draws] }] };
  }, [runs, draws]);
  const { series, inWords, lines } = drawn;
  if (series.moments.length === 0) return null;
  return (
    <Chart
      title={test.title}
      href={`/tests/${testId}`}
      moments={series.moments}
      lines={lines}
      inWords={inWords}
      height={HEIGHT}
      open={(index) => go(`/executions/${series.executionIds[index]}`)}
    />
  );
}
