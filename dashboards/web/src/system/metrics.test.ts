import { expect, it } from "vitest";
import { growth, parse, total } from "./metrics";

const TEXT = `# HELP tms_owner_up Whether the owner answers
# TYPE tms_owner_up gauge
tms_owner_up{partition="0"} 1.0
tms_owner_up{partition="1"} 0.0
tms_http_requests_total{method="GET",route="/api/executions/{executionId}",status="200"} 3.0
tms_http_requests_total{method="POST",route="a \\"quoted\\" one",status="201"} 4.0
tms_plain 1.5e+06
`;

it("reads names, labels and values", () => {
  const metrics = parse(TEXT);
  expect(metrics.get("tms_owner_up")).toEqual([
    { labels: { partition: "0" }, value: 1 },
    { labels: { partition: "1" }, value: 0 },
  ]);
  expect(metrics.get("tms_http_requests_total")?.map(({ labels }) => labels.route)).toEqual([
    "/api/executions/{executionId}",
    'a "quoted" one',
  ]);
});

it("adds up what is asked for", () => {
  const metrics = parse(TEXT);
  expect(total(metrics, "tms_http_requests_total")).toBe(7);
  expect(total(metrics, "tms_http_requests_total", { status: "201" })).toBe(4);
  expect(total(metrics, "tms_plain")).toBe(1_500_000);
  expect(total(metrics, "tms_nothing")).toBe(0);
});

it("tells a rate, but not over a restart", () => {
  expect(growth(10, 30, 2000)).toBe(10);
  expect(growth(30, 10, 2000)).toBeNull();
});
