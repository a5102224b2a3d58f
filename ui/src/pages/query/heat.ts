// Native histograms over time as a picture: columns of time, rows of values, darker where more observations fell.
// Not the drawing: HeatStrip.svelte. The rows are the buckets' own bounds, joined where there are too many.
import type { HistogramValue, LabelSet, MatrixItem, RangeAsk } from "../../api/prometheus";
import { number } from "../../units/format";
import { seriesName } from "./labels";
import { t } from "../../words/t";

export interface HeatSeries {
  name: string;
  labels: LabelSet;
  histograms: readonly [number, HistogramValue][];
}
export interface HeatCell {
  column: number;
  row: number;
  /** 1 to SHADES. */
  shade: number;
}
export interface Heat {
  columns: number;
  rows: number;
  cells: HeatCell[];
  /** What the lowest and the highest row stand for. */
  low: number;
  high: number;
}

/** Steps of darkness: few enough to be told apart. */
export const SHADES = 5;
const COLUMNS_MAX = 120;
const ROWS_MAX = 24;

export function heatSeries(items: readonly MatrixItem[]): HeatSeries[] {
  return items.flatMap(({ labels, histograms }) =>
    histograms && histograms.length > 0 ? [{ name: seriesName(labels), labels, histograms }] : [],
  );
}

export function histogramWords({ count, sum }: HistogramValue): string {
  const mean = count > 0 ? t(", mean {0}", number(sum / count)) : "";
  return t("histogram: count {0}, sum {1}{2}", number(count), number(sum), mean);
}

/** What was counted in each column of time and row of values. */
export function heat(histograms: readonly [number, HistogramValue][], range: RangeAsk): Heat {
  const bounds = boundsOf(histograms);
  const span = Math.max(range.end - range.start, 1);
  const columns = Math.min(COLUMNS_MAX, Math.floor(span / range.step) + 1);
  const rows = Math.max(bounds.length - 1, 0);
  const sums = new Map<number, number>();
  for (const [time, { buckets }] of histograms) {
    const column = Math.min(columns - 1, Math.max(0, Math.floor(((time - range.start) / (span + range.step)) * columns)));
    for (const { low, high, count } of buckets) {
      const row = rowOf(bounds, low, high);
      if (row < 0 || !(count > 0)) continue;
      const key = column * rows + row;
      sums.set(key, (sums.get(key) ?? 0) + count);
    }
  }
  const most = Math.max(...sums.values(), 0);
  const cells = [...sums].map(([key, sum]) => ({
    column: Math.floor(key / rows),
    row: key % rows,
    shade: Math.min(SHADES, Math.max(1, Math.ceil((sum / most) * SHADES))),
  }));
  return { columns, rows, cells, low: bounds[0] ?? Number.NaN, high: bounds.at(-1) ?? Number.NaN };
}

/** The bounds of all buckets, ascending; of too many, evenly picked ones, the outer two among them. */
function boundsOf(histograms: readonly [number, HistogramValue][]): number[] {
  const all = new Set<number>();
  for (const [, { buckets }] of histograms) {
    for (const { low, high } of buckets) {
      all.add(low);
      all.add(high);
    }
  }
  const sorted = [...all].filter((it) => !Number.isNaN(it)).sort((a, b) => a - b);
  if (sorted.length <= ROWS_MAX + 1) return sorted;
  const picked = Array.from({ length: ROWS_MAX + 1 }, (_, at) => sorted[Math.round((at * (sorted.length - 1)) / ROWS_MAX)] ?? 0);
  return [...new Set(picked)];
}

/** The row that a bucket's middle falls into; one that reaches to infinity counts at its finite end. */
function rowOf(bounds: readonly number[], low: number, high: number): number {
  const middle = Number.isFinite(low) && Number.isFinite(high) ? (low + high) / 2 : undefined;
  if (middle === undefined) return Number.isFinite(low) ? bounds.length - 2 : 0;
  const above = bounds.findIndex((it) => it > middle);
  return (above < 0 ? bounds.length - 1 : above) - 1;
}
