/** Tests over executions, with their rates and durations. */

import type { KnownTest } from "../api/types";
import { Link } from "../ui/link";
import { Ago, Text } from "../ui/parts";
import { Badge } from "../ui/sign";
import { duration, percent } from "../ui/words";
import { Outcomes } from "./outcomes";

export function TestTable({ title, tests }: { title: string; tests: readonly KnownTest[] }) {
  return (
    <div className="table-room">
      <table className="known-tests">
        <caption className="unseen">{title}</caption>
        <thead>
          <tr>
            <th scope="col">Test</th>
            <th scope="col">Latest runs</th>
            <th scope="col" className="figure">
              Fails
            </th>
            <th scope="col" className="figure">
              Flaky
            </th>
            <th scope="col" className="figure">
              Takes
            </th>
            <th scope="col" className="figure">
              Trend
            </th>
            <th scope="col" className="figure">
              Last run
            </th>
          </tr>
        </thead>
        <tbody>
          {tests.map((test) => (
            <tr key={test.testId}>
              <td>
                <Link href={`/tests/${test.testId}`} className="name">
                  <Text longest={200}>{test.title}</Text>
                </Link>{" "}
                {test.quarantined && <Badge tone="lost" word="in quarantine" />}
                {test.file !== null && (
                  <div className="quiet">
                    <Text longest={200}>{test.file}</Text>
                  </div>
                )}
              </td>
              <td>
                <Outcomes recent={test.recent} />
              </td>
              <td className={test.failureRate > 0 ? "figure bad" : "figure"}>{percent(test.failureRate)}</td>
              <td className="figure">{percent(test.flakeRate)}</td>
              <td className="figure">{duration(test.medianDuration)}</td>
              <td className="figure">{trend(test.durationTrend)}</td>
              <td className="figure">
                <Ago at={test.lastRunAt} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** How much longer it takes than it did. */
export function trend(grown: number | null): string {
  if (grown === null || Math.abs(grown) < 0.05) return "–";
  return `${grown > 0 ? "+" : "−"}${Math.round(Math.abs(grown) * 100)} %`;
}
