// CPU time per mode, folded into the few bands that a small chart can show. Not the query.
import type { MatrixItem, Point } from "../../api/prometheus";
import type { ChartSeries } from "../../charts/align";

/** Modes with a band of their own, from the bottom up; all other busy modes share "other". */
const BANDS = ["user", "system", "iowait"] as const;
const IDLE = "idle";

export interface CpuTimes {
  bands: ChartSeries[];
  /** Percent busy now: everything but idle. */
  busy: number | undefined;
}

export function cpuTimes(items: readonly MatrixItem[]): CpuTimes {
  const own = BANDS.map((mode): ChartSeries => ({ label: mode, points: items.find((it) => it.labels["mode"] === mode)?.points ?? [] }));
  const rest = items.filter((it) => !isBand(it.labels["mode"]) && it.labels["mode"] !== IDLE);
  const bands = [...own, { label: "other", points: summed(rest) }].filter((it) => it.points.length > 0);
  return { bands, busy: busyNow(items) };
}

function isBand(mode: string | undefined): boolean {
  return BANDS.some((it) => it === mode);
}

function busyNow(items: readonly MatrixItem[]): number | undefined {
  const idle = items.find((it) => it.labels["mode"] === IDLE)?.points.at(-1);
  if (idle) return Math.min(100, Math.max(0, 100 - idle[1]));
  return undefined;
}

function summed(items: readonly MatrixItem[]): Point[] {
  const sums = new Map<number, number>();
  for (const { points } of items) for (const [time, value] of points) sums.set(time, (sums.get(time) ?? 0) + value);
  return [...sums].sort(([a], [b]) => a - b);
}
