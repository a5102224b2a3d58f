// Transformations that choose, order, rename and convert columns. Rows stay as they are.
import type { Fields } from "../model/types";
import { flag, num, part, parts, text, texts } from "../model/values";
import { matches } from "../fields/config";
import { patternOf } from "../fields/display";
import type { Field, Frame } from "../fields/frame";
import { titleIn } from "./title";

const each = (frames: Frame[], change: (frame: Frame) => Field[]): Frame[] => frames.map((frame) => ({ ...frame, fields: change(frame) }));

/** Named, so that later steps and the panel see the new name. */
export function renamed(field: Field, name: string): Field {
  return { ...field, name, legend: undefined, labels: {}, config: { ...field.config, displayName: name } };
}

export function organize(frames: Frame[], options: Fields): Frame[] {
  const hidden = part(options, "excludeByName");
  const names = part(options, "renameByName");
  const order = part(options, "indexByName");
  const included = part(options, "includeByName");
  const only = Object.keys(included).length > 0;
  return each(frames, (frame) => {
    const keyed = frame.fields.map((field, at) => ({ field, title: titleIn(field, frame), at }));
    const flagged = (it: Fields, key: string, other: string): boolean => flag(it, key) || flag(it, other);
    const kept = keyed.filter(({ field, title }) => !flagged(hidden, title, field.name) && (!only || flagged(included, title, field.name)));
    kept.sort((a, b) => (num(order, a.title) ?? num(order, a.field.name) ?? 1000 + a.at) - (num(order, b.title) ?? num(order, b.field.name) ?? 1000 + b.at));
    return kept.map(({ field, title }) => {
      const name = text(names, title) || text(names, field.name);
      return name === "" ? field : renamed(field, name);
    });
  });
}

export function filterByName(frames: Frame[], options: Fields): Frame[] {
  const keep = options["include"];
  const drop = options["exclude"];
  const fits = (field: Field, frame: Frame, given: unknown): boolean => {
    const rule = (typeof given === "object" && given !== null ? given : {}) as Fields;
    if ("id" in rule) return matches({ ...field, title: titleIn(field, frame) }, frame, text(rule, "id"), rule["options"]);
    const title = titleIn(field, frame);
    const pattern = text(rule, "pattern") === "" ? undefined : patternOf(text(rule, "pattern"));
    return texts(rule, "names").some((it) => it === title || it === field.name) || (pattern?.test(title) ?? false);
  };
  return each(frames, (frame) => frame.fields.filter((field) => (keep === undefined || fits(field, frame, keep)) && !(drop !== undefined && fits(field, frame, drop)))).filter((it) => it.fields.length > 0);
}

export function filterByRefId(frames: Frame[], options: Fields): Frame[] {
  const pattern = patternOf(`^(${text(options, "include", ".*").replace(/^\/|\/$/g, "")})$`);
  return frames.filter((it) => pattern?.test(it.refId) ?? true);
}

/** Fields whose last values are limits, units and colours of the others. */
export function configFromData(frames: Frame[], options: Fields): Frame[] {
  const source = frames.find((it) => it.refId === text(options, "configRefId", "config"));
  if (!source) return frames;
  const config: Fields = {};
  for (const field of source.fields) {
    const names = [titleIn(field, source), field.name];
    const rule = parts(options, "mappings").find((it) => names.includes(text(it, "fieldName")));
    const key = rule ? text(rule, "handlerKey") : (names[0] ?? "");
    const value = field.values.findLast((it) => it !== null && it !== undefined);
    if (value === undefined) continue;
    if (/^(min|max|unit|decimals|displayName|noValue)$/.test(key)) config[key] = value;
    else if (key === "color") config["color"] = { mode: "fixed", fixedColor: value };
    else if (key === "threshold1") config["thresholds"] = { mode: "absolute", steps: [{ color: "green", value: null }, { color: "red", value }] };
  }
  const to = part(options, "applyTo");
  return each(frames.filter((it) => it !== source), (frame) =>
    frame.fields.map((field) => (field.type === "time" || ("id" in to && !matches(field, frame, text(to, "id"), to["options"])) ? field : { ...field, config: { ...field.config, ...config } })),
  );
}

export function renameByRegex(frames: Frame[], options: Fields): Frame[] {
  const pattern = patternOf(text(options, "regex"));
  if (!pattern || text(options, "regex") === "") return frames;
  return each(frames, (frame) =>
    frame.fields.map((field) => {
      if (field.type === "time") return field;
      const title = titleIn(field, frame);
      return pattern.test(title) ? renamed(field, title.replace(pattern, text(options, "renamePattern"))) : field;
    }),
  );
}

export function convertFieldType(frames: Frame[], options: Fields): Frame[] {
  const rules = new Map(parts(options, "conversions").map((it) => [text(it, "targetField"), text(it, "destinationType")]));
  return each(frames, (frame) =>
    frame.fields.map((field) => {
      const to = rules.get(titleIn(field, frame)) ?? rules.get(field.name);
      switch (to) {
        case "number":
          return { ...field, type: "number", values: field.values.map((it) => (it === null || it === "" ? null : Number(it))) };
        case "string":
          return { ...field, type: "string", values: field.values.map((it) => (it === null || it === undefined ? null : String(it))) };
        case "boolean":
          return { ...field, type: "boolean", values: field.values.map((it) => it === true || it === "true" || it === 1) };
        case "time":
          return { ...field, type: "time", values: field.values.map((it) => (typeof it === "number" ? it : Date.parse(String(it)))) };
        default:
          return field;
      }
    }),
  );
}
