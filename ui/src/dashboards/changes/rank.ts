// Which metrics moved most in a window of time compared with as long before it: what is asked for, and how the answers are ordered. Not the
// asking (ask.ts).
import { type LabelSet, type Metadata, metadataOf, quoted } from "../../api/prometheus";

/** A metric that is compared: by its value, or, where it counts, by how fast it grows. */
export interface Candidate {
  name: string;
  counts: boolean;
}
export interface Moved {
  expr: string;
  labels: LabelSet;
  score: number;
  before: number | undefined;
  now: number | undefined;
}
/** So many metrics are compared; each is one query. */
export const METRICS_MAX = 300;
/** The series of one metric that are told. */
export const SERIES_MAX = 2;
export const TOLD_MAX = 15;
/** Further outside of what was usual than this is all the same. */
const SPREAD_MAX = 20;
/** A window shorter than this has too few samples to be compared. */
export const WINDOW_SECONDS_MIN = 60;
const VALUES_MAX = 10;

/** Buckets and sums say what counts and means say better; times and versions do not move. */
const SAYS_NOTHING = /_(bucket|sum|created|info)$|^(ALERTS|ALERTS_FOR_STATE|scrape_\w+|\w*_timestamp_seconds|\w*_start_time_seconds)$/;

export function candidates(names: readonly string[], metadata: ReadonlyMap<string, Metadata>): Candidate[] {
  return names.filter((it) => !SAYS_NOTHING.test(it)).map((name) => {
    const type = metadataOf(metadata, name)?.type ?? "unknown";
    return { name, counts: type === "counter" || ((type === "histogram" || type === "summary") && name.endsWith("_count")) || (type === "unknown" && /_(total|count)$/.test(name)) };
  });
}

/** Where the series of a chart come from: what else is there is compared. */
export function scopeOf(series: readonly LabelSet[]): string {
  const matchers = ["job", "instance"].flatMap((label) => {
    const values = [...new Set(series.map((it) => it[label] ?? "").filter((it) => it !== ""))].slice(0, VALUES_MAX);
    return values.length === 0 ? [] : [values.length === 1 ? `${label}=${quoted(values[0] ?? "")}` : `${label}=~${quoted(values.map((it) => it.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("|"))}`];
  });
  return matchers.join(",");
}

/** What a metric is in the window that ends at the time of evaluation, and in that before it. */
export function sides({ name, counts }: Candidate, scope: string, seconds: number): { selector: string; now: string; before: string; spread: string } {
  const selector = `{__name__=${quoted(name)}${scope === "" ? "" : `,${scope}`}}`;
  if (!counts) return { selector, now: `avg_over_time(${selector}[${seconds}s])`, before: `avg_over_time(${selector}[${seconds}s] offset ${seconds}s)`, spread: `stddev_over_time(${selector}[${seconds}s] offset ${seconds}s)` };
  const part = Math.max(30, Math.round(seconds / 8));
  return { selector, now: `rate(${selector}[${seconds}s])`, before: `rate(${selector}[${seconds}s] offset ${seconds}s)`, spread: `stddev_over_time(rate(${selector}[${part}s])[${seconds}s:${part}s] offset ${seconds}s)` };
}

/** How far the mean went outside of its earlier spread, times how much of itself it changed by. */
export function scoreQuery(candidate: Candidate, scope: string, seconds: number): string {
  const { now, before, spread } = sides(candidate, scope, seconds);
  const way = `abs(${now} - ${before})`;
  return `topk(${SERIES_MAX}, ${way} / (abs(${now}) + abs(${before}) + 1e-12) * clamp_max(${way} / (${spread} + 1e-12), ${SPREAD_MAX}) > 0)`;
}

/** What finds exactly these labels, but for the name. */
export const matchersOf = (labels: LabelSet): string => Object.entries(labels).filter(([key]) => key !== "__name__").map(([key, value]) => `${key}=${quoted(value)}`).join(",");

/** The series itself, for a link that shows it. */
export function exprOf({ name, counts }: Candidate, labels: LabelSet): string {
  const matchers = matchersOf(labels);
  const plain = /^[a-zA-Z_:][\w:]*$/.test(name) ? `${name}${matchers && `{${matchers}}`}` : `{__name__=${quoted(name)}${matchers && `,${matchers}`}}`;
  return counts ? `rate(${plain}[$__rate_interval])` : plain;
}

export function exploreAddress(from: number | string, to: number | string, source: string, expr: string): string {
  return `/explore?${new URLSearchParams({ left: JSON.stringify([String(from), String(to), source, { expr }]) }).toString()}`;
}
