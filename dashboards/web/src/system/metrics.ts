/** Reads Prometheus' text form, as far as the server writes it. */

export interface Sample {
  labels: Readonly<Record<string, string>>;
  value: number;
}

/** Metric name -> its samples. */
export type Metrics = ReadonlyMap<string, readonly Sample[]>;

const LINE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g;

export function parse(text: string): Metrics {
  const metrics = new Map<string, Sample[]>();
  for (const line of text.split("\n")) {
    const [, name, labels = "", value] = LINE.exec(line) ?? [];
    if (name === undefined || value === undefined) continue;
    const sample = { labels: Object.fromEntries(labelsOf(labels)), value: Number(value.replace("Inf", "Infinity")) };
    const samples = metrics.get(name);
    if (samples === undefined) metrics.set(name, [sample]);
    else samples.push(sample);
  }
  return metrics;
}

function* labelsOf(text: string): Generator<[string, string]> {
  for (const [, name = "", value = ""] of text.matchAll(LABEL)) {
    yield [name, value.replace(/\\(.)/g, (_, mark: string) => (mark === "n" ? "\n" : mark))];
  }
}

export function total(metrics: Metrics, name: string, wanted: Record<string, string> = {}): number {
  const entries = Object.entries(wanted);
  return (metrics.get(name) ?? [])
    .filter(({ labels }) => entries.every(([label, value]) => labels[label] === value))
    .reduce((sum, { value }) => sum + value, 0);
}

/** How fast something counted grew between two looks, a second; null where it cannot be told, as after a restart. */
export function growth(before: number, after: number, ms: number): number | null {
  return after < before || ms <= 0 ? null : ((after - before) * 1000) / ms;
}
