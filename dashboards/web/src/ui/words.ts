/** Numbers, times and strangers' text as people read them. */

const NUMBER = new Intl.NumberFormat("en");
const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const MOMENT = new Intl.DateTimeFormat("en-GB", {
  ...{ year: "numeric", month: "short", day: "2-digit" },
  ...{ hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" },
});

const SHORT = new Intl.DateTimeFormat("en-GB", { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export function count(value: number): string {
  return NUMBER.format(value);
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** A duration in ms: `312 ms`, `4.2 s`, `3 min 07 s`, `2 h 05 min`. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return "–";
  if (ms < SECOND) return `${Math.round(ms)} ms`;
  if (ms < 9.95 * SECOND) return `${(ms / SECOND).toFixed(1)} s`;
  const seconds = Math.round(ms / SECOND);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 24 * 60
    ? `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`
    : `${Math.floor(minutes / 60 / 24)} d ${Math.round((minutes / 60) % 24)} h`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

/** How long ago a moment was, in one unit. */
export function ago(moment: string, now: number): string {
  const passed = now - Date.parse(moment);
  if (passed < 5 * SECOND) return "just now";
  if (passed < MINUTE) return `${Math.floor(passed / SECOND)} s ago`;
  if (passed < HOUR) return `${Math.floor(passed / MINUTE)} min ago`;
  if (passed < DAY) return `${Math.floor(passed / HOUR)} h ago`;
  return `${plural(Math.floor(passed / DAY), "day")} ago`;
}

export function clock(moment: string | number): string {
  return TIME.format(new Date(moment));
}

export function wholeMoment(moment: string | number): string {
  return MOMENT.format(new Date(moment));
}

/** A share of 0 to 1. What is not all is never rounded to all, and what is not nothing never to nothing. */
export function percent(share: number): string {
  if (share === 0 || share === 1) return `${share * 100} %`;
  if (share < 0.001) return "<0.1 %";
  if (share < 0.1) return `${(share * 100).toFixed(1)} %`;
  return share > 0.9 ? `${(Math.floor(share * 1000) / 10).toFixed(1)} %` : `${Math.round(share * 100)} %`;
}

/** A day and time without the year, where there is little room. */
export function shortMoment(moment: number): string {
  return SHORT.format(new Date(moment));
}

export function rate(perSecond: number): string {
  return perSecond >= 10 ? `${count(Math.round(perSecond))}/s` : `${perSecond.toFixed(1)}/s`;
}

/** Controls, and marks that turn or hide text, which would make a title look like another one. */
const UNSEEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** Strangers' text with what cannot be seen made visible, and no longer than it may be. */
export function visible(text: string, longest = Number.POSITIVE_INFINITY): string {
  const shown = text.length > longest ? `${text.slice(0, longest)}…` : text;
  return shown.replace(
    UNSEEN,
    (mark) => `\u27e8${mark.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0")}\u27e9`,
  );
}

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** A size: `312 B`, `4.2 MB`. */
export function bytes(size: number): string {
  const power = size < 1000 ? 0 : Math.min(Math.floor(Math.log10(size) / 3), UNITS.length - 1);
  const value = size / 1000 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[power]}`;
}

/** A number of things; nothing for what is between two numbers, as scales have it. */
export function whole(value: number): string {
  return Number.isInteger(value) ? count(value) : "";
}
