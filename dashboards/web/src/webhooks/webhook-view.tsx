/** One webhook: what it is told, how it fares, what was sent, and what can be done about it. */

import { useCallback, useEffect, useRef, useState } from "react";
import { ask, get } from "../api/client";
import type { DeliveryStatus, Webhook, WebhookEvent } from "../api/types";
import { useQuery } from "../router";
import { Link } from "../ui/link";
import { Pages, useCursor } from "../ui/pages";
import { Ago, Choice, Dialog, Empty, Pending, Text, useTitle } from "../ui/parts";
import { Badge } from "../ui/sign";
import { useLoaded } from "../ui/use-loaded";
import { duration, plural } from "../ui/words";
import { DeliveryTable } from "./delivery-table";
import { health } from "./health";

const DELIVERIES_MS = 3000;
// Seldom, as for the list; what was sent is under no limit.
const WEBHOOK_MS = 600_000;
const STATUSES: readonly (readonly [DeliveryStatus, string])[] = [
  ["pending", "waiting"],
  ["delivered", "delivered"],
  ["failed", "given up"],
  ["missed", "missed"],
];
const DAY_MS = 24 * 3600 * 1000;

export function WebhookView({ webhookId }: { webhookId: string }) {
  const ids = { webhookId };
  const loaded = useLoaded(webhookId, (signal) => get("/api/webhooks/{webhookId}", { ids, signal }), {
    everyMs: WEBHOOK_MS,
  });
  const webhook = loaded.value;
  const { reload } = loaded;
  const acted = useRef(false);
  /** After what somebody did, how it fares is asked for at once, and again when what was sent then has arrived. */
  const changed = useCallback(() => {
    acted.current = true;
    reload();
  }, [reload]);
  const settled = useCallback(() => {
    if (acted.current) reload();
    acted.current = false;
  }, [reload]);
  useTitle(webhook?.url ?? "Webhook");

  const pending = <Pending loaded={loaded} what="the webhook" />;
  if (webhook === null) return pending;
  const { tone, word } = health(webhook);
  return (
    <div className="view">
      <header className={`head ${tone}`}>
        <p className="crumbs">
          <Link href="/webhooks">Webhooks</Link> <span aria-hidden="true">/</span> <code>{webhookId}</code>
        </p>
        <div className="head-line">
          <h1>
            <Badge tone={tone} word={word} />
            <span>
              <Text longest={300}>{webhook.url}</Text>
            </span>
          </h1>
        </div>
        {webhook.statusReason !== null && (
          <p className="headline">
            <Text longest={1000}>{webhook.statusReason}</Text>
          </p>
        )}
        {pending}
        <About webhook={webhook} />
        <Actions webhook={webhook} changed={changed} />
      </header>
      <Log webhook={webhook} changed={changed} settled={settled} />
    </div>
  );
}

function About({ webhook }: { webhook: Webhook }) {
  const { retryPolicy, filters } = webhook;
  const filtered = Object.entries(filters).filter(([, values]) => values.length > 0);
  const retries =
    retryPolicy.schedule === null
      ? `${plural(retryPolicy.maxRetries, "retry", "retries")}, the first after ${duration(retryPolicy.retryDelay)}`
      : typeof retryPolicy.schedule === "string"
        ? "the standard schedule"
        : plural(retryPolicy.schedule.length, "retry", "retries");
  return (
    <dl className="facts">
      <div>
        <dt>Is told of</dt>
        <dd>{webhook.events.join(", ")}</dd>
      </div>
      {filtered.map(([name, values]) => (
        <div key={name}>
          <dt>Only {name}</dt>
          <dd>
            <Text longest={500}>{values.join(", ")}</Text>
          </dd>
        </div>
      ))}
      <div>
        <dt>Tried again</dt>
        <dd>{retries}</dd>
      </div>
      <div>
        <dt>Registered</dt>
        <dd>
          <Ago at={webhook.createdAt} />
        </dd>
      </div>
      {webhook.failingSince !== null && (
        <div>
          <dt>No success since</dt>
          <dd className="bad">
            <Ago at={webhook.failingSince} />
          </dd>
        </div>
      )}
      {webhook.lastValidatedAt !== null && (
        <div>
          <dt>Validated</dt>
          <dd>
            <Ago at={webhook.lastValidatedAt} />
          </dd>
        </div>
      )}
    </dl>
  );
}

function Actions({ webhook, changed }: { webhook: Webhook; changed: () => void }) {
  const ids = { webhookId: webhook.webhookId };
  const isActive = webhook.status === "active";
  const [said, setSaid] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [sampling, setSampling] = useState(false);

  /** Do it, and say what came of it. */
  async function act(work: () => Promise<string>): Promise<void> {
    setBusy(true);
    setSaid(null);
    try {
      setSaid(await work());
      changed();
    } catch (error) {
      setSaid((error as Error).message);
    } finally {
      setBusy(false);
    }
  }

  async function validate(): Promise<string> {
    const { status, responseCode, responseTime } = await ask("post", "/api/webhooks/{webhookId}/validate", { ids });
    const answer = responseCode === null ? "no answer" : `answered ${responseCode}`;
    return `${status === "valid" ? "It works" : "It does not work"}: ${answer} after ${duration(responseTime)}.`;
  }

  async function pauseOrResume(): Promise<string> {
    const body = { status: isActive ? ("inactive" as const) : ("active" as const) };
    await ask("patch", "/api/webhooks/{webhookId}", { ids, body });
    return isActive ? "Paused: what happens from now on is kept, and can be sent later." : "Active again.";
  }

  async function recover(): Promise<string> {
    const body = { since: new Date(Date.now() - DAY_MS).toISOString() };
    const { queued } = await ask("post", "/api/webhooks/{webhookId}/recover", { ids, body });
    return queued === 0
      ? "Nothing of the last day was given up or missed."
      : `${plural(queued, "delivery", "deliveries")} sent again.`;
  }

  async function sample(event: WebhookEvent): Promise<string> {
    setSampling(false);
    await ask("post", "/api/webhooks/{webhookId}/sample", { ids, body: { event } });
    return `An example of ${event} is on its way.`;
  }

  return (
    <div className="actions">
      <button type="button" disabled={busy} onClick={() => void act(validate)}>
        Validate
      </button>
      <button type="button" disabled={busy || !isActive} onClick={() => setSampling(true)}>
        Send an example
      </button>
      <button type="button" disabled={busy || !isActive} onClick={() => void act(recover)}>
        Send again what failed in the last day
      </button>
      <button type="button" disabled={busy} onClick={() => void act(pauseOrResume)}>
        {isActive ? "Pause" : "Make active"}
      </button>
      <button type="button" onClick={changed}>
        Refresh
      </button>
      <p role="status">{said !== null && <Text longest={500}>{said}</Text>}</p>
      {sampling && (
        <Dialog title="Send an example of" close={() => setSampling(false)}>
          <ul className="choices">
            {webhook.events.map((event) => (
              <li key={event}>
                <button type="button" onClick={() => void act(() => sample(event as WebhookEvent))}>
                  {event}
                </button>
              </li>
            ))}
          </ul>
        </Dialog>
      )}
    </div>
  );
}

function Log({ webhook, changed, settled }: { webhook: Webhook; changed: () => void; settled: () => void }) {
  const ids = { webhookId: webhook.webhookId };
  const [query, change] = useQuery();
  const status = STATUSES.find(([one]) => one === query.get("status"))?.[0] ?? "";
  const event = (webhook.events.find((one) => one === query.get("event")) ?? "") as WebhookEvent | "";
  const cursor = useCursor();
  const asked = {
    limit: 50,
    ...(status !== "" && { status }),
    ...(event !== "" && { event }),
    ...cursor,
  };
  const page = useLoaded(
    `${webhook.webhookId} ${JSON.stringify(asked)}`,
    (signal) => get("/api/webhooks/{webhookId}/deliveries", { ids, query: asked, signal }),
    { everyMs: DELIVERIES_MS },
  );
  const deliveries = page.value?.deliveries ?? [];
  const isWaiting = deliveries.some((delivery) => delivery.status === "pending");
  const outcomes = deliveries.map((delivery) => `${delivery.deliveryId} ${delivery.attemptCount}`).join();
  // biome-ignore lint/correctness/useExhaustiveDependencies: with other outcomes it may fare otherwise
  useEffect(() => {
    if (!isWaiting) settled();
  }, [outcomes, isWaiting, settled]);

  return (
    <section aria-labelledby="log">
      <div className="bar">
        <h2 id="log">Deliveries</h2>
        <search className="filters">
          <Choice
            label="Status"
            all="any status"
            value={status}
            options={STATUSES}
            choose={(one) => change({ status: one, cursor: null })}
          />
          <Choice
            label="Event"
            all="all events"
            value={event}
            options={webhook.events as WebhookEvent[]}
            choose={(one) => change({ event: one, cursor: null })}
          />
        </search>
      </div>
      <Pending loaded={page} what="the deliveries" />
      {page.value?.deliveries.length === 0 && <Empty>Nothing was sent that is so.</Empty>}
      {page.value !== null && page.value.deliveries.length > 0 && (
        <DeliveryTable
          deliveries={page.value.deliveries}
          changed={() => {
            page.reload();
            changed();
          }}
        />
      )}
      <Pages next={page.value?.nextCursor} />
    </section>
  );
}
