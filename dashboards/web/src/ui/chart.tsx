/** A chart of what came after one another, drawn by uPlot; what it shows can be read as a table too. */

import { useEffect, useId, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { Link } from "./link";
import { Text } from "./parts";
import { shortMoment, wholeMoment } from "./words";

export interface Line {
  name: string;
  /** A colour of the style sheet, such as `--failed-bar`. */
  colour: string;
  /** One value a moment; null leaves a gap. */
  values: readonly (number | null)[];
}

interface Props {
  title: string;
  /** Where the title leads, if it is more than a title. */
  href?: string;
  /** In ms, rising. */
  moments: readonly number[];
  lines: readonly Line[];
  inWords: (value: number) => string;
  /** The largest value of the scale, where that is known; else it follows the values. */
  most?: number;
  height?: number;
  /** A click on a moment, by its place. */
  open?: (index: number) => void;
}

const LONGEST_TITLE = 120;
const DARK = "(prefers-color-scheme: dark)";

export function Chart({ title, href, moments, lines, inWords, most, height = 150, open }: Props) {
  const room = useRef<HTMLDivElement>(null);
  const id = useId();
  const scheme = useScheme();
  const [pointed, setPointed] = useState<number | null>(null);
  const latest = useRef({ open, inWords });
  latest.current = { open, inWords };

  // biome-ignore lint/correctness/useExhaustiveDependencies: another scheme has other colours
  useEffect(() => {
    const element = room.current;
    if (element === null || moments.length === 0) return;
    const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const plot = new uPlot(
      {
        width: element.clientWidth,
        height,
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false } },
        // A step each, however much time lies between: what runs in bursts would be a heap otherwise.
        scales: {
          x: { time: false, range: () => [-0.5, moments.length - 0.5] },
          y: { range: (_, __, high) => [0, most ?? Math.max(high * 1.1, 1)] },
        },
        axes: [
          {
            ...axis,
            size: 28,
            space: 100,
            incrs: [1, 2, 5, 10, 20, 50, 100],
            values: (_, splits) =>
              splits.map((split) => (moments[split] === undefined ? "" : shortMoment(moments[split]))),
          },
          {
            ...axis,
            size: 76,
            space: 34,
            values: (_, splits) => splits.map((value) => latest.current.inWords(value)),
          },
        ],
        series: [
          {},
          ...lines.map((line) => ({
            label: line.name,
            stroke: colour(line.colour),
            width: 2,
            points: { show: moments.length < 60, size: 5, fill: colour(line.colour) },
          })),
        ],
        hooks: { setCursor: [(chart) => setPointed(chart.cursor.idx ?? null)] },
      },
      [moments.map((_, index) => index), ...lines.map((line) => [...line.values])],
      element,
    );
    plot.over.addEventListener("click", () => {
      const index = plot.cursor.idx;
      if (index !== null && index !== undefined) latest.current.open?.(index);
    });
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
    };
  }, [moments, lines, most, height, scheme]);

  const name = <Text longest={LONGEST_TITLE}>{title}</Text>;
  const shown = pointed ?? moments.length - 1;
  return (
    <figure className="chart card" aria-labelledby={id}>
      <figcaption>
        <h3 id={id}>{href === undefined ? name : <Link href={href}>{name}</Link>}</h3>
        {moments[shown] !== undefined && (
          <p className="quiet" aria-hidden="true">
            {lines.map((line) => (
              <span key={line.name}>
                <span className="key" style={{ background: `var(${line.colour})` }} />
                {line.name} {valueInWords(line.values[shown], inWords)}
              </span>
            ))}
            <span>{wholeMoment(moments[shown])}</span>
          </p>
        )}
      </figcaption>
      <div ref={room} className={open === undefined ? "plot" : "plot opens"} style={{ height }} aria-hidden="true" />
      <table className="unseen">
        <caption>{name}</caption>
        <thead>
          <tr>
            <th scope="col">Ended</th>
            {lines.map((line) => (
              <th key={line.name} scope="col">
                {line.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {moments.map((moment, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: two may have ended at the same moment
            <tr key={index}>
              <th scope="row">{wholeMoment(moment)}</th>
              {lines.map((line) => (
                <td key={line.name}>{valueInWords(line.values[index], inWords)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </figure>
  );
}

function valueInWords(value: number | null | undefined, inWords: (value: number) => string): string {
  return value === null || value === undefined ? "–" : inWords(value);
}

/** Changes with the scheme, so that what was drawn in its colours is drawn anew. */
function useScheme(): boolean {
  const [dark, setDark] = useState(() => matchMedia(DARK).matches);
  useEffect(() => {
    const query = matchMedia(DARK);
    const change = () => setDark(query.matches);
    query.addEventListener("change", change);
    return () => query.removeEventListener("change", change);
  }, []);
  return dark;
}
