// What the host panels ask alike: the last hour at the collector's pace, and single figures out of vectors.
// Not the expressions: those are beside each panel.
import { lastSeconds, type MatrixItem, type Point, queryRange, type RangeAsk, type VectorItem } from "../api/prometheus";

export const REFRESH_MS = 15_000;
/** Counters need two samples inside this; it holds four at the usual 15 s. */
export const RATE_WINDOW = "1m30s";
const HOUR_SECONDS = 3600;
const STEP_SECONDS = 15;

export interface Ranged {
  range: RangeAsk;
  items: MatrixItem[];
}

export function lastHour(): RangeAsk {
  return lastSeconds(HOUR_SECONDS, STEP_SECONDS);
}

export async function askLastHour(expr: string, signal: AbortSignal): Promise<Ranged> {
  const range = lastHour();
  return { range, items: await queryRange(expr, range, signal) };
}

/** The value at the end of the range. A series that ended before has a past and no present: its last value is not current. */
export function current(item: { points: readonly Point[] } | undefined, range: RangeAsk): number | undefined {
  const last = item?.points.at(-1);
  return last && last[0] > range.end - range.step / 2 ? last[1] : undefined;
}

/** The value of the first item with this metric name. */
export function byName(items: readonly VectorItem[], name: string): number | undefined {
  return items.find((it) => it.labels["__name__"] === name)?.value;
}
