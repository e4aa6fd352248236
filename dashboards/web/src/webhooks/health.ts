/** How a webhook fares. */

import type { DeliveryStatus, Webhook } from "../api/types";
import type { Verdict } from "../executions/verdict";

export function health(webhook: Webhook): Verdict {
  if (webhook.status === "inactive") return { tone: "waiting", word: "Paused" };
  if (webhook.status === "disabled") return { tone: "broken", word: "Disabled" };
  return webhook.failingSince === null ? { tone: "passed", word: "Works" } : { tone: "failed", word: "Failing" };
}

export const DELIVERY_TONES: Record<DeliveryStatus, Verdict> = {
  pending: { tone: "waiting", word: "waiting" },
  delivered: { tone: "passed", word: "delivered" },
  failed: { tone: "failed", word: "given up" },
  missed: { tone: "lost", word: "missed" },
};
