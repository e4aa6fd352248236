/** Names for what the API gives, and the frames of the live protocol (docs/live.md), which OpenAPI cannot describe. */

import type { components } from "./schema";

type Schemas = components["schemas"];

export type Execution = Schemas["ExecutionState"];
export type ExecutionStatus = Schemas["ExecutionStatus"];
export type Shard = Schemas["ShardResult"];
export type Plan = Schemas["PlanState"];
export type ShardPlan = Schemas["ShardPlanState"];
export type ShardStatus = Schemas["ShardStatus"];
export type Totals = Schemas["Totals"];
export type Test = Schemas["Test"];
export type TestPage = Schemas["TestPage"];
export type TestStatus = Schemas["TestStatus"];
export type FilePage = Schemas["ArtifactPage"];
export type UploadedFile = Schemas["Artifact"];
export type ManagedShard = Schemas["ManagedShard"];
export type KnownTest = Schemas["KnownTest"];
export type KnownTestDetails = Schemas["KnownTestDetails"];
export type TestRun = Schemas["TestRun"];
export type RecentOutcome = Schemas["RecentOutcome"];
export type SuiteBranch = Schemas["SuiteBranch"];
export type SuitePoint = Schemas["SuitePoint"];
export type LoggedEvent = Schemas["LoggedEvent"];
export type Webhook = Schemas["Webhook"];
export type WebhookEvent = Schemas["WebhookEvent"];
export type Delivery = Schemas["Delivery"];
export type DeliveryStatus = Schemas["DeliveryStatus"];
export type DeliveryDetails = Schemas["DeliveryDetails"];

export interface SnapshotFrame {
  type: "snapshot";
  seq: number;
  execution: Execution;
}

export interface EventFrame {
  type: "event";
  seq: number;
  event: string;
  executionId: string;
  timestamp: string;
  data: Record<string, unknown>;
}

/** A test as a live frame has it; the error is cut. */
export type LiveTest = Pick<Test, "title" | "file" | "status" | "duration" | "error" | "retries" | "tags" | "ordinal">;

export interface TestsFrame {
  type: "tests";
  n: number;
  shardId: string;
  tests: LiveTest[];
}

export type Frame = SnapshotFrame | EventFrame | TestsFrame;
