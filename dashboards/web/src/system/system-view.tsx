/** How the server is: whether it can work, its owners and couriers, what waits, and how fast it goes. */

import { useEffect, useRef, useState } from "react";
import { metricsText, readiness } from "../api/client";
import { Pending, useTitle } from "../ui/parts";
import { Badge } from "../ui/sign";
import { useLoaded } from "../ui/use-loaded";
import { count, duration } from "../ui/words";
import { COURIERS, type Figure, type Look, OWNERS, RATES, SCHEDULERS, shown } from "./figures";
import { parse, total } from "./metrics";

const EVERY_MS = 2000;
const BUSIEST = 12;

export function SystemView() {
  const loaded = useLoaded(
    "system",
    async (signal): Promise<Look> => {
      const [text, trouble] = await Promise.all([metricsText(signal), readiness(signal)]);
      return { at: Date.now(), metrics: parse(text), trouble };
    },
    { everyMs: EVERY_MS },
  );
  const look = loaded.value;
  const before = useFormer(look);
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
      {look === null && <Pending loaded={loaded} what="the numbers" />}
      {look !== null && (
        <>
          <dl className="figures">
            {RATES.map((figure) => (
              <div key={figure.name} className="card">
                <dt>{figure.name}</dt>
                <dd>{shown(figure, look, before)}</dd>
              </div>
            ))}
          </dl>
          <Actors title="Owners" kind="owner" label="partition" figures={OWNERS} look={look} before={before} />
          <Actors title="Couriers" kind="courier" label="courier" figures={COURIERS} look={look} before={before} />
          <Actors
            title="Schedulers"
            kind="scheduler"
            label="scheduler"
            figures={SCHEDULERS}
            look={look}
            before={before}
          />
          <Routes look={look} />
        </>
      )}
    </div>
  );
}

/** The look before this one; null at the first. */
function useFormer(look: Look | null): Look | null {
  const [former, setFormer] = useState<Look | null>(null);
  const last = useRef<Look | null>(null);
  useEffect(() => {
    if (look === null || look === last.current) return;
    setFormer(last.current);
    last.current = look;
  }, [look]);
  return former;
}

interface ActorsProps {
  title: string;
  kind: "owner" | "courier" | "scheduler";
  label: string;
  figures: readonly Figure[];
  look: Look;
  before: Look | null;
}

function Actors({ title, kind, label, figures, look, before }: ActorsProps) {
  const up = look.metrics.get(`tms_${kind}_up`) ?? [];
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
              <th scope="col">state</th>
              {figures.map(({ name }) => (
                <th key={name} scope="col" className="figure">
                  {name}
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
                  {figures.map((figure) => (
                    <td key={figure.name} className="figure">
                      {shown(figure, look, before, { [label]: number })}
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

function Routes({ look }: { look: Look }) {
  const counts = look.metrics.get("tms_http_request_seconds_count") ?? [];
  const busiest = [...counts].sort((one, other) => other.value - one.value).slice(0, BUSIEST);
  return (
    <section aria-labelledby="routes">
      <h2 id="routes">Requests by route, since the start</h2>
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
