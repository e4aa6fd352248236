/** One execution: what came of it and why, how its shards went, its tests, and everything that belongs to it. */

import { useEffect, useState } from "react";
import { Away, ask, get, isPassing } from "../api/client";
import type { Execution, Plan } from "../api/types";
import { useQuery } from "../router";
import { Link } from "../ui/link";
import { Ago, Dialog, Empty, Loading, type Tab, Tabs, Text, Trouble, useTitle } from "../ui/parts";
import { Badge } from "../ui/sign";
import { useStore } from "../ui/store";
import { useLoaded } from "../ui/use-loaded";
import { useNow } from "../ui/use-now";
import { count, duration, plural, rate, wholeMoment } from "../ui/words";
import { ArtifactsTab } from "./artifacts-tab";
import { OutcomeBar, totalsInWords } from "./bars";
import { DeliveriesTab } from "./deliveries-tab";
import { pace } from "./estimate";
import { EventsTab } from "./events-tab";
import { FailuresTab } from "./failures-tab";
import { FeedTab } from "./feed-tab";
import { isFinished } from "./fold";
import { Source, typical } from "./list-view";
import { TestsTab } from "./tests-tab";
import { Timeline } from "./timeline";
import { headline, metadata, verdict } from "./verdict";
import { ExecutionWatch, type Seen } from "./watch";

/** How many executions of the same kind tell how long one takes. */
const FORMER = 9;

export function ExecutionView({ executionId, tab, shard }: { executionId: string; tab?: string; shard?: string }) {
  const [watch, setWatch] = useState(() => new ExecutionWatch(executionId));

  // Each run of the effect has a watch of its own: one that was stopped does not begin again.
  useEffect(() => {
    const started = new ExecutionWatch(executionId);
    started.start();
    setWatch(started);
    return () => started.stop();
  }, [executionId]);

  const seen = useStore(watch.seen);
  const { execution, failed, live } = seen;
  useTitle(
    execution === null ? executionId : `${verdict(execution).word}: ${execution.testSuite} on ${execution.environment}`,
  );

  if (execution === null) {
    return failed.state === null ? <Loading what="the execution" /> : <Failed error={failed.state} watch={watch} />;
  }
  return (
    <div className="view">
      <Failed error={failed.state} watch={watch} />
      <Head execution={execution} />
      {live === "gone" && <Empty>This execution is no longer there.</Empty>}
      <Timeline seen={seen} execution={execution} />
      <Inside watch={watch} seen={seen} execution={execution} tab={tab} shard={shard} />
    </div>
  );
}

/** What could not be read, while it may be tried again by itself. */
function Failed({ error, watch }: { error: Error | null; watch: ExecutionWatch }) {
  if (error === null) return null;
  return (
    <>
      <Trouble error={error} retry={() => watch.retry()} />
      {isPassing(error) && !(error instanceof Away) && <p className="quiet">It is tried again by itself.</p>}
    </>
  );
}

interface InsideProps {
  watch: ExecutionWatch;
  seen: Seen;
  execution: Execution;
  tab: string | undefined;
  shard: string | undefined;
}

function Inside({ watch, seen, execution, tab, shard }: InsideProps) {
  const [query] = useQuery();
  const { results } = execution;
  const tabs: Tab[] = [
    { id: "failures", name: "Failures", number: results.failed },
    { id: "tests", name: "All tests", number: results.total },
    { id: "feed", name: "Live feed" },
    { id: "artifacts", name: "Artifacts" },
    { id: "webhooks", name: "Webhooks" },
    { id: "events", name: "Events", number: execution.seq },
  ];
  const isLogMissing = seen.failed.log !== null && seen.events.length === 0;
  const asked = query.get("tab") ?? tab;
  const current = tabs.find(({ id }) => id === asked)?.id ?? "failures";
  return (
    <Tabs tabs={tabs} current={current} label="Parts of the execution">
      {(current === "failures" || current === "tests") && <Failed error={seen.failed.tests} watch={watch} />}
      {current === "failures" && <FailuresTab seen={seen} execution={execution} />}
      {current === "tests" && <TestsTab watch={watch} seen={seen} execution={execution} shard={shard} />}
      {current === "feed" && <FeedTab seen={seen} execution={execution} />}
      {current === "artifacts" && <ArtifactsTab execution={execution} />}
      {current === "webhooks" && <DeliveriesTab execution={execution} />}
      {current === "events" && <Failed error={seen.failed.log} watch={watch} />}
      {current === "events" && !isLogMissing && <EventsTab events={seen.events} />}
    </Tabs>
  );
}

function Head({ execution }: { execution: Execution }) {
  const { tone, word } = verdict(execution);
  const { results } = execution;
  return (
    <header className={`head ${tone}`}>
      <p className="crumbs">
        <Link href="/">Executions</Link> <span aria-hidden="true">/</span> <code>{execution.executionId}</code>
      </p>
      <div className="head-line">
        <h1>
          <Badge tone={tone} word={word} />
          <span>
            {execution.testSuite} <span className="quiet">on</span> {execution.environment}
          </span>
        </h1>
        <Source execution={execution} />
        {!isFinished(execution) && <Cancel execution={execution} />}
      </div>
      <p className="headline">
        <Text longest={2000}>{headline(execution)}</Text>{" "}
        {execution.reasonCode !== null && <code className="quiet">{execution.reasonCode}</code>}
      </p>
      {results.total > 0 && (
        <div className="totals">
          <OutcomeBar totals={results} />
          <span>{totalsInWords(results)}</span>
        </div>
      )}
      <Facts execution={execution} />
    </header>
  );
}

function Facts({ execution }: { execution: Execution }) {
  const { progress } = execution;
  const build = metadata(execution, "buildNumber");
  const by = metadata(execution, "triggeredBy");
  return (
    <dl className="facts">
      <Fact name="Created">
        <Ago at={execution.createdAt} />
      </Fact>
      {isFinished(execution) ? (
        <Fact name="Took">{duration(progress.duration)}</Fact>
      ) : (
        <Running execution={execution} />
      )}
      <Fact name="Shards">{`${progress.shardsCompleted} of ${count(progress.totalShards)} done`}</Fact>
      {execution.plan !== undefined && <PlanFact plan={execution.plan} />}
      <Fact name="Provider">
        <Text longest={100}>{execution.provider}</Text>
      </Fact>
      {execution.triggerSource !== null && <Fact name="Trigger">{execution.triggerSource}</Fact>}
      {by !== null && (
        <Fact name="By">
          <Text longest={100}>{by}</Text>
        </Fact>
      )}
      {build !== null && (
        <Fact name="Build">
          <Text longest={100}>{build}</Text>
        </Fact>
      )}
    </dl>
  );
}

/** What was planned, against what came. */
function PlanFact({ plan }: { plan: Plan }) {
  return (
    <Fact name="Plan">
      {count(plan.reported)} of {plural(plan.planned, "test")} reported
      {plan.missing > 0 && <span className="bad">, {count(plan.missing)} missing</span>}
      {plan.unexpected > 0 && `, ${count(plan.unexpected)} more than planned`}
    </Fact>
  );
}

function Running({ execution }: { execution: Execution }) {
  const now = useNow();
  const { testSuite, environment, status } = execution;
  const former = useLoaded(`${testSuite} ${environment}`, (signal) =>
    get("/api/executions", { query: { testSuite, environment, status: "completed", limit: FORMER }, signal }),
  );
  const { perSecond, left } = pace(execution, now, typical(execution, former.value?.executions ?? []));
  const { startedAt } = execution.progress;
  return (
    <>
      {startedAt !== null && <Fact name="For">{duration(now - Date.parse(startedAt))}</Fact>}
      {perSecond !== null && <Fact name="Pace">{rate(perSecond)}</Fact>}
      {left !== null && status === "running" && (
        <Fact name="Left">{left > 0 ? `about ${duration(left)}` : "any moment now"}</Fact>
      )}
      {execution.deadline !== null && (
        <Fact name="Ends by">
          <span title={wholeMoment(execution.deadline)}>
            {duration(Math.max(0, Date.parse(execution.deadline) - now))}
          </span>
        </Fact>
      )}
    </>
  );
}

function Fact({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Cancel({ execution }: { execution: Execution }) {
  const [asking, setAsking] = useState(false);
  const [reason, setReason] = useState("");
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);

  async function cancel(): Promise<void> {
    setBusy(true);
    try {
      const ids = { executionId: execution.executionId };
      await ask("delete", "/api/executions/{executionId}", {
        ids,
        body: reason.trim() === "" ? {} : { reason: reason.trim() },
      });
      setAsking(false);
    } catch (refused) {
      setError(refused as Error);
    } finally {
      setBusy(false);
    }
  }

  return (
    <>
      <button type="button" className="danger" onClick={() => setAsking(true)}>
        Cancel execution
      </button>
      {asking && (
        <Dialog title="Cancel this execution?" close={() => setAsking(false)}>
          <p>Its runners are told to stop. Results that still come are kept, but not counted.</p>
          <form
            method="dialog"
            onSubmit={(event) => {
              event.preventDefault();
              void cancel();
            }}
          >
            <label className="stacked">
              Reason, for everybody who looks at it
              <input type="text" value={reason} maxLength={1000} onChange={(event) => setReason(event.target.value)} />
            </label>
            {error !== null && <Trouble error={error} />}
            <p className="buttons">
              <button type="submit" className="danger" disabled={busy}>
                Cancel execution
              </button>
              <button type="button" onClick={() => setAsking(false)}>
                Let it run
              </button>
            </p>
          </form>
        </Dialog>
      )}
    </>
  );
}
