// Bars of a flame graph out of the levels that the server sends, and the same by function. Only arithmetic, no drawing.
import type { Flame } from "../../api/pyroscope";
import { fixed, format, grouped, PERCENT } from "../../units/format";

export interface Bar {
  index: number;
  name: string;
  level: number;
  /** The bar below it, or -1. */
  parent: number;
  /** Where it begins, in the units of its values. */
  from: number;
  total: number;
  own: number;
  /** The values of each side, where two are compared; `total` and `own` are then their sums. */
  left: number;
  right: number;
}
export interface FunctionRow {
  name: string;
  own: number;
  total: number;
  left: number;
  right: number;
}

/** Bars by levels from the root on; each is above the one that it lies within. */
export function barsOf(flame: Flame): Bar[] {
  const double = flame.sides !== undefined;
  const wide = double ? 7 : 4;
  const bars: Bar[] = [];
  let below: Bar[] = [];
  flame.levels.forEach((numbers, level) => {
    const here: Bar[] = [];
    let [endLeft, endRight, at] = [0, 0, 0];
    for (let i = 0; i + wide <= numbers.length; i += wide) {
      const of = (offset: number): number => numbers[i + offset] ?? 0;
      const left = of(1);
      const right = double ? of(4) : 0;
      const fromLeft = endLeft + of(0);
      const fromRight = double ? endRight + of(3) : 0;
      [endLeft, endRight] = [fromLeft + left, fromRight + right];
      const from = fromLeft + fromRight;
      const total = left + right;
      // Both ascend: the bar below is the first that ends behind where this one begins.
      while (at < below.length - 1 && from >= (below[at]?.from ?? 0) + (below[at]?.total ?? 0)) at += 1;
      const bar: Bar = {
        index: bars.length,
        name: flame.names[of(wide - 1)] ?? "",
        level,
        parent: level === 0 ? -1 : (below[at]?.index ?? -1),
        from,
        total,
        own: of(2) + (double ? of(5) : 0),
        left,
        right,
      };
      bars.push(bar);
      here.push(bar);
    }
    below = here;
  });
  return bars;
}

/** Functions with what is their own and what they took with all that they called; one that calls itself counts once. */
export function functionsOf(bars: readonly Bar[]): FunctionRow[] {
  const rows = new Map<string, FunctionRow>();
  for (const bar of bars) {
    if (bar.parent < 0) continue;
    const row = rows.get(bar.name) ?? { name: bar.name, own: 0, total: 0, left: 0, right: 0 };
    rows.set(bar.name, row);
    row.own += bar.own;
    if (callsItself(bars, bar)) continue;
    row.total += bar.total;
    row.left += bar.left;
    row.right += bar.right;
  }
  return [...rows.values()];
}

function callsItself(bars: readonly Bar[], bar: Bar): boolean {
  for (let above = bars[bar.parent]; above !== undefined; above = bars[above.parent]) if (above.name === bar.name) return true;
  return false;
}

/** Which share of its side a bar has on the right, less that on the left: from -1 to 1. */
export function change(left: number, right: number, sides: readonly [number, number]): number {
  return (sides[1] > 0 ? right / sides[1] : 0) - (sides[0] > 0 ? left / sides[0] : 0);
}

export function matches(name: string, words: string): boolean {
  const wanted = words.trim().toLowerCase();
  return wanted !== "" && name.toLowerCase().includes(wanted);
}

/** A value in the words of its unit: "1.23 s", "4 MiB", "1,200". */
export function valueWords(value: number, unit: string): string {
  switch (unit) {
    case "nanoseconds":
      return value !== 0 && value < 1000 ? `${value} ns` : value !== 0 && value < 1e6 ? `${Math.round(value / 1000)} µs` : format(value / 1e9, "latency");
    case "microseconds":
      return format(value / 1e6, "latency");
    case "milliseconds":
      return format(value / 1e3, "latency");
    case "bytes":
      return format(value, "bytes");
    default:
      return grouped(value);
  }
}

export function share(part: number, whole: number): string {
  return whole > 0 ? `${fixed((100 * part) / whole, part / whole >= 0.0995 ? 0 : 1)}${PERCENT}` : "–";
}

/** A function keeps its colour wherever it stands: one of eight, by what its name begins with (its module, its class). */
export function colorOf(name: string): string {
  const family = /^[\w$]+(?:[./:][\w$]+)?/.exec(name)?.[0] ?? name;
  let hash = 7;
  for (const letter of family) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) >>> 0;
  return `var(--series-${(hash % 8) + 1})`;
}
