/** One test of an execution: its error, every attempt there was with its files, and what its runner told besides. */

import { get } from "../api/client";
import type { Test, UploadedFile } from "../api/types";
import { Outcomes } from "../history/outcomes";
import { Link } from "../ui/link";
import { Dialog, Loading, Text, Trouble } from "../ui/parts";
import { Badge } from "../ui/sign";
import { useLoaded } from "../ui/use-loaded";
import { duration, percent } from "../ui/words";
import { ArtifactFile } from "./artifact-file";
import type { TestRow } from "./test-book";
import { fitsUrl, isOf, reportsOf } from "./test-reports";
import { isFlaky, TEST_TONES } from "./verdict";

const LONGEST_ERROR = 50_000;
const MOST_FILES = 200;
/** Links to files end after a while. */
const LINKS_MS = 8 * 60_000;

export function TestDialog({ executionId, test, close }: { executionId: string; test: TestRow; close: () => void }) {
  const found = useLoaded(`${executionId} ${test.key}`, (signal) => reportsOf(executionId, test, signal));
  const files = useFiles(executionId, test);
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
        {reports.map((report, index) => (
          <li key={`${report.submissionId} ${report.ordinal}`}>
            <Report
              report={report}
              several={reports.length > 1}
              files={isLastOfShard(reports, index) ? files.filter((file) => file.shardId === report.shardId) : []}
            />
          </li>
        ))}
      </ol>
      {reports.length === 0 && test.error !== null && <ErrorText text={test.error} />}
    </Dialog>
  );
}

/** Files are bound to a shard, not to one of its results: they are shown with the last of them. */
function isLastOfShard(reports: readonly Test[], index: number): boolean {
  return !reports.slice(index + 1).some((later) => later.shardId === reports[index]?.shardId);
}

function useFiles(executionId: string, test: TestRow): readonly UploadedFile[] {
  const query = { test: test.title, limit: MOST_FILES };
  const loaded = useLoaded(
    fitsUrl(test.title) ? `${executionId} ${test.title}` : null,
    (signal) => get("/api/executions/{executionId}/artifacts", { ids: { executionId }, query, signal }),
    { everyMs: LINKS_MS },
  );
  return (
    loaded.value?.artifacts.filter((file) => file.file === null || isOf(test)({ ...file, title: test.title })) ?? []
  );
}

/** How it went before; nothing while no execution with it has ended. */
function History({ test: { testId } }: { test: Test }) {
  const page = useLoaded(testId, (signal) => get("/api/tests", { query: { testId }, signal }));
  const known = page.value?.tests[0];
  if (known === undefined) return null;
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

function Report({ report, several, files }: { report: Test; several: boolean; files: readonly UploadedFile[] }) {
  const { details } = report;
  const tries = details?.attempts ?? [];
  const last = Math.max(report.retries ?? 0, tries.length) + 1;
  const isShown = (attempt: number | null) => attempt !== null && (attempt <= tries.length || attempt === last);
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
          <Files files={files.filter((file) => file.attempt === index + 1)} />
        </div>
      ))}
      <div className="attempt">
        <p>
          {last > 1 && <span className="quiet">Attempt {last}, the last </span>}
          <Badge tone={TEST_TONES[report.status]} word={report.status} />{" "}
          {isFlaky(report) && <Badge tone="flaky" word="flaky" />}{" "}
          <span className="quiet">{duration(report.duration)}</span>
        </p>
        {report.error !== null && <ErrorText text={report.error} />}
        <Files files={files.filter((file) => file.attempt === last)} />
      </div>
      <Files files={files.filter((file) => !isShown(file.attempt))} />
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

function Files({ files }: { files: readonly UploadedFile[] }) {
  if (files.length === 0) return null;
  return (
    <ul className="files" aria-label="Files">
      {files.map((file) => (
        <li key={file.artifactId}>
          <ArtifactFile file={file} withTest={false} />
        </li>
      ))}
    </ul>
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
