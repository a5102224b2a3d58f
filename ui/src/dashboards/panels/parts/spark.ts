// A series as a small line without axes, and how much it changed. Not a chart.
import { fixed, PERCENT } from "../../../units/format";

export interface Points {
  times: unknown[];
  values: unknown[];
}

/** A path in a box of 100 by 30; with an area it is closed at the bottom. */
export function sparkline({ times, values }: Points, area: boolean): string {
  const known = values.flatMap((value, row): [number, number][] => (typeof value === "number" && Number.isFinite(value) ? [[Number(times[row] ?? row), value]] : []));
  const [first, last] = [known[0], known.at(-1)];
  if (!first || !last || known.length < 2) return "";
  const least = known.reduce((most, it) => Math.min(most, it[1]), Number.POSITIVE_INFINITY);
  const high = known.reduce((most, it) => Math.max(most, it[1]), Number.NEGATIVE_INFINITY) - least || 1;
  const wide = last[0] - first[0] || 1;
  const step = Math.max(1, Math.floor(known.length / 200));
  const places = known.filter((_, at) => at % step === 0 || at === known.length - 1).map(([x, y]) => `${round(((x - first[0]) / wide) * 100)} ${round(28 - ((y - least) / high) * 25)}`);
  return area ? `M0 30L${places.join("L")}L100 30Z` : `M${places.join("L")}`;
}

export function changeOf(points: Points | undefined): string {
  const numbers = points?.values.filter((it): it is number => typeof it === "number" && Number.isFinite(it)) ?? [];
  const [first, last] = [numbers[0], numbers.at(-1)];
  if (first === undefined || last === undefined || first === 0) return "";
  const by = ((last - first) / Math.abs(first)) * 100;
  return `${by > 0 ? "+" : by < 0 ? "−" : ""}${fixed(Math.abs(by), 1)}${PERCENT}`;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
