// What the panels of the pipeline page ask alike: a range that the address names, and lines for charts. Not the expressions.
import { lastSeconds, type MatrixItem, queryRange, queryVector, type RangeAsk, type VectorItem } from "../../api/prometheus";
import type { ChartSeries } from "../../charts/align";
import { type Preset, stepFor } from "../query/ask";

export const REFRESH_MS = 15_000;
/** Rates and quantiles look back so far; four scrapes at the usual 15 s fit many times. */
export const WINDOW = "5m";

export interface Lines {
  series: ChartSeries[];
  range: RangeAsk;
}

export function rangeOf({ seconds }: Preset): RangeAsk {
  return lastSeconds(seconds, stepFor(seconds));
}

export async function lines(expr: string, range: RangeAsk, label: (item: MatrixItem) => string, signal: AbortSignal): Promise<ChartSeries[]> {
  const items = await queryRange(expr, range, signal);
  return items
    .filter((it) => it.points.some(([, value]) => Number.isFinite(value)))
    .map((it) => ({ label: label(it), points: it.points }))
    .sort((a, b) => a.label.localeCompare(b.label));
}

/** One figure; nothing when nobody reports it. */
export async function figure(expr: string, signal: AbortSignal): Promise<number | undefined> {
  return (await queryVector(expr, signal))[0]?.value;
}

/** Values by one label. */
export function by(items: readonly VectorItem[], label: string): Map<string, number> {
  return new Map(items.map((it) => [it.labels[label] ?? "", it.value]));
}

export function whole(value: number | undefined): number | undefined {
  // Extrapolated growth of a counter has fractions that mean nothing.
  return value === undefined ? undefined : Math.round(value);
}
