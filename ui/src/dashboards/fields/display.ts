// What one value looks like: its text after mappings, unit and decimals, and its colour after thresholds. Not where configuration comes
// from (config.ts).
import type { Fields } from "../model/types";
import { num, part, parts, text } from "../model/values";
import { css, ramp, rampIsKnown, seriesColor } from "./colors";
import type { Field } from "./frame";
import { reduce } from "./reduce";
import { show } from "./units";
import { dateTime } from "../../units/format";

export interface Display {
  /** The value as text with its unit. */
  text: string;
  prefix: string;
  figure: string;
  suffix: string;
  /** A colour of CSS, where a threshold, mapping or scale gives one. */
  color: string | undefined;
  /** The mapping's words, where there is one: states are said, not only coloured. */
  mapped: boolean;
  /** Where the value lies between the least and the most, from 0 to 1. */
  share: number | undefined;
}
export interface Step {
  color: string;
  /** From this value on; the first has none. */
  value: number | null;
}

export function stepsOf(config: Fields): { percentage: boolean; steps: Step[] } {
  const thresholds = part(config, "thresholds");
  const steps = parts(thresholds, "steps").map((it): Step => ({ color: text(it, "color", "text"), value: num(it, "value") ?? null }));
  return { percentage: text(thresholds, "mode") === "percentage", steps: steps.sort((a, b) => (a.value ?? Number.NEGATIVE_INFINITY) - (b.value ?? Number.NEGATIVE_INFINITY)) };
}

/** The last step that a value has reached. */
export function stepFor(value: number, config: Fields, limits: { min: number; max: number }): Step | undefined {
  const { percentage, steps } = stepsOf(config);
  const measured = percentage ? ((value - limits.min) / (limits.max - limits.min || 1)) * 100 : value;
  let found = steps[0];
  for (const step of steps) if (step.value === null || measured >= step.value) found = step;
  return found;
}

export function limitsOf(field: Field): { min: number; max: number } {
  const least = num(field.config, "min") ?? (reduce(field.values, "min") as number | null) ?? 0;
  const most = num(field.config, "max") ?? (reduce(field.values, "max") as number | null) ?? 1;
  return { min: least, max: most > least ? most : least + 1 };
}

export function display(value: unknown, field: Field, limits = limitsOf(field), seriesIndex = 0): Display {
  const { config } = field;
  const mapping = mapped(value, config);
  const number = typeof value === "number" ? value : typeof value === "string" && value.trim() !== "" && field.type === "number" ? Number(value) : undefined;
  const known = number !== undefined && !Number.isNaN(number) ? number : undefined;
  const base = shown(value, known, field);
  const custom = part(config, "custom");
  const prefix = text(custom, "prefix") + base.prefix;
  const suffix = base.suffix + text(custom, "postfix");
  const share = known === undefined ? undefined : Math.min(1, Math.max(0, (known - limits.min) / (limits.max - limits.min)));
  const words = mapping?.text;
  return {
    text: words ?? prefix + base.text + suffix,
    prefix: words === undefined ? prefix : "",
    figure: words ?? base.text,
    suffix: words === undefined ? suffix : "",
    color: mapping?.color ? css(mapping.color) : colorOf(known, config, limits, share, seriesIndex),
    mapped: words !== undefined,
    share,
  };
}

function shown(value: unknown, known: number | undefined, field: Field): { prefix: string; text: string; suffix: string } {
  const { config } = field;
  const whole = (it: string): { prefix: string; text: string; suffix: string } => ({ prefix: "", text: it, suffix: "" });
  if (value === null || value === undefined || (typeof value === "number" && Number.isNaN(value))) return whole(text(config, "noValue") || (typeof value === "number" ? "NaN" : "–"));
  const unit = text(config, "unit");
  if (field.type === "time" && typeof value === "number") return unit === "" || unit === "short" ? whole(dateTime(value)) : show(value, unit, num(config, "decimals"));
  if (known !== undefined) return show(known, unit, num(config, "decimals"));
  if (Array.isArray(value)) return whole(value.map(String).join(", "));
  return whole(typeof value === "object" ? JSON.stringify(value) : String(value));
}

function colorOf(value: number | undefined, config: Fields, limits: { min: number; max: number }, share: number | undefined, seriesIndex: number): string | undefined {
  const color = part(config, "color");
  const mode = text(color, "mode", "thresholds");
  if (mode === "fixed" || mode === "shades") return css(text(color, "fixedColor", "green"));
  if (mode.startsWith("palette-classic")) return seriesColor(seriesIndex);
  if (value === undefined) return undefined;
  if (rampIsKnown(mode)) return ramp(mode, share ?? 0);
  const step = stepFor(value, config, limits);
  return step ? css(step.color) : undefined;
}

/** The first mapping that fits: of a value, a range, a pattern, or of what is no number. */
export function mapped(value: unknown, config: Fields): { text: string | undefined; color: string | undefined } | undefined {
  for (const mapping of parts(config, "mappings")) {
    const found = resultOf(mapping, value);
    if (found) return found;
  }
  return undefined;
}

function resultOf(mapping: Fields, value: unknown): { text: string | undefined; color: string | undefined } | undefined {
  const options = part(mapping, "options");
  const type = mapping["type"];
  if (type === 1 || type === 2 || typeof mapping["id"] === "number" || (!("options" in mapping) && ("value" in mapping || "from" in mapping))) return oldMapping(mapping, value);
  switch (type) {
    case "value":
      return value === null || value === undefined ? undefined : result(options[String(value)]);
    case "range": {
      if (typeof value !== "number") return undefined;
      const [from, to] = [num(options, "from") ?? Number.NEGATIVE_INFINITY, num(options, "to") ?? Number.POSITIVE_INFINITY];
      return value >= from && value <= to ? result(options["result"]) : undefined;
    }
    case "regex": {
      const pattern = patternOf(text(options, "pattern"));
      if (!pattern || (typeof value !== "string" && typeof value !== "number")) return undefined;
      if (!pattern.test(String(value))) return undefined;
      const found = result(options["result"]);
      return found && { ...found, text: found.text === undefined ? undefined : String(value).replace(pattern, found.text) };
    }
    case "special":
      return special(text(options, "match"), value) ? result(options["result"]) : undefined;
    default:
      return undefined;
  }
}

function special(match: string, value: unknown): boolean {
  const isNull = value === null || value === undefined;
  const isNan = typeof value === "number" && Number.isNaN(value);
  switch (match) {
    case "null":
      return isNull;
    case "nan":
      return isNan;
    case "null+nan":
      return isNull || isNan;
    case "true":
      return value === true || value === "true";
    case "false":
      return value === false || value === "false";
    case "empty":
      return value === "";
    default:
      return false;
  }
}

function result(value: unknown): { text: string | undefined; color: string | undefined } | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const fields = value as Fields;
  return { text: text(fields, "text") || undefined, color: text(fields, "color") || undefined };
}

/** Before version 8 a mapping was a flat object: type 1 a value, type 2 a range. */
function oldMapping(mapping: Fields, value: unknown): { text: string | undefined; color: string | undefined } | undefined {
  const found = { text: text(mapping, "text") || undefined, color: undefined };
  if ("value" in mapping && mapping["type"] !== 2) return text(mapping, "value") === "null" ? (value === null ? found : undefined) : String(value) === text(mapping, "value") ? found : undefined;
  const [from, to] = [num(mapping, "from"), num(mapping, "to")];
  return typeof value === "number" && from !== undefined && to !== undefined && value >= from && value <= to ? found : undefined;
}

export function patternOf(text: string): RegExp | undefined {
  const parsed = /^\/(.*)\/([gimsuy]*)$/s.exec(text);
  try {
    return new RegExp(parsed ? (parsed[1] ?? "") : text, (parsed?.[2] ?? "").replace(/[gy]/g, ""));
  } catch {
    return undefined;
  }
}
