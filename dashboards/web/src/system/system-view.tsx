/** How the server is: whether it can work, its owners and couriers, what waits, and how fast it goes. */

import { useEffect, useRef, useState } from "react";
import { metricsText, readiness } from "../api/client";
import { Loading, Trouble, useTitle } from "../ui/parts";
import { Badge } from "../ui/sign";
import { useLoaded } from "../ui/use-loaded";
import { count, duration, percent, rate } from "../ui/words";
import { growth, type Metrics, parse, total } from "./metrics";

const EVERY_MS = 2000;

interface Look {
  at: number;
  metrics: Metrics;
  /** Why it is not ready; null if it is. */
  trouble: string | null;
}

export function SystemView() {
  const loaded = useLoaded(
    "system",
    async (signal): Promise<Look> => {
      const [text, trouble] = await Promise.all([metricsText(signal), readiness(signal)]);
      return { at: Date.now(), metrics: parse(text), trouble };
    },
    EVERY_MS,
  );
  const look = loaded.value;
  const [before, setBefore] = useState<Look | null>(null);
  const last = useRef<Look | null>(null);
  useEffect(() => {
    if (look === null || look === last.current) return;
    setBefore(last.current);
    last.current = look;
  }, [look]);
  useTitle("System");

  return (
    <div className="view">
      <div className="bar">
        <h1>System</h1>
        {look !== null && (
          <Badge
            tone={look.trouble === null && loaded.error === null ? "passed" : "broken"}
            word={loaded.error !== null ? "Does not answer" : (look.trouble ?? "Ready")}
          />
        )}
      </div>
      {look === null && loaded.error !== null && <Trouble error={loaded.error} />}
      {look === null && loaded.error === null && <Loading what="the numbers" />}
      {look !== null && (
        <>
          <Rates look={look} before={before} />
          <Actors title="Owners" kind="owner" label="partition" look={look} before={before} />
          <Actors title="Couriers" kind="courier" label="courier" look={look} before={before} />
          <Routes look={look} />
        </>
      )}
    </div>
  );
}

function grown(name: string, look: Look, before: Look | null, wanted: Record<string, string> = {}): number | null {
  if (before === null) return null;
  return growth(total(before.metrics, name, wanted), total(look.metrics, name, wanted), look.at - before.at);
}

function shown(perSecond: number | null): string {
  return perSecond === null ? "–" : rate(perSecond);
}

function Rates({ look, before }: { look: Look; before: Look | null }) {
  const results = { route: "/api/results", method: "POST", status: "201" };
  const faults = (look.metrics.get("tms_http_requests_total") ?? [])
    .filter(({ labels }) => labels.status?.startsWith("5"))
    .reduce((sum, { value }) => sum + value, 0);
  const figures: [string, string][] = [
    ["Requests", shown(grown("tms_http_requests_total", look, before))],
    ["Results", shown(grown("tms_http_requests_total", look, before, results))],
    ["Commits", shown(grown("tms_owner_commits_total", look, before))],
    ["Webhook attempts", shown(grown("tms_courier_attempts_total", look, before))],
    ["Commands waiting", count(total(look.metrics, "tms_mailbox_commands"))],
    ["Server faults since start", count(faults)],
  ];
  return (
    <dl className="figures">
      {figures.map(([name, value]) => (
        <div key={name} className="card">
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

interface ActorsProps {
  title: string;
  kind: "owner" | "courier";
  label: string;
  look: Look;
  before: Look | null;
}

/** Every number that an actor tells, whatever it is: a new one appears here by itself. */
function Actors({ title, kind, label, look, before }: ActorsProps) {
  const prefix = `tms_${kind}_`;
  const up = look.metrics.get(`${prefix}up`) ?? [];
  const names = [...look.metrics.keys()]
    .filter((name) => name.startsWith(prefix) && name !== `${prefix}up`)
    .sort((one, other) => Number(other.endsWith("_pid")) - Number(one.endsWith("_pid")));
  return (
    <section aria-label={title}>
      <h2>
        {title} <span className="number">{up.length}</span>
      </h2>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and so must be reached by keys */}
      <div className="table-room" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">{label}</th>
              <th scope="col">State</th>
              {kind === "owner" && (
                <th scope="col" className="figure">
                  waiting
                </th>
              )}
              {names.map((name) => (
                <th key={name} scope="col" className="figure">
                  {name
                    .slice(prefix.length)
                    .replace(/_total$/, "")
                    .replaceAll("_", " ")}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {up.map(({ labels, value }) => {
              const number = labels[label] ?? "";
              return (
                <tr key={number}>
                  <th scope="row">{number}</th>
                  <td>
                    <Badge tone={value === 1 ? "passed" : "lost"} word={value === 1 ? "up" : "away"} />
                  </td>
                  {kind === "owner" && (
                    <td className="figure">
                      {count(total(look.metrics, "tms_mailbox_commands", { partition: number }))}
                    </td>
                  )}
                  {names.map((name) => (
                    <td key={name} className="figure">
                      {cell(name, { [label]: number }, look, before)}
                    </td>
                  ))}
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function cell(name: string, wanted: Record<string, string>, look: Look, before: Look | null): string {
  const value = total(look.metrics, name, wanted);
  if (name.endsWith("_pid")) return String(value);
  if (name.endsWith("_seconds_total")) {
    const busy = grown(name, look, before, wanted);
    return busy === null ? "–" : percent(busy);
  }
  if (name.endsWith("_seconds")) return duration(value * 1000);
  return count(Math.round(value * 100) / 100);
}

function Routes({ look }: { look: Look }) {
  const counts = look.metrics.get("tms_http_request_seconds_count") ?? [];
  const busiest = [...counts]
    .filter(({ value }) => value > 0)
    .sort((one, other) => other.value - one.value)
    .slice(0, 12);
  return (
    <section aria-labelledby="routes">
      <h2 id="routes">Requests by route</h2>
      <div className="table-room">
        <table>
          <thead>
            <tr>
              <th scope="col">Route</th>
              <th scope="col" className="figure">
                Answered
              </th>
              <th scope="col" className="figure">
                On average
              </th>
            </tr>
          </thead>
          <tbody>
            {busiest.map(({ labels, value }) => {
              const { route = "", method = "" } = labels;
              const seconds = total(look.metrics, "tms_http_request_seconds_sum", { route, method });
              return (
                <tr key={`${method} ${route}`}>
                  <th scope="row">
                    <code>
                      {method} {route}
                    </code>
                  </th>
                  <td className="figure">{count(value)}</td>
                  <td className="figure">{duration((seconds / value) * 1000)}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}
