// Answers of Prometheus, and Loki's numbers, as frames: a series each, or one table. Not the asking.
import type { Answer, LabelSet } from "../../api/prometheus";
import { type Field, field, type Frame } from "../fields/frame";
import { sampleText } from "../fields/sample";
import { t } from "../../words/t";

export type Shape = "time_series" | "table" | "heatmap";

export interface Asked {
  refId: string;
  legend: string;
  expr: string;
  format: Shape;
  /** Only the numbers at one time were asked for. */
  instant: boolean;
  /** Its exemplars are wanted as well. */
  exemplar: boolean;
  /** Milliseconds by which the answer's times are moved, for panels that look back. */
  shiftMs: number;
}

/** Series of one panel beyond these are not kept: nobody can tell them apart, and the page would stand still. */
export const SERIES_MAX = 1000;

export function framesOf(answer: Answer, asked: Asked): { frames: Frame[]; findings: string[] } {
  const findings = [...answer.warnings];
  if (answer.type === "scalar" || answer.type === "string") {
    const value = answer.type === "scalar" ? sampleText(answer.text) : answer.text;
    const number = typeof value === "number";
    return { frames: [{ refId: asked.refId, name: "", fields: [field("Time", "time", [answer.time * 1000], asked.refId), field("Value", number ? "number" : "string", [value], asked.refId, {}, asked.legend || asked.expr)] }], findings };
  }
  const items = answer.type === "vector" ? answer.items.map((it) => ({ labels: it.labels, points: [[it.time, it.value] as const] })) : answer.items;
  if (items.length > SERIES_MAX) findings.push(t("the first {0} of {1} series of query {2} are shown", SERIES_MAX, items.length, asked.refId));
  const kept = items.slice(0, SERIES_MAX);
  if (kept.length > 0 && kept.every((it) => it.points.length === 0)) findings.push(t("query {0} gives native histograms, which this panel cannot draw: histogram_quantile() or rate() of them can", asked.refId));
  if (asked.format === "table") return { frames: kept.length === 0 ? [] : [table(kept, asked)], findings };
  const frames = kept.map(({ labels, points }): Frame => {
    const name = legendOf(labels, asked.legend, asked.expr);
    const times = points.map(([time]) => time * 1000 + asked.shiftMs);
    return { refId: asked.refId, name, fields: [field("Time", "time", times, asked.refId), field(labels["__name__"] ?? "Value", "number", points.map(([, value]) => value), asked.refId, withoutName(labels), name)] };
  });
  return { frames: asked.format === "heatmap" ? byBucket(frames) : frames, findings };
}

function table(items: { labels: LabelSet; points: readonly (readonly [number, number])[] }[], asked: Asked): Frame {
  const keys = [...new Set(items.flatMap((it) => Object.keys(it.labels)))].sort();
  const rows = items.flatMap((it) => it.points.map((point) => ({ labels: it.labels, point })));
  const fields: Field[] = [field("Time", "time", rows.map(({ point }) => point[0] * 1000 + asked.shiftMs), asked.refId)];
  for (const key of keys) fields.push(field(key, "string", rows.map(({ labels }) => labels[key] ?? ""), asked.refId));
  fields.push(field("Value", "number", rows.map(({ point }) => point[1]), asked.refId));
  return { refId: asked.refId, name: "", fields };
}

function withoutName(labels: LabelSet): LabelSet {
  const { __name__: _, ...rest } = labels;
  return rest;
}

/** `{{label}}` of a legend; "__auto" is what tells series apart, nothing the whole name. */
export function legendOf(labels: LabelSet, legend: string, expr: string): string {
  if (legend !== "" && legend !== "__auto") return legend.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, name: string) => labels[name] ?? "");
  const { __name__: name = "", ...rest } = labels;
  const pairs = Object.entries(rest);
  if (pairs.length === 0) return name !== "" ? name : expr;
  if (legend === "__auto" && pairs.length === 1) return pairs[0]?.[1] ?? "";
  return `${name}{${pairs.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(", ")}}`;
}

/** Cumulative buckets, in the order of their bounds, each without those below it. */
function byBucket(frames: Frame[]): Frame[] {
  const bound = (frame: Frame): number => boundOf(frame.fields[1]?.labels["le"] ?? frame.name);
  const ordered = [...frames].sort((a, b) => bound(a) - bound(b));
  if (!ordered.some((it) => it.fields[1]?.labels["le"] !== undefined)) return ordered;
  return ordered.map((frame, at) => {
    const [time, value] = frame.fields;
    const below = at === 0 ? undefined : ordered[at - 1];
    if (!time || !value || !below?.fields[1]) return frame;
    const under = new Map(below.fields[0]?.values.map((it, row) => [it, below.fields[1]?.values[row]]));
    const values = value.values.map((it, row) => {
      const other = under.get(time.values[row]);
      return typeof it === "number" && typeof other === "number" ? Math.max(0, it - other) : it;
    });
    return { ...frame, fields: [time, { ...value, values }] };
  });
}

export function boundOf(text: string): number {
  const value = sampleText(text);
  return typeof value === "number" ? value : Number.NaN;
}
