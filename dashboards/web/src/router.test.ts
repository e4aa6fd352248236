import { expect, it } from "vitest";
import { placeOf } from "./router";

it.each([
  ["/", { view: "executions" }],
  ["/executions/", { view: "executions" }],
  ["/executions/exec_1", { view: "execution", executionId: "exec_1" }],
  ["/reports/exec_1", { view: "execution", executionId: "exec_1" }],
  ["/reports/exec_1/shard-12", { view: "execution", executionId: "exec_1", tab: "tests", shard: "12" }],
  ["/logs/exec_1", { view: "execution", executionId: "exec_1", tab: "artifacts" }],
  ["/artifacts/exec_1", { view: "execution", executionId: "exec_1", tab: "artifacts" }],
  ["/suites/smoke", { view: "suite", suite: "smoke" }],
  ["/tests/test_1", { view: "test", testId: "test_1" }],
  ["/webhooks/wh_1", { view: "webhook", webhookId: "wh_1" }],
  ["/system", { view: "system" }],
  ["/executions/../../etc", { view: "nowhere" }],
  ["/reports/exec_1/shard-0", { view: "nowhere" }],
])("%s", (path, place) => expect(placeOf(path)).toEqual(place));
