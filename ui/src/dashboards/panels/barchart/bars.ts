// Bars in groups or stacks with a round axis. Only arithmetic.

export interface Bar {
  group: number;
  series: number;
  /** From and to on the axis of values. */
  from: number;
  to: number;
  value: number;
}
export interface Bars {
  bars: Bar[];
  ticks: number[];
  low: number;
  high: number;
}

const TICKS = 5;

/** Columns of values, a row for each group. */
export function barsOf(columns: readonly (readonly (number | null)[])[], stacking: string, min?: number, max?: number): Bars {
  const bars: Bar[] = [];
  const groups = columns.reduce((most, it) => Math.max(most, it.length), 0);
  for (let group = 0; group < groups; group += 1) {
    let [up, down] = [0, 0];
    const total = columns.reduce((sum, it) => sum + Math.abs(it[group] ?? 0), 0) || 1;
    columns.forEach((column, series) => {
      const given = column[group];
      if (given === null || given === undefined || !Number.isFinite(given)) return;
      const value = stacking === "percent" ? given / total : given;
      const from = stacking === "none" || stacking === "" ? 0 : value >= 0 ? up : down;
      if (value >= 0) up += value;
      else down += value;
      bars.push({ group, series, from, to: from + value, value: given });
    });
  }
  const low = min ?? bars.reduce((least, it) => Math.min(least, it.from, it.to), 0);
  const high = max ?? bars.reduce((most, it) => Math.max(most, it.from, it.to), low === 0 ? 0 : low);
  const { ticks, from, to } = roundAxis(low, high > low ? high : low + 1);
  return { bars, ticks, low: min ?? from, high: max ?? to };
}

function roundAxis(low: number, high: number, wanted = TICKS): { ticks: number[]; from: number; to: number } {
  const raw = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 2.5, 5, 10].find((it) => it * power >= raw * 0.999) ?? 10) * power;
  const from = Math.floor(low / step + 1e-9) * step;
  const to = Math.ceil(high / step - 1e-9) * step;
  const count = Math.round((to - from) / step);
  return { ticks: Array.from({ length: count + 1 }, (_, at) => Number((from + at * step).toPrecision(12))), from, to };
}
