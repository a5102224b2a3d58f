// Transformations that choose, order and compute rows. Columns stay what they are, but one may be added.
import type { Fields } from "../model/types";
import { flag, num, part, parts, text, texts } from "../model/values";
import { type Field, field, type Frame, numberFields, rowsOf } from "../fields/frame";
import { patternOf } from "../fields/display";
import { reduce } from "../fields/reduce";
import { titleIn } from "./title";

function rowsKept(frame: Frame, rows: readonly number[]): Frame {
  return { ...frame, fields: frame.fields.map((it) => ({ ...it, values: rows.map((row) => it.values[row]) })) };
}

const indexes = (count: number): number[] => Array.from({ length: count }, (_, at) => at);

export function sortBy(frames: Frame[], options: Fields): Frame[] {
  const [first] = parts(options, "sort");
  if (!first) return frames;
  const sign = flag(first, "desc") ? -1 : 1;
  return frames.map((frame) => {
    const by = frame.fields.find((it) => titleIn(it, frame) === text(first, "field") || it.name === text(first, "field"));
    if (!by) return frame;
    return rowsKept(frame, indexes(rowsOf(frame)).sort((a, b) => sign * compared(by.values[a], by.values[b])));
  });
}

/** Numbers by size, texts by their letters; what is missing comes first. */
export function compared(a: unknown, b: unknown): number {
  const none = (it: unknown): boolean => it === null || it === undefined || (typeof it === "number" && Number.isNaN(it));
  if (none(a) || none(b)) return Number(none(b)) - Number(none(a));
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

export function limit(frames: Frame[], options: Fields): Frame[] {
  const most = Math.max(0, num(options, "limitField") ?? 10);
  return frames.map((frame) => rowsKept(frame, indexes(Math.min(most, rowsOf(frame)))));
}

export function filterByValue(frames: Frame[], options: Fields): Frame[] {
  const rules = parts(options, "filters");
  const include = text(options, "type", "include") === "include";
  const all = text(options, "match") === "all";
  return frames.map((frame) => {
    const known = rules.flatMap((rule) => {
      const of = frame.fields.find((it) => titleIn(it, frame) === text(rule, "fieldName") || it.name === text(rule, "fieldName"));
      return of ? [{ of, config: part(rule, "config") }] : [];
    });
    if (known.length === 0) return frame;
    const fits = (row: number): boolean => {
      const found = known.map(({ of, config }) => valueFits(of.values[row], text(config, "id"), part(config, "options")));
      return all ? found.every(Boolean) : found.some(Boolean);
    };
    return rowsKept(frame, indexes(rowsOf(frame)).filter((row) => fits(row) === include));
  });
}

function valueFits(value: unknown, id: string, options: Fields): boolean {
  const wanted = options["value"];
  const number = typeof value === "number" ? value : Number(value);
  switch (id) {
    case "isNull":
      return value === null || value === undefined;
    case "isNotNull":
      return value !== null && value !== undefined;
    case "equal":
      return String(value) === String(wanted);
    case "notEqual":
      return String(value) !== String(wanted);
    case "greater":
      return number > Number(wanted);
    case "greaterOrEqual":
      return number >= Number(wanted);
    case "lower":
      return number < Number(wanted);
    case "lowerOrEqual":
      return number <= Number(wanted);
    case "between":
      return number > Number(options["from"]) && number < Number(options["to"]);
    case "regex":
      return patternOf(String(wanted))?.test(String(value)) ?? false;
    case "substring":
      return String(value).toLowerCase().includes(String(wanted).toLowerCase());
    case "notSubstring":
      return !String(value).toLowerCase().includes(String(wanted).toLowerCase());
    default:
      return true;
  }
}

const BINARY: Record<string, (a: number, b: number) => number> = { "+": (a, b) => a + b, "-": (a, b) => a - b, "*": (a, b) => a * b, "/": (a, b) => (b === 0 ? Number.NaN : a / b), "%": (a, b) => a % b, "**": (a, b) => a ** b };
const UNARY: Record<string, (a: number) => number> = { abs: Math.abs, exp: Math.exp, ln: Math.log, floor: Math.floor, ceil: Math.ceil, round: Math.round, trunc: Math.trunc, percent: (it) => it * 100 };

export function calculateField(frames: Frame[], options: Fields): Frame[] {
  return frames.map((frame) => {
    const made = calculated(frame, options);
    if (!made) return frame;
    const base = flag(options, "replaceFields") ? frame.fields.filter((it) => it.type === "time") : frame.fields;
    return { ...frame, fields: [...base, made] };
  });
}

function calculated(frame: Frame, options: Fields): Field | undefined {
  const mode = text(options, "mode", "reduceRow");
  const alias = text(options, "alias");
  const find = (name: string): Field | undefined => frame.fields.find((it) => titleIn(it, frame) === name || it.name === name);
  const count = rowsOf(frame);
  const made = (name: string, values: unknown[]): Field => ({ ...field(alias || name, "number", values, frame.refId), config: { displayName: alias || name } });
  if (mode === "binary") {
    const rule = part(options, "binary");
    const side = (key: "left" | "right"): ((row: number) => number) | undefined => {
      const given = rule[key];
      const value = typeof given === "object" && given !== null ? String((given as Fields)["fixed"] ?? part(part(rule, key), "matcher")["options"] ?? "") : String(given ?? "");
      const of = find(value);
      if (of) return (row) => (typeof of.values[row] === "number" ? (of.values[row] as number) : Number.NaN);
      return value !== "" && Number.isFinite(Number(value)) ? () => Number(value) : undefined;
    };
    const [left, right, operator] = [side("left"), side("right"), BINARY[text(rule, "operator", "+")]];
    if (!left || !right || !operator) return undefined;
    return made(`${text(rule, "left")} ${text(rule, "operator", "+")} ${text(rule, "right")}`, indexes(count).map((row) => numberOrNull(operator(left(row), right(row)))));
  }
  if (mode === "unary") {
    const rule = part(options, "unary");
    const of = find(text(rule, "fieldName"));
    const operator = UNARY[text(rule, "operator", "abs")];
    return of && operator ? made(`${text(rule, "operator")}(${text(rule, "fieldName")})`, of.values.map((it) => (typeof it === "number" ? numberOrNull(operator(it)) : null))) : undefined;
  }
  if (mode === "index") return made("Row", indexes(count).map((row) => (flag(part(options, "index"), "asPercentile") ? row / Math.max(1, count) : row)));
  const rule = part(options, mode === "reduceRow" ? "reduce" : mode === "cumulativeFunctions" ? "cumulative" : mode === "windowFunctions" ? "window" : "reduce");
  if (mode === "cumulativeFunctions") {
    const of = find(text(rule, "field"));
    let [sum, seen] = [0, 0];
    return of && made(`cumulative ${text(rule, "field")}`, of.values.map((it) => (typeof it === "number" ? ((sum += it), (seen += 1), text(rule, "reducer") === "mean" ? sum / seen : sum) : null)));
  }
  const include = texts(rule, "include");
  const inside = numberFields(frame).filter((it) => include.length === 0 || include.includes(titleIn(it, frame)) || include.includes(it.name));
  const calc = text(rule, "reducer", "sum");
  return made(CALC_NAMES[calc] ?? calc, indexes(count).map((row) => reduce(inside.map((it) => it.values[row]), calc)));
}

const CALC_NAMES: Record<string, string> = { sum: "Total", mean: "Mean", min: "Min", max: "Max" };

function numberOrNull(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}

const BUCKETS = 30;
const STEPS = [1, 2, 2.5, 5, 10];

/** How often values lie in each of equally wide buckets, with bounds at round numbers. */
export function bucketsOf(values: readonly number[], size: number | undefined, count = BUCKETS, offset = 0): { low: number; high: number; count: number }[] {
  const known = values.filter((it) => Number.isFinite(it));
  if (known.length === 0) return [];
  const least = known.reduce((a, b) => Math.min(a, b));
  const most = known.reduce((a, b) => Math.max(a, b));
  const raw = (most - least) / count || Math.abs(most) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const wide = size !== undefined && size > 0 ? size : (STEPS.find((it) => it * power >= raw * 0.999) ?? 10) * power;
  const first = Math.floor((least - offset) / wide) * wide + offset;
  const buckets = new Map<number, number>();
  for (const value of known) {
    const at = Math.floor((value - first) / wide + 1e-9);
    buckets.set(at, (buckets.get(at) ?? 0) + 1);
  }
  const last = Math.min(2000, Math.floor((most - first) / wide + 1e-9));
  return Array.from({ length: last + 1 }, (_, at) => ({ low: round(first + at * wide), high: round(first + (at + 1) * wide), count: buckets.get(at) ?? 0 }));
}

function round(value: number): number {
  return Number(value.toPrecision(12));
}

export function histogram(frames: Frame[], options: Fields): Frame[] {
  const fields = frames.flatMap((frame) => numberFields(frame).map((it) => ({ it, title: titleIn(it, frame) })));
  const combined = bucketsOf(fields.flatMap(({ it }) => it.values.filter((value): value is number => typeof value === "number")), num(options, "bucketSize"), num(options, "bucketCount") ?? BUCKETS, num(options, "bucketOffset") ?? 0);
  if (combined.length === 0) return [];
  const refId = frames[0]?.refId ?? "";
  const lows = combined.map((it) => it.low);
  const columns = flag(options, "combine") ? [field("Count", "number", combined.map((it) => it.count), refId)] : fields.map(({ it, title }) => ({ ...field(title, "number", lows.map((low, at) => it.values.filter((value) => typeof value === "number" && value >= low && (value < (combined[at]?.high ?? low) || (at === lows.length - 1 && value <= (combined[at]?.high ?? low)))).length), refId), config: { displayName: title } }));
  return [{ refId, name: "Histogram", fields: [field("xMin", "number", lows, refId), field("xMax", "number", combined.map((it) => it.high), refId), ...columns] }];
}
