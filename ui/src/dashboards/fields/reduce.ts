// Many values to one, by Grafana's names of calculations. Not which values.

export const CALCS: Record<string, string> = {
  lastNotNull: "Last *",
  last: "Last",
  firstNotNull: "First *",
  first: "First",
  min: "Min",
  max: "Max",
  mean: "Mean",
  median: "Median",
  sum: "Total",
  count: "Count",
  countNotNull: "Count *",
  range: "Range",
  delta: "Delta",
  step: "Step",
  diff: "Difference",
  diffperc: "Difference percent",
  logmin: "Min (above zero)",
  allIsZero: "All zeros",
  allIsNull: "All nulls",
  changeCount: "Change count",
  distinctCount: "Distinct count",
  variance: "Variance",
  stdDev: "StdDev",
  uniqueValues: "All unique values",
  allValues: "All values",
};

export function calcIsKnown(id: string): boolean {
  return id in CALCS || /^p([1-9]|[1-9]\d)$/.test(id);
}

export function calcName(id: string): string {
  return CALCS[id] ?? (/^p\d+$/.test(id) ? `${id.slice(1)}th %` : id);
}

export function reduce(values: readonly unknown[], calc: string): unknown {
  const known = values.filter((it) => it !== null && it !== undefined && !(typeof it === "number" && Number.isNaN(it)));
  const numbers = known.filter((it): it is number => typeof it === "number");
  switch (calc) {
    case "last":
      return values.at(-1) ?? null;
    case "lastNotNull":
      return known.at(-1) ?? null;
    case "first":
      return values[0] ?? null;
    case "firstNotNull":
      return known[0] ?? null;
    case "count":
      return values.length;
    case "countNotNull":
      return known.length;
    case "allIsNull":
      return known.length === 0;
    case "allIsZero":
      return known.length > 0 && known.every((it) => it === 0);
    case "distinctCount":
      return new Set(known).size;
    case "changeCount":
      return known.reduce((sum: number, it, at) => sum + (at > 0 && it !== known[at - 1] ? 1 : 0), 0);
    case "uniqueValues":
      return [...new Set(known)];
    case "allValues":
      return [...values];
    default:
      return numbers.length === 0 ? null : ofNumbers(numbers, calc);
  }
}

function ofNumbers(numbers: readonly number[], calc: string): number | null {
  const [first = 0, last = 0] = [numbers[0], numbers.at(-1)];
  const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);
  const least = (list: readonly number[]): number => list.reduce((a, b) => Math.min(a, b));
  const most = numbers.reduce((a, b) => Math.max(a, b));
  const mean = sum(numbers) / numbers.length;
  switch (calc) {
    case "min":
      return least(numbers);
    case "max":
      return most;
    case "mean":
      return mean;
    case "sum":
      return sum(numbers);
    case "range":
      return most - least(numbers);
    case "diff":
      return last - first;
    case "diffperc":
      return first === 0 ? null : (last - first) / Math.abs(first);
    case "logmin": {
      const above = numbers.filter((it) => it > 0);
      return above.length === 0 ? null : least(above);
    }
    case "delta":
      // Of a counter: a fall is a restart from zero.
      return numbers.reduce((total, it, at) => (at === 0 ? 0 : total + (it >= (numbers[at - 1] ?? 0) ? it - (numbers[at - 1] ?? 0) : it)), 0);
    case "step":
      return numbers.length < 2 ? null : least(numbers.slice(1).map((it, at) => it - (numbers[at] ?? 0)));
    case "variance":
      return sum(numbers.map((it) => (it - mean) ** 2)) / numbers.length;
    case "stdDev":
      return Math.sqrt(sum(numbers.map((it) => (it - mean) ** 2)) / numbers.length);
    case "median":
      return quantile(numbers, 0.5);
    default:
      return /^p\d+$/.test(calc) ? quantile(numbers, Number(calc.slice(1)) / 100) : null;
  }
}

export function quantile(numbers: readonly number[], share: number): number {
  const ordered = [...numbers].sort((a, b) => a - b);
  const place = (ordered.length - 1) * share;
  const low = Math.floor(place);
  const [below = 0, above = 0] = [ordered[low], ordered[Math.min(ordered.length - 1, low + 1)]];
  return below + (above - below) * (place - low);
}
