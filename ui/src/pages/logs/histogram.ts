// Lines by level over time: the step, bars out of the server's counts or out of the lines that are there. Not the drawing.
import { type Entry, type Level, LEVELS, levelNamed, levelOf } from "../../api/entry";
import type { LogRange } from "../../api/loki";
import type { MatrixItem } from "../../api/prometheus";

export interface Bar {
  /** Milliseconds since 1970; the bar counts from then on, for one step. */
  from: number;
  counts: Partial<Record<Level, number>>;
  total: number;
}
export interface Bars {
  stepSeconds: number;
  start: number;
  bars: Bar[];
  totals: { level: Level; count: number }[];
  most: number;
}
const BARS_MAX = 90;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 604_800];

export interface Grid {
  stepSeconds: number;
  /** Milliseconds; multiples of the step. */
  start: number;
  end: number;
}

/** Bars that stay where they are between two looks: their edges are multiples of the step. */
export function gridOf({ start, end }: LogRange): Grid {
  const [from, to] = [Number(start) / 1e9, Number(end) / 1e9];
  const least = (to - from) / BARS_MAX;
  const stepSeconds = STEPS.find((it) => it >= least) ?? Math.ceil(least / 604_800) * 604_800;
  return { stepSeconds, start: Math.floor(from / stepSeconds) * stepSeconds * 1000, end: Math.ceil(to / stepSeconds) * stepSeconds * 1000 };
}

/** A count at a time is that of the step before it. */
export function barsOf(items: readonly MatrixItem[], grid: Grid): Bars {
  const bars = empty(grid);
  for (const { labels, points } of items) {
    const level = levelNamed(labels["detected_level"]) ?? "unknown";
    for (const [time, value] of points) add(bars, grid, Math.round(time * 1000) - grid.stepSeconds * 1000, level, value);
  }
  return summed(bars, grid);
}

export function barsOfEntries(entries: readonly Entry[], grid: Grid): Bars {
  const bars = empty(grid);
  for (const entry of entries) add(bars, grid, entry.ms, levelOf(entry), 1);
  return summed(bars, grid);
}

function empty({ start, end, stepSeconds }: Grid): Bar[] {
  const count = Math.max(1, Math.round((end - start) / 1000 / stepSeconds));
  return Array.from({ length: count }, (_, at) => ({ from: start + at * stepSeconds * 1000, counts: {}, total: 0 }));
}

function add(bars: Bar[], { start, stepSeconds }: Grid, ms: number, level: Level, count: number): void {
  const bar = bars[Math.floor((ms - start) / 1000 / stepSeconds)];
  if (!bar || !Number.isFinite(count)) return;
  bar.counts[level] = (bar.counts[level] ?? 0) + count;
  bar.total += count;
}

function summed(bars: Bar[], { stepSeconds, start }: Grid): Bars {
  const totals = LEVELS.map((level) => ({ level, count: bars.reduce((sum, it) => sum + (it.counts[level] ?? 0), 0) })).filter((it) => it.count > 0);
  return { stepSeconds, start, bars, totals, most: Math.max(1, ...bars.map((it) => it.total)) };
}
