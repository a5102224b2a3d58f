// One line of a log as the page holds it: its time in nanoseconds as text, its line, and what is known of it. Order, level, and what
// tells a line from another. Not the asking (loki.ts) and not the looks.
import type { LabelSet } from "./prometheus";

export interface Entry {
  /** Of this page alone. */
  id: number;
  /** Nanoseconds since 1970: more digits than a number can hold. */
  ns: string;
  ms: number;
  line: string;
  labels: LabelSet;
  metadata: LabelSet;
  parsed: LabelSet;
  /** Its labels, metadata and parsed fields came as one set. */
  merged: boolean;
  /** What tells it from others, where it has a name of its own. */
  key?: string | undefined;
}
export type Direction = "backward" | "forward";

export const LEVELS = ["critical", "error", "warn", "info", "debug", "trace", "unknown"] as const;
export type Level = (typeof LEVELS)[number];

const LEVEL_NAMES = ["detected_level", "level", "severity", "lvl", "loglevel", "log_level", "levelname", "severity_text"];
const WORDS: Record<string, Level> = {
  emerg: "critical",
  emergency: "critical",
  alert: "critical",
  fatal: "critical",
  panic: "critical",
  crit: "critical",
  critical: "critical",
  err: "error",
  error: "error",
  eror: "error",
  warn: "warn",
  warning: "warn",
  info: "info",
  information: "info",
  informational: "info",
  notice: "info",
  debug: "debug",
  dbug: "debug",
  trace: "trace",
  verbose: "trace",
};
/** A level stands early in a line. */
const LEVEL_CHARS_MAX = 400;
let ids = 0;

export function newId(): number {
  ids += 1;
  return ids;
}

export function levelNamed(word: string | undefined): Level | undefined {
  return word === undefined ? undefined : WORDS[word.toLowerCase()];
}

/** The level that labels or fields name, else the first word of the line that names one. */
export function levelOf({ labels, metadata, parsed, line }: Pick<Entry, "labels" | "metadata" | "parsed" | "line">): Level {
  for (const name of LEVEL_NAMES) {
    const level = levelNamed(metadata[name] ?? parsed[name] ?? labels[name]);
    if (level) return level;
  }
  const start = line.slice(0, LEVEL_CHARS_MAX);
  const field = /"?\b(?:level|severity|lvl|loglevel|log_level|levelname|severity_text)"?\s*[=:]\s*"?(\w+)/i.exec(start);
  const named = levelNamed(field?.[1]);
  if (named) return named;
  for (const [word] of start.matchAll(/[A-Za-z]+/g)) {
    const level = levelNamed(word);
    if (level) return level;
  }
  return "unknown";
}

export function compareNs(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

export function nsPlus(ns: string, nanoseconds: number): string {
  return (BigInt(ns) + BigInt(nanoseconds)).toString();
}

export function nsOf(ms: number): string {
  return `${Math.trunc(ms)}000000`;
}

/** Lines of one time, stream and text are one line. */
export function keyOf(entry: Entry): string {
  if (entry.key !== undefined) return entry.key;
  return `${entry.ns}\n${JSON.stringify(entry.merged ? "" : entry.labels)}\n${entry.line}`;
}

export function sorted(entries: readonly Entry[], direction: Direction): Entry[] {
  const sign = direction === "backward" ? -1 : 1;
  return [...entries].sort((a, b) => sign * compareNs(a.ns, b.ns));
}

const SOURCES = ["service_name", "service", "container", "container_name", "app", "unit", "job", "filename", "host", "instance"];

/** What most tells where a line comes from. */
export function sourceOf({ labels }: Entry): string {
  const name = SOURCES.find((it) => labels[it] !== undefined);
  return name === undefined ? (Object.values(labels)[0] ?? "") : (labels[name] ?? "");
}
