// A label set as PromQL writes it, for legends and tables. Not parsing.
import type { LabelSet } from "../../api/prometheus";

export function seriesName(labels: LabelSet): string {
  const { __name__: name = "", ...rest } = labels;
  const pairs = Object.entries(rest).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  if (pairs.length === 0) return name === "" ? "{}" : name;
  return `${name}{${pairs.join(", ")}}`;
}

/** Labels that all series share say nothing in a legend: only what differs is kept, or the whole name when nothing does. */
export function legendNames(all: readonly LabelSet[]): string[] {
  const keys = [...new Set(all.flatMap((it) => Object.keys(it)))];
  const telling = keys.filter((key) => new Set(all.map((it) => it[key] ?? "")).size > 1);
  if (all.length < 2 || telling.length === 0) return all.map(seriesName);
  return all.map((labels) => seriesName(Object.fromEntries(Object.entries(labels).filter(([key]) => telling.includes(key)))));
}
