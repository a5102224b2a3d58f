// Several series onto one time axis, as uPlot wants them: a column of times and one column per series, holes as null.
// Not drawing, and no values are made up: a time without a sample stays a hole.
import type { Point, RangeAsk } from "../api/prometheus";

export interface ChartSeries {
  label: string;
  points: readonly Point[];
}
export type Column = (number | null)[];
export interface Aligned {
  times: number[];
  columns: Column[];
}

/** With a range every step has its row, so that an outage is a gap; without one the rows are the times that occur. */
export function align(series: readonly ChartSeries[], range?: RangeAsk): Aligned {
  const times = range ? gridOf(range) : timesOf(series);
  const rowOf = new Map(times.map((time, row) => [keyOf(time), row]));
  const columns = series.map(({ points }) => {
    const column: Column = new Array<number | null>(times.length).fill(null);
    for (const [time, value] of points) {
      const row = rowOf.get(keyOf(time));
      if (row !== undefined && Number.isFinite(value)) column[row] = value;
    }
    return column;
  });
  return { times, columns };
}

/** Each column plus all before it; a hole stays a hole, and counts as nothing for those above it. */
export function stacked(columns: readonly Column[]): Column[] {
  const rows = columns[0]?.length ?? 0;
  const sums = new Array<number>(rows).fill(0);
  return columns.map((column) =>
    column.map((value, row) => {
      if (value === null) return null;
      const sum = (sums[row] ?? 0) + value;
      sums[row] = sum;
      return sum;
    }),
  );
}

/** The range without the time before the first sample: a server that began five minutes ago shows five minutes, not an empty hour. */
export function fitted(range: RangeAsk, series: readonly ChartSeries[], secondsMin: number): RangeAsk {
  const first = Math.min(...series.map(({ points }) => points[0]?.[0] ?? Number.POSITIVE_INFINITY));
  if (!Number.isFinite(first)) return range;
  const latestStart = Math.max(range.start, range.end - secondsMin);
  return { ...range, start: Math.min(Math.max(range.start, first), latestStart) };
}

export interface Summary {
  latest: number | null;
  least: number | null;
  mean: number | null;
  most: number | null;
}

/** What a table says of a column in place of the drawing. */
export function summary(column: Column): Summary {
  const values = column.filter((it): it is number => it !== null);
  if (values.length === 0) return { latest: null, least: null, mean: null, most: null };
  return {
    latest: values.at(-1) ?? null,
    least: values.reduce((a, b) => Math.min(a, b)),
    mean: values.reduce((a, b) => a + b, 0) / values.length,
    most: values.reduce((a, b) => Math.max(a, b)),
  };
}

function gridOf({ start, end, step }: RangeAsk): number[] {
  const count = Math.max(0, Math.floor((end - start) / step + 1e-6)) + 1;
  return Array.from({ length: count }, (_, row) => start + row * step);
}

function timesOf(series: readonly ChartSeries[]): number[] {
  return [...new Set(series.flatMap(({ points }) => points.map(([time]) => time)))].sort((a, b) => a - b);
}

/** Times differ by float noise between start + n × step and what the server sent: compare milliseconds. */
function keyOf(time: number): number {
  return Math.round(time * 1000);
}
