// The lines of a chart over time out of frames and options: values on one axis of time, stacked, with their scales and looks. Not the
// drawing (plot.ts).
import { seriesColor } from "../../fields/colors";
import { display } from "../../fields/display";
import { type Field, type Frame, hidden, timeField } from "../../fields/frame";
import { reduce } from "../../fields/reduce";
import type { Fields } from "../../model/types";
import { flag, num, part, text } from "../../model/values";

export type Column = (number | null)[];
export interface Line {
  field: Field;
  frame: Frame;
  name: string;
  /** A colour of CSS. */
  color: string;
  custom: Fields;
  times: readonly unknown[];
  turned: boolean;
  /** As it came, for words; `drawn` has stacks and turns in it. Both are empty where there are too many. */
  values: Column;
  drawn: Column;
  scale: string;
  /** The line below it, down to which it is filled; -1 for the axis. */
  below: number;
}
export interface Scale {
  key: string;
  unit: string;
  decimals: number | undefined;
  min: number | undefined;
  max: number | undefined;
  softMin: number | undefined;
  softMax: number | undefined;
  log: number | undefined;
  symlog: boolean;
  placement: "left" | "right" | "hidden";
  label: string;
  centered: boolean;
  grid: boolean;
}
export interface Chart {
  times: number[];
  lines: Line[];
  scales: Scale[];
  left: number;
  /** So many points that a worker draws them, as plain lines on the first scale. */
  many: boolean;
  /** Milliseconds beyond which two points are not joined. */
  gap: number;
}

/** More lines than this cannot be told apart and draw slowly: they are drawn plainly, beside the page, where that is possible. */
export const LINES_MAX = 120;
/** Nor are more points than this drawn by the page itself. */
const POINTS_MAX = 400_000;

export function chartOf(frames: readonly Frame[], intervalMs: number, canMany = false): Chart {
  const sources = frames.flatMap((frame) => {
    const time = timeField(frame);
    return time ? frame.fields.filter((it) => it.type === "number" || it.type === "boolean").map((field) => ({ frame, time, field })) : [];
  });
  const shown = sources.filter(({ field }) => !hidden(field, "viz"));
  const many = canMany && isMany(shown.map(({ field }) => field));
  const kept = many ? shown : shown.slice(0, LINES_MAX);
  const times = many ? [] : gridOf(kept.map(({ time }) => time), intervalMs);
  const rowOf = new Map(times.map((time, row) => [time, row]));
  const scales: Scale[] = [];
  const lines = kept.map(({ frame, time, field }, index): Line => {
    const custom = part(field.config, "custom");
    const values: Column = new Array<number | null>(times.length).fill(null);
    if (!many) time.values.forEach((at, row) => {
      const place = rowOf.get(Number(at));
      const value = field.values[row];
      if (place !== undefined) values[place] = typeof value === "number" && Number.isFinite(value) ? value : typeof value === "boolean" ? Number(value) : null;
    });
    const fixed = text(part(field.config, "color"), "mode");
    const color = fixed === "" || fixed.startsWith("palette") ? seriesColor(index) : (display(reduce(field.values, text(part(field.config, "color"), "seriesBy") === "max" ? "max" : "lastNotNull"), field, undefined, index).color ?? seriesColor(index));
    return { field, frame, times: time.values, turned: text(custom, "transform") === "negative-Y", name: field.title ?? field.name, color, custom, values, drawn: turned(values, custom), scale: scaleFor(field, custom, scales), below: -1 };
  });
  if (!many) stack(lines);
  return { times, lines, scales, left: shown.length - kept.length, many, gap: intervalMs > 0 ? intervalMs * 1.8 : Number.POSITIVE_INFINITY };
}

/** Only lines on one scale can be drawn plainly; bars, stacks and other scales would say something else then. */
function isMany(fields: readonly Field[]): boolean {
  if (fields.length <= LINES_MAX && fields.reduce((sum, it) => sum + it.values.length, 0) <= POINTS_MAX) return false;
  const scales: Scale[] = [];
  return fields.every((it) => {
    const custom = part(it.config, "custom");
    scaleFor(it, custom, scales);
    return scales.length === 1 && text(custom, "drawStyle", "line") === "line" && ["none", ""].includes(text(part(custom, "stacking"), "mode"));
  });
}

/** All times that occur, and one between two that are further apart than the interval: an outage is a gap, not a line across it. */
function gridOf(fields: readonly Field[], intervalMs: number): number[] {
  const all = [...new Set(fields.flatMap((it) => it.values.map(Number)))].filter(Number.isFinite).sort((a, b) => a - b);
  const found: number[] = [];
  for (const time of all) {
    const last = found.at(-1);
    if (last !== undefined && intervalMs > 0 && time - last > intervalMs * 1.8) found.push(last + intervalMs);
    found.push(time);
  }
  return found;
}

function turned(values: Column, custom: Fields): Column {
  return text(custom, "transform") === "negative-Y" ? values.map((it) => (it === null ? null : -it)) : values;
}

/** Fields of one unit, range and side share an axis. */
function scaleFor(field: Field, custom: Fields, scales: Scale[]): string {
  const { config } = field;
  const unit = text(config, "unit");
  const distribution = part(custom, "scaleDistribution");
  const log = text(distribution, "type") === "log" ? (num(distribution, "log") ?? 2) : undefined;
  const symlog = text(distribution, "type") === "symlog";
  const wanted = text(custom, "axisPlacement", "auto");
  const [min, max] = [num(config, "min"), num(config, "max")];
  const side = wanted === "right" ? "right" : wanted === "hidden" ? "hidden" : wanted === "left" ? "left" : "auto";
  const percent = text(part(custom, "stacking"), "mode") === "percent";
  const label = text(custom, "axisLabel");
  const key = [percent ? "percentunit" : unit, min, max, log, symlog, side === "auto" ? "" : side, label].join("|");
  if (!scales.some((it) => it.key === key)) {
    const leftTaken = scales.some((it) => it.placement === "left");
    scales.push({ key, unit: percent ? "percentunit" : unit, decimals: num(config, "decimals"), min, max, softMin: num(custom, "axisSoftMin"), softMax: num(custom, "axisSoftMax"), log, symlog, placement: side === "auto" ? (leftTaken ? "right" : "left") : side, label, centered: flag(custom, "axisCenteredZero"), grid: flag(custom, "axisGridShow", true) });
  }
  return key;
}

/** Lines of one group stand on each other; positive and negative ones apart. */
function stack(lines: Line[]): void {
  const groups = new Map<string, { up: number[]; down: number[]; lastUp: number; lastDown: number; total: number[] }>();
  lines.forEach((line, index) => {
    const stacking = part(line.custom, "stacking");
    const mode = text(stacking, "mode", "none");
    if (mode === "none" || mode === "") return;
    const negative = text(line.custom, "transform") === "negative-Y";
    const key = `${text(stacking, "group", "A")} ${line.scale} ${text(line.custom, "drawStyle", "line")}`;
    const rows = line.drawn.length;
    const group = groups.get(key) ?? { up: new Array<number>(rows).fill(0), down: new Array<number>(rows).fill(0), lastUp: -1, lastDown: -1, total: [] };
    groups.set(key, group);
    if (mode === "percent" && group.total.length === 0) {
      group.total = new Array<number>(rows).fill(0);
      for (const other of lines) if (other.scale === line.scale && text(part(other.custom, "stacking"), "group", "A") === text(stacking, "group", "A")) other.drawn.forEach((it, row) => (group.total[row] = (group.total[row] ?? 0) + Math.abs(it ?? 0)));
    }
    const sums = negative ? group.down : group.up;
    line.drawn = line.drawn.map((value, row) => {
      if (value === null) return null;
      const part = mode === "percent" ? value / (group.total[row] || 1) : value;
      sums[row] = (sums[row] ?? 0) + part;
      return sums[row] ?? null;
    });
    line.below = negative ? group.lastDown : group.lastUp;
    if (negative) group.lastDown = index;
    else group.lastUp = index;
  });
}
