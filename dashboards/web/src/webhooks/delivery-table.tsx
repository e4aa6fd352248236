/** Deliveries with what came of them; each opens with its body and its attempts, and can be sent again. */

import { useState } from "react";
import { ask, get } from "../api/client";
import type { Delivery } from "../api/types";
import { Json } from "../ui/json";
import { Link } from "../ui/link";
import { Ago, Dialog, Pending, Text, Trouble } from "../ui/parts";
import { Badge } from "../ui/sign";
import { useLoaded } from "../ui/use-loaded";
import { duration, plural, wholeMoment } from "../ui/words";
import { DELIVERY_TONES } from "./health";

interface Props {
  deliveries: readonly Delivery[];
  changed: () => void;
  /** Whether they are of several webhooks. */
  withWebhook?: boolean;
}

export function DeliveryTable({ deliveries, changed, withWebhook }: Props) {
  const [opened, setOpened] = useState<Delivery | null>(null);
  return (
    <div className="table-room">
      <table>
        <caption className="unseen">{plural(deliveries.length, "delivery", "deliveries")}, newest first</caption>
        <thead>
          <tr>
            <th scope="col">Status</th>
            <th scope="col">Event</th>
            {withWebhook && <th scope="col">Webhook</th>}
            <th scope="col">Last answer</th>
            <th scope="col" className="figure">
              Attempts
            </th>
            <th scope="col" className="figure">
              Written
            </th>
          </tr>
        </thead>
        <tbody>
          {deliveries.map((delivery) => {
            const { tone, word } = DELIVERY_TONES[delivery.status];
            return (
              <tr key={delivery.deliveryId}>
                <td>
                  <Badge tone={tone} word={word} />
                </td>
                <td>
                  <button type="button" className="link" onClick={() => setOpened(delivery)}>
                    {delivery.event}
                  </button>
                </td>
                {withWebhook && (
                  <td>
                    <Link href={`/webhooks/${delivery.webhookId}`}>
                      <code>{delivery.webhookId}</code>
                    </Link>
                  </td>
                )}
                <td>{answerOf(delivery)}</td>
                <td className="figure">{delivery.attemptCount}</td>
                <td className="figure">
                  <Ago at={delivery.createdAt} />
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {opened !== null && <DeliveryDialog delivery={opened} changed={changed} close={() => setOpened(null)} />}
    </div>
  );
}

function answerOf(delivery: Delivery): string {
  if (delivery.lastStatusCode !== null) return String(delivery.lastStatusCode);
  return delivery.lastError ?? "–";
}

function DeliveryDialog({ delivery, changed, close }: { delivery: Delivery; changed: () => void; close: () => void }) {
  const ids = { webhookId: delivery.webhookId, deliveryId: delivery.deliveryId };
  const loaded = useLoaded(delivery.deliveryId, (signal) =>
    get("/api/webhooks/{webhookId}/deliveries/{deliveryId}", { ids, signal }),
  );
  const [refused, setRefused] = useState<Error | null>(null);
  const details = loaded.value;

  async function redeliver(): Promise<void> {
    setRefused(null);
    try {
      await ask("post", "/api/webhooks/{webhookId}/deliveries/{deliveryId}/redeliver", { ids });
      changed();
      close();
    } catch (error) {
      setRefused(error as Error);
    }
  }

  return (
    <Dialog wide title={delivery.event} close={close}>
      <p className="quiet">
        <code>{delivery.deliveryId}</code>
        {delivery.executionId !== null && (
          <>
            {" "}
            of <Link href={`/executions/${delivery.executionId}`}>{delivery.executionId}</Link>
          </>
        )}
        , written {wholeMoment(delivery.createdAt)}
        {delivery.nextAttemptAt !== null && `, tried next ${wholeMoment(delivery.nextAttemptAt)}`}
      </p>
      <Pending loaded={loaded} what="its attempts" />
      {details !== null && (
        <>
          <h3>{plural(details.attempts.length, "attempt")}</h3>
          <ol className="attempts">
            {details.attempts.map((attempt) => (
              <li key={attempt.number}>
                <p>
                  {wholeMoment(attempt.at)}:{" "}
                  <strong>
                    {attempt.statusCode === null ? (attempt.error ?? "no answer") : `answered ${attempt.statusCode}`}
                  </strong>{" "}
                  <span className="quiet">after {duration(attempt.duration)}</span>
                </p>
                {attempt.reply !== "" && (
                  <pre className="json">
                    <Text longest={8192}>{attempt.reply}</Text>
                  </pre>
                )}
              </li>
            ))}
          </ol>
          <h3>Body</h3>
          <Json value={details.body} />
        </>
      )}
      {refused !== null && <Trouble error={refused} />}
      <p className="buttons">
        <button
          type="button"
          className="main"
          disabled={delivery.status === "pending"}
          onClick={() => void redeliver()}
        >
          Send again
        </button>
      </p>
    </Dialog>
  );
}
