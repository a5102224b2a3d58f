// The single values that stats, gauges, bar gauges and pies show: one for each field, or one for each row. Not their looks.
import { type Display, display, limitsOf } from "../../fields/display";
import { type Field, type Frame, hidden, timeField } from "../../fields/frame";
import { reduce } from "../../fields/reduce";
import { patternOf } from "../../fields/display";
import { flag, num, part, text, texts } from "../../model/values";
import { type DataLink, fieldScope, linksOf, type PanelData } from "../../view/data";
import { interpolate } from "../../variables/interpolate";

export interface Reduced {
  title: string;
  value: unknown;
  shown: Display;
  field: Field;
  frame: Frame;
  limits: { min: number; max: number };
  links: DataLink[];
  /** The series behind the value, for small pictures. */
  points: { times: unknown[]; values: unknown[] } | undefined;
}

const ROWS_DEFAULT = 25;
/** More figures than this are no figures. */
const VALUES_MAX = 500;

export function reducedOf(data: PanelData): { values: Reduced[]; left: number } {
  const options = part(data.panel.options, "reduceOptions");
  const calc = texts(options, "calcs")[0] ?? "lastNotNull";
  const rows = flag(options, "values");
  const most = num(options, "limit") ?? ROWS_DEFAULT;
  const found: Reduced[] = [];
  let index = 0;
  const numbers = data.frames.flatMap((frame) => frame.fields.filter((it) => wanted(it, text(options, "fields"))).map((field) => ({ frame, field })));
  // Limits hold for all figures of a panel, so that bars can be compared.
  const all = numbers.filter(({ field }) => field.type === "number").map(({ field }) => limitsOf(field));
  const common = { min: all.reduce((a, b) => Math.min(a, b.min), Number.POSITIVE_INFINITY), max: all.reduce((a, b) => Math.max(a, b.max), Number.NEGATIVE_INFINITY) };
  for (const { frame, field } of numbers) {
    if (hidden(field, "viz")) continue;
    const limits = { min: num(field.config, "min") ?? (Number.isFinite(common.min) ? common.min : 0), max: num(field.config, "max") ?? (Number.isFinite(common.max) ? common.max : 1) };
    if (limits.max <= limits.min) limits.max = limits.min + 1;
    if (rows) {
      const names = frame.fields.find((it) => it.type === "string");
      field.values.slice(0, most).forEach((value, row) => {
        const own = interpolate(text(field.config, "displayName"), fieldScope(data.scope, field, frame, row));
        found.push({ title: own || (names && names !== field ? String(names.values[row] ?? "") : (field.title ?? field.name)), value, shown: display(value, field, limits, index), field, frame, limits, links: linksOf(field, frame, row, data.scope), points: undefined });
        index += 1;
      });
    } else {
      const value = reduce(field.values, calc);
      const time = timeField(frame);
      found.push({ title: field.title ?? field.name, value, shown: display(value, field, limits, index), field, frame, limits, links: linksOf(field, frame, Math.max(0, field.values.length - 1), data.scope), points: time && field.type === "number" && field.values.length > 1 ? { times: time.values, values: field.values } : undefined });
      index += 1;
    }
  }
  return { values: found.slice(0, VALUES_MAX), left: Math.max(0, found.length - VALUES_MAX) };
}

function wanted(field: Field, fields: string): boolean {
  if (fields === "") return field.type === "number";
  const pattern = patternOf(fields);
  return pattern !== undefined && (pattern.test(field.title ?? field.name) || pattern.test(field.name));
}
