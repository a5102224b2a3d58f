// Gives every column its configuration: the panel's defaults, then each override that fits, and the name that the reader sees.
// Not what a value looks like (display.ts).
import type { Fields, Override } from "../model/types";
import { text, withAt } from "../model/values";
import { patternOf } from "./display";
import type { Field, Frame, Labels } from "./frame";
import { calcIsKnown, reduce } from "./reduce";

const MATCHERS: ReadonlySet<string> = new Set(["byName", "byNames", "byRegexp", "byRegexpOrNames", "byType", "byTypes", "byFrameRefID", "numeric", "time", "byValue", "anyMatch", "allMatch", "firstMatch"]);

export function matcherIsKnown(id: string): boolean {
  return MATCHERS.has(id);
}

export function configured(frames: readonly Frame[], defaults: Fields, overrides: readonly Override[], write: (text: string, field: Field, frame: Frame) => string): Frame[] {
  const single = frames.length === 1;
  const named = frames.map((frame) => {
    const numbers = frame.fields.filter((it) => it.type !== "time").length;
    return { ...frame, fields: frame.fields.map((field) => ({ ...field, title: titleOf(field, frame, frames, single && numbers > 0, write) })) };
  });
  return named.map((frame) => ({ ...frame, fields: frame.fields.map((field) => withConfig(field, frame, defaults, overrides, write)) }));
}

function withConfig(field: Field & { title?: string }, frame: Frame, defaults: Fields, overrides: readonly Override[], write: (text: string, field: Field, frame: Frame) => string): Field {
  let config: Fields = field.type === "time" ? without(defaults, ["unit", "decimals", "min", "max", "displayName", "mappings", "thresholds"]) : { ...defaults };
  config = { ...config, ...field.config };
  for (const { matcher, properties } of overrides) {
    if (!matches(field, frame, matcher.id, matcher.options)) continue;
    for (const { id, value } of properties) config = withAt(config, id, value);
  }
  const name = text(config, "displayName");
  const configuredField = { ...field, config };
  return name === "" ? configuredField : { ...configuredField, title: write(name, configuredField, frame) || (field.title ?? field.name) };
}

function without(fields: Fields, keys: readonly string[]): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([key]) => !keys.includes(key)));
}

export function matches(field: Field, frame: Frame, id: string, options: unknown): boolean {
  const title = field.title ?? field.name;
  switch (id) {
    case "byName":
      return title === options || field.name === options;
    case "byNames": {
      const given = (typeof options === "object" && options !== null ? options : {}) as Fields;
      const names = Array.isArray(options) ? options : Array.isArray(given["names"]) ? given["names"] : [];
      const found = names.includes(title) || names.includes(field.name);
      return given["mode"] === "exclude" ? !found : found;
    }
    case "byRegexp": {
      const pattern = patternOf(String(options ?? ""));
      return pattern !== undefined && (pattern.test(title) || pattern.test(field.name));
    }
    case "byRegexpOrNames": {
      const given = (typeof options === "object" && options !== null ? options : {}) as Fields;
      return matches(field, frame, "byRegexp", given["pattern"] ?? "$^") || matches(field, frame, "byNames", given["names"]);
    }
    case "byType":
      return field.type === options;
    case "byTypes":
      return Array.isArray(options) && options.includes(field.type);
    case "byFrameRefID":
      return field.refId === options || frame.refId === options;
    case "numeric":
      return field.type === "number";
    case "time":
      return field.type === "time";
    case "anyMatch":
      return Array.isArray(options) && options.some((it: Fields) => matches(field, frame, String(it?.["id"]), it?.["options"]));
    case "allMatch":
      return Array.isArray(options) && options.every((it: Fields) => matches(field, frame, String(it?.["id"]), it?.["options"]));
    case "byValue":
      return byValue(field, options);
    case "firstMatch":
      return Array.isArray(options) && options.some((it: Fields) => matches(field, frame, String(it?.["id"]), it?.["options"]));
    default:
      return false;
  }
}

function byValue(field: Field, options: unknown): boolean {
  const given = (typeof options === "object" && options !== null ? options : {}) as Fields;
  const calc = text(given, "reducer");
  if (!calcIsKnown(calc)) return false;
  const value = reduceNumber(field, calc);
  const wanted = Number(given["value"]);
  switch (given["op"]) {
    case ">=":
      return value >= wanted;
    case ">":
      return value > wanted;
    case "<=":
      return value <= wanted;
    case "<":
      return value < wanted;
    case "!=":
      return value !== wanted;
    default:
      return value === wanted;
  }
}

function reduceNumber(field: Field, calc: string): number {
  const found = reduce(field.values, calc);
  return typeof found === "number" ? found : typeof found === "boolean" ? Number(found) : Number.NaN;
}

/** A series is called by its legend; without one by its name and the labels that tell it from the others. */
function titleOf(field: Field, frame: Frame, frames: readonly Frame[], single: boolean, write: (text: string, field: Field, frame: Frame) => string): string {
  const own = text(field.config, "displayName");
  if (own !== "") return write(own, field, frame);
  if (field.legend !== undefined && field.legend !== "") return field.legend;
  const labels = Object.entries(field.labels);
  if (field.type === "time" || labels.length === 0 || (single && field.name !== "Value")) {
    return field.name === "Value" && frame.name !== "" ? frame.name : field.name;
  }
  const plainName = field.name === "Value" ? "" : field.name;
  if (labels.length === 1 && plainName === "" && sameKeys(frames, labels[0]?.[0] ?? "")) return labels[0]?.[1] ?? "";
  return plainName + labelText(field.labels);
}

function sameKeys(frames: readonly Frame[], key: string): boolean {
  return frames.every((frame) => frame.fields.every((it) => it.type !== "number" || Object.keys(it.labels).join() === key));
}

export function labelText(labels: Labels): string {
  return `{${Object.entries(labels).map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(", ")}}`;
}
