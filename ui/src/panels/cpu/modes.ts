// CPU time per mode, folded into the few bands that a small chart can show. Not the query.
import type { MatrixItem, Point, RangeAsk } from "../../api/prometheus";
import type { ChartSeries } from "../../charts/align";
import { current } from "../lastHour";
import { t } from "../../words/t";

/** Modes with a band of their own, from the bottom up; all other busy modes share "other". */
const BANDS = ["user", "system", "iowait"] as const;
const IDLE = "idle";

export interface CpuTimes {
  bands: ChartSeries[];
  /** Percent busy now: the bands together, so that figure and drawing agree even where a kernel's idle time does not add up. */
  busy: number | undefined;
}

export function cpuTimes(items: readonly MatrixItem[], range: RangeAsk): CpuTimes {
  const own = BANDS.map((mode): ChartSeries => ({ label: mode, points: items.find((it) => it.labels["mode"] === mode)?.points ?? [] }));
  const rest = items.filter((it) => !isBand(it.labels["mode"]) && it.labels["mode"] !== IDLE);
  const bands = [...own, { label: t("other"), points: summed(rest) }].filter((it) => it.points.length > 0);
  return { bands, busy: busyNow(bands, range) };
}

function isBand(mode: string | undefined): boolean {
  return BANDS.some((it) => it === mode);
}

function busyNow(bands: readonly ChartSeries[], range: RangeAsk): number | undefined {
  const parts = bands.flatMap((it) => current(it, range) ?? []);
  return parts.length === 0 ? undefined : Math.min(100, parts.reduce((sum, it) => sum + it, 0));
}

function summed(items: readonly MatrixItem[]): Point[] {
  const sums = new Map<number, number>();
  for (const { points } of items) for (const [time, value] of points) sums.set(time, (sums.get(time) ?? 0) + value);
  return [...sums].sort(([a], [b]) => a - b);
}
