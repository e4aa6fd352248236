/** What webhooks were told of an execution. */

import { useState } from "react";
import { get } from "../api/client";
import type { Execution } from "../api/types";
import { Empty, Pending } from "../ui/parts";
import { useLoaded } from "../ui/use-loaded";
import { DeliveryTable } from "../webhooks/delivery-table";

const EVERY_MS = 3000;
const PAGE = 200;

export function DeliveriesTab({ execution }: { execution: Execution }) {
  const { executionId } = execution;
  const [cursor, setCursor] = useState<string | null>(null);
  const query = { limit: PAGE, ...(cursor !== null && { cursor }) };
  const page = useLoaded(
    `${executionId} ${cursor}`,
    (signal) => get("/api/executions/{executionId}/deliveries", { ids: { executionId }, query, signal }),
    { everyMs: EVERY_MS },
  );
  if (page.value === null) return <Pending loaded={page} what="the deliveries" />;
  if (page.value.deliveries.length === 0) return <Empty>No webhook was told of this execution.</Empty>;
  return (
    <>
      <DeliveryTable deliveries={page.value.deliveries} changed={page.reload} withWebhook />
      <p className="pages">
        {cursor !== null && (
          <button type="button" onClick={() => setCursor(null)}>
            Newest
          </button>
        )}
        {page.value.nextCursor !== null && (
          <button type="button" onClick={() => setCursor(page.value?.nextCursor ?? null)}>
            Older
          </button>
        )}
      </p>
    </>
  );
}
