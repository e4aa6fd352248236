/** Which of the server's numbers are shown, and what they mean between two looks at them. */

import { count, duration, rate } from "../ui/words";
import { growth, type Metrics, total } from "./metrics";

export interface Look {
  /** In ms. */
  at: number;
  metrics: Metrics;
  /** Why the server is not ready; null if it is. */
  trouble: string | null;
}

/**
 * `number` as it is, `seconds` as a duration, `plain` without separators, `rate` a second between two looks, `average` of
 * a histogram of seconds between two looks.
 */
type Kind = "number" | "seconds" | "plain" | "rate" | "average";

export interface Figure {
  name: string;
  metric: string;
  kind: Kind;
}

export const RATES: readonly Figure[] = [
  { name: "Requests", metric: "tms_http_requests_total", kind: "rate" },
  { name: "Tests reported", metric: "tms_owner_tests_total", kind: "rate" },
  { name: "Commits", metric: "tms_owner_commit_seconds_count", kind: "rate" },
  { name: "Webhook requests", metric: "tms_courier_attempts_total", kind: "rate" },
  { name: "Commands waiting", metric: "tms_mailbox_commands", kind: "number" },
  { name: "Deliveries due", metric: "tms_courier_due_deliveries", kind: "number" },
  { name: "Live readers", metric: "tms_live_readers", kind: "number" },
  { name: "Commit to reader", metric: "tms_live_lag_seconds", kind: "average" },
  { name: "Not in history yet", metric: "tms_history_waiting_executions", kind: "number" },
  { name: "Wait for the database", metric: "tms_database_wait_seconds", kind: "average" },
];

export const OWNERS: readonly Figure[] = [
  { name: "executions", metric: "tms_owner_executions", kind: "number" },
  { name: "leases", metric: "tms_owner_leases", kind: "number" },
  { name: "commands", metric: "tms_owner_commands_total", kind: "rate" },
  { name: "queued", metric: "tms_owner_queued_commands", kind: "number" },
  { name: "commits", metric: "tms_owner_commit_seconds_count", kind: "rate" },
  { name: "a commit takes", metric: "tms_owner_commit_seconds", kind: "average" },
  { name: "failed commits", metric: "tms_owner_failed_commits_total", kind: "number" },
  { name: "deadlines", metric: "tms_owner_deadlines", kind: "number" },
  { name: "overdue", metric: "tms_owner_overdue_seconds", kind: "seconds" },
  { name: "process", metric: "tms_owner_pid", kind: "plain" },
];

export const COURIERS: readonly Figure[] = [
  { name: "webhooks", metric: "tms_courier_webhooks", kind: "number" },
  { name: "failing", metric: "tms_courier_failing_webhooks", kind: "number" },
  { name: "requests", metric: "tms_courier_attempts_total", kind: "rate" },
  { name: "a request takes", metric: "tms_courier_attempt_seconds", kind: "average" },
  { name: "under way", metric: "tms_courier_requests_under_way", kind: "number" },
  { name: "due", metric: "tms_courier_due_deliveries", kind: "number" },
  { name: "oldest due", metric: "tms_courier_oldest_due_seconds", kind: "seconds" },
  { name: "open breakers", metric: "tms_courier_open_breakers", kind: "number" },
  { name: "process", metric: "tms_courier_pid", kind: "plain" },
];

export const SCHEDULERS: readonly Figure[] = [
  { name: "managed shards", metric: "tms_scheduler_runners", kind: "number" },
  { name: "started", metric: "tms_scheduler_started_shards_total", kind: "number" },
  { name: "runners lost", metric: "tms_scheduler_lost_runners_total", kind: "number" },
  { name: "process", metric: "tms_scheduler_pid", kind: "plain" },
];

/** A figure as it is shown, of a row's labels. */
export function shown(figure: Figure, look: Look, before: Look | null, wanted: Record<string, string> = {}): string {
  const { metric, kind } = figure;

  switch (kind) {
    case "number":
      return count(total(look.metrics, metric, wanted));
    case "seconds":
      return duration(total(look.metrics, metric, wanted) * 1000);
    case "plain":
      return String(total(look.metrics, metric, wanted));
    case "rate": {
      const perSecond = before && growthOf(metric, look, before, wanted);
      return perSecond === null ? "–" : rate(perSecond);
    }
    case "average": {
      const times = before && growthOf(`${metric}_count`, look, before, wanted);
      const seconds = before && growthOf(`${metric}_sum`, look, before, wanted);
      return times === null || seconds === null || times === 0 ? "–" : duration((seconds / times) * 1000);
    }
  }
}

function growthOf(metric: string, look: Look, before: Look, wanted: Record<string, string>): number | null {
  return growth(total(before.metrics, metric, wanted), total(look.metrics, metric, wanted), look.at - before.at);
}
