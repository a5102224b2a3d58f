// The cells of a heat map out of frames: columns of time, rows of buckets, how much lies in each. Buckets come as series, or are counted
// here. Not the drawing.
import { numberFields, timeField } from "../../fields/frame";
import type { Frame } from "../../fields/frame";
import { num, part, text } from "../../model/values";
import { boundOf } from "../../sources/prometheus";
import { bucketsOf } from "../../transform/rows";
import type { PanelData } from "../../view/data";
import { words } from "../../fields/units";

export interface Cell {
  column: number;
  row: number;
  value: number;
}
export interface Heat {
  cells: Cell[];
  columns: number;
  /** Names of rows, the lowest first. */
  rows: string[];
  /** Begin and width of a column, in milliseconds. */
  from: number;
  stepMs: number;
  least: number;
  most: number;
}
export const SHADES = 24;
const COLUMNS_MAX = 400;
const ROWS_MAX = 200;

export function heatOf(data: PanelData): Heat | undefined {
  const { options } = data.panel;
  return options["calculate"] === true ? counted(data) : bucketed(data);
}

function columnsFor({ range, intervalMs }: PanelData): { from: number; stepMs: number; columns: number } {
  const least = (range.to - range.from) / COLUMNS_MAX;
  const stepMs = intervalMs * Math.max(1, Math.ceil(least / intervalMs));
  const from = Math.floor(range.from / stepMs) * stepMs;
  return { from, stepMs, columns: Math.ceil((range.to - from) / stepMs) + 1 };
}

function bucketed(data: PanelData): Heat | undefined {
  const series = data.frames.flatMap((frame) => numberFields(frame).map((field) => ({ frame, field, name: field.labels["le"] ?? field.title ?? field.name })));
  if (series.length === 0) return undefined;
  const bounds = series.map(({ name }) => boundOf(name));
  const numeric = bounds.every((it) => !Number.isNaN(it));
  const ordered = numeric ? series.map((it, at) => ({ ...it, bound: bounds[at] ?? 0 })).sort((a, b) => a.bound - b.bound) : series.map((it) => ({ ...it, bound: 0 }));
  const unit = text(part(data.panel.options, "yAxis"), "unit");
  const names = ordered.slice(0, ROWS_MAX).map(({ name, bound }) => (numeric ? (bound === Number.POSITIVE_INFINITY ? "∞" : words(bound, unit)) : name));
  const { from, stepMs, columns } = columnsFor(data);
  const sums = new Map<number, number>();
  ordered.slice(0, ROWS_MAX).forEach(({ frame, field }, row) => add(sums, timeField(frame), field.values, row, from, stepMs, columns));
  return made(sums, columns, names, from, stepMs);
}

function add(sums: Map<number, number>, time: Frame["fields"][number] | undefined, values: readonly unknown[], row: number, from: number, stepMs: number, columns: number): void {
  time?.values.forEach((at, index) => {
    const value = values[index];
    const column = Math.floor((Number(at) - from) / stepMs);
    if (typeof value !== "number" || Number.isNaN(value) || column < 0 || column >= columns) return;
    const key = row * columns + column;
    sums.set(key, (sums.get(key) ?? 0) + value);
  });
}

function counted(data: PanelData): Heat | undefined {
  const series = data.frames.flatMap((frame) => numberFields(frame).map((field) => ({ time: timeField(frame), field })));
  const calculation = part(part(data.panel.options, "calculation"), "yBuckets");
  const wanted = num(calculation, "value");
  const size = text(calculation, "mode", "size") === "size" ? wanted : undefined;
  const buckets = bucketsOf(series.flatMap(({ field }) => field.values.filter((it): it is number => typeof it === "number")), size, text(calculation, "mode") === "count" ? (wanted ?? 20) : 20).slice(0, ROWS_MAX);
  const [first] = buckets;
  if (!first) return undefined;
  const { from, stepMs, columns } = columnsFor(data);
  const sums = new Map<number, number>();
  const wide = first.high - first.low;
  for (const { time, field } of series) {
    time?.values.forEach((at, index) => {
      const value = field.values[index];
      const column = Math.floor((Number(at) - from) / stepMs);
      if (typeof value !== "number" || Number.isNaN(value) || column < 0 || column >= columns) return;
      const row = Math.min(buckets.length - 1, Math.floor((value - first.low) / wide + 1e-9));
      const key = row * columns + column;
      sums.set(key, (sums.get(key) ?? 0) + 1);
    });
  }
  const unit = text(part(data.panel.options, "yAxis"), "unit") || text(series[0]?.field.config ?? {}, "unit");
  return made(sums, columns, buckets.map((it) => words(it.high, unit)), from, stepMs);
}

function made(sums: ReadonlyMap<number, number>, columns: number, rows: string[], from: number, stepMs: number): Heat {
  const cells = [...sums].filter(([, value]) => value !== 0).map(([key, value]): Cell => ({ column: key % columns, row: Math.floor(key / columns), value }));
  const most = cells.reduce((a, it) => Math.max(a, it.value), 0);
  const least = cells.reduce((a, it) => Math.min(a, it.value), most);
  return { cells, columns, rows, from, stepMs, least, most };
}

export function shadeOf(value: number, least: number, most: number): number {
  return Math.min(SHADES - 1, Math.max(0, Math.floor(((value - least) / (most - least || 1)) * SHADES)));
}
