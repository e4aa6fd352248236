/** One test of an execution: its error, every attempt there was, and what its runner told besides. */

import { get } from "../api/client";
import type { Test } from "../api/types";
import { Outcomes } from "../history/outcomes";
import { Link } from "../ui/link";
import { Dialog, Loading, Text, Trouble } from "../ui/parts";
import { Badge } from "../ui/sign";
import { useLoaded } from "../ui/use-loaded";
import { duration, percent } from "../ui/words";
import type { TestRow } from "./test-book";
import { isFlaky, TEST_TONES } from "./verdict";

const LONGEST_ERROR = 50_000;
const LONGEST_SEARCH = 255;
const LONGEST_FILE = 1000;

export function TestDialog({ executionId, test, close }: { executionId: string; test: TestRow; close: () => void }) {
  const query = {
    attempts: "all" as const,
    q: searchable(test.title),
    ...(test.file && test.file.length <= LONGEST_FILE && { file: test.file }),
    limit: 100,
  };
  const found = useLoaded(`${executionId} ${test.key}`, async (signal) => {
    const page = await get("/api/executions/{executionId}/tests", { ids: { executionId }, query, signal });
    return page.tests.filter((one) => one.title === test.title);
  });
  const reports = found.value ?? [];
  return (
    <Dialog wide title={<Text longest={1000}>{test.title}</Text>} close={close}>
      <p className="quiet">
        {test.file !== null && (
          <>
            <Text longest={1000}>{test.file}</Text> ·{" "}
          </>
        )}
        shard {test.shardId}
      </p>
      {reports[0] !== undefined && <History test={reports[0]} />}
      {found.error !== null && <Trouble error={found.error} retry={found.reload} />}
      {found.loading && <Loading what="its attempts" />}
      <ol className="attempts">
        {reports.map((report) => (
          <li key={`${report.submissionId} ${report.ordinal}`}>
            <Report report={report} several={reports.length > 1} />
          </li>
        ))}
      </ol>
      {reports.length === 0 && test.error !== null && <ErrorText text={test.error} />}
    </Dialog>
  );
}

/** How it went before; nothing while no execution with it has ended. */
function History({ test }: { test: Test }) {
  const query = { search: searchable(test.title), limit: 50 };
  const known = useLoaded(test.testId, async (signal) => {
    const page = await get("/api/tests", { query, signal });
    return page.tests.find((one) => one.testId === test.testId) ?? null;
  }).value;
  if (known === null) return null;
  return (
    <p className="history">
      <Outcomes recent={known.recent} />
      <span className="quiet">
        fails {percent(known.failureRate)}, flaky {percent(known.flakeRate)}, takes {duration(known.medianDuration)}
      </span>
      <Link href={`/tests/${known.testId}`}>Its history</Link>
    </p>
  );
}

/** As much of a title as can be searched for. */
function searchable(title: string): string {
  return [...title].slice(0, LONGEST_SEARCH).join("");
}

function Report({ report, several }: { report: Test; several: boolean }) {
  const { details } = report;
  const tries = details?.attempts ?? [];
  return (
    <article>
      {several && (
        <h3>
          Shard {report.shardId}, {report.attempt === null ? "came too late" : `result ${report.attempt} of the shard`}
        </h3>
      )}
      {tries.map((attempt, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: attempts have no other name than their place
        <div key={index} className="attempt">
          <p>
            <span className="quiet">Attempt {index + 1}</span>{" "}
            <Badge tone={TEST_TONES[attempt.status]} word={attempt.status} />{" "}
            <span className="quiet">{duration(attempt.duration)}</span>
          </p>
          {attempt.error != null && <ErrorText text={attempt.error} />}
        </div>
      ))}
      <div className="attempt">
        <p>
          {(report.retries ?? 0) > 0 && <span className="quiet">Attempt {(report.retries ?? 0) + 1}, the last </span>}
          <Badge tone={TEST_TONES[report.status]} word={report.status} />{" "}
          {isFlaky(report) && <Badge tone="flaky" word="flaky" />}{" "}
          <span className="quiet">{duration(report.duration)}</span>
        </p>
        {report.error !== null && <ErrorText text={report.error} />}
      </div>
      {report.tags.length > 0 && (
        <p className="tags">
          {report.tags.map((tag) => (
            <span key={tag} className="tag">
              <Text longest={80}>{tag}</Text>
            </span>
          ))}
        </p>
      )}
      {(details?.properties ?? []).length > 0 && (
        <table className="plain-table">
          <caption className="unseen">Properties</caption>
          <tbody>
            {(details?.properties ?? []).map((property, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: a name may come more than once
              <tr key={index}>
                <th scope="row">
                  <Text longest={200}>{property.name}</Text>
                </th>
                <td>
                  <Text longest={2000}>{property.value}</Text>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </article>
  );
}

function ErrorText({ text }: { text: string }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and so must be reached by keys
    <pre className="error" tabIndex={0}>
      <Text longest={LONGEST_ERROR}>{text}</Text>
    </pre>
  );
}
