/** All webhooks and how they fare. */

import { get } from "../api/client";
import { useQuery } from "../router";
import { Link } from "../ui/link";
import { Pages, useCursor } from "../ui/pages";
import { Ago, Choice, Empty, Pending, Text, useTitle } from "../ui/parts";
import { Badge } from "../ui/sign";
import { useLoaded } from "../ui/use-loaded";
import { health } from "./health";

// Seldom, for looking at webhooks counts against the same limit of requests an hour as changing them.
const EVERY_MS = 600_000;
const STATUSES = [
  ["active", "active"],
  ["inactive", "paused"],
  ["disabled", "disabled"],
] as const;

export function WebhooksView() {
  const [query, change] = useQuery();
  const status = STATUSES.find(([one]) => one === query.get("status"))?.[0] ?? "";
  const cursor = useCursor();
  const asked = { limit: 50, ...(status !== "" && { status }), ...cursor };
  const page = useLoaded(JSON.stringify(asked), (signal) => get("/api/webhooks", { query: asked, signal }), {
    everyMs: EVERY_MS,
  });
  useTitle("Webhooks");

  return (
    <div className="view">
      <div className="bar">
        <h1>Webhooks</h1>
        <search className="filters">
          <Choice
            label="Status"
            all="any status"
            value={status}
            options={STATUSES}
            choose={(one) => change({ status: one, cursor: null })}
          />
          <button type="button" onClick={page.reload}>
            Refresh
          </button>
        </search>
      </div>
      <Pending loaded={page} what="webhooks" />
      {page.value?.webhooks.length === 0 && (
        <Empty>
          No webhook is registered{status !== "" && " that is so"}. <a href="/api/docs">POST /api/webhooks</a> registers
          one.
        </Empty>
      )}
      <ul className="cards">
        {page.value?.webhooks.map((webhook) => {
          const { tone, word } = health(webhook);
          return (
            <li key={webhook.webhookId} className="card">
              <div className="card-head">
                <Badge tone={tone} word={word} />
                <Link href={`/webhooks/${webhook.webhookId}`} className="name">
                  <Text longest={200}>{webhook.url}</Text>
                </Link>
              </div>
              <p className="facts">
                <span>{webhook.events.join(", ")}</span>
                <span>
                  registered <Ago at={webhook.createdAt} />
                </span>
                {webhook.failingSince !== null && (
                  <span className="bad">
                    no success since <Ago at={webhook.failingSince} />
                  </span>
                )}
                {webhook.statusReason !== null && (
                  <span className="bad">
                    <Text longest={500}>{webhook.statusReason}</Text>
                  </span>
                )}
              </p>
            </li>
          );
        })}
      </ul>
      <Pages next={page.value?.nextCursor} />
    </div>
  );
}
