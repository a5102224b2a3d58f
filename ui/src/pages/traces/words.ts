// Lengths of spans in words, marks of a time axis, and a colour for each service. Not the table of units (units/format.ts).
import { format } from "../../units/format";

/** Microseconds: "340 µs", "1.23 ms", "2.5 s", "3 min 4 s". */
export function lengthOf(us: number): string {
  if (us !== 0 && Math.abs(us) < 1000) return `${Math.round(us) === 0 ? "<1" : Math.round(us)} µs`;
  return us === 0 ? "0 µs" : format(us / 1e6, "latency");
}

/** Marks at equal distances over a length, first and last included. */
export function marksOf(fromUs: number, toUs: number, parts: number): number[] {
  return Array.from({ length: parts + 1 }, (_, at) => fromUs + ((toUs - fromUs) * at) / parts);
}

const SECOND = 1e6;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** Lengths that read well, in microseconds, each at most three times the one before: from 1 µs to 30 days. */
export const ROUND_US: readonly number[] = [
  ...[1, 10, 100, 1e3, 1e4, 1e5, SECOND].flatMap((it) => [it, 2 * it, 5 * it]),
  ...[10, 15, 30].map((it) => it * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((it) => it * MINUTE),
  ...[1, 2, 3, 6, 12, 24, 48, 120, 240, 720].map((it) => it * HOUR),
];

/** Round marks on an axis from nothing to a length. */
export function roundMarks(most: number, about: number): number[] {
  const step = ROUND_US.find((it) => it * about >= most) ?? most / about;
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, at) => at * step);
}

/** Round marks on an axis of logarithms, whose ends they may be beside. */
export function logMarks(least: number, most: number, about: number): number[] {
  const within = ROUND_US.filter((it) => it >= least && it <= most);
  const every = Math.max(1, Math.ceil(within.length / about));
  return within.filter((_, at) => at % every === 0);
}

const COLORS = 8;
const given = new Map<string, string>();

/** A service keeps its colour while the page is open; there are eight, so that they can be told apart. */
export function colorOf(service: string): string {
  const known = given.get(service);
  if (known !== undefined) return known;
  const color = `var(--series-${(given.size % COLORS) + 1})`;
  given.set(service, color);
  return color;
}
