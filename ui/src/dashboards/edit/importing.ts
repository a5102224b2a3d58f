// From text that should be a dashboard to one, with its open inputs filled in. Not the page for it.
import { unwrapped } from "../model/read";
import type { Fields } from "../model/types";
import { parts, text } from "../model/values";
import { t } from "../../words/t";

export interface Input {
  name: string;
  label: string;
  type: "datasource" | "constant" | "other";
  pluginId: string;
  value: string;
}
/** A larger file is no dashboard. */
export const FILE_BYTES_MAX = 8 * 2 ** 20;

export function parsedBoard(source: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (error) {
    throw new Error(t("this is no JSON: {0}", error instanceof Error ? error.message : String(error)));
  }
  return unwrapped(value);
}

export function inputsOf(raw: Fields): Input[] {
  return parts(raw, "__inputs").map((it) => {
    const type = text(it, "type");
    return { name: text(it, "name"), label: text(it, "label") || text(it, "name"), type: type === "datasource" || type === "constant" ? type : "other", pluginId: text(it, "pluginId"), value: text(it, "value") };
  });
}

/** Puts what was chosen for `${DS_X}` everywhere where it stands, and takes the question for it out, as an import does. */
export function withInputs(raw: Fields, values: ReadonlyMap<string, string>): Fields {
  const put = (value: unknown): unknown => {
    if (typeof value === "string") return value.replace(/\$\{(\w+)\}/g, (whole, name: string) => values.get(name) ?? whole);
    if (Array.isArray(value)) return value.map(put);
    return typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value).map(([key, it]) => [key, put(it)])) : value;
  };
  const { __inputs: _inputs, __requires: _requires, __elements: _elements, ...rest } = raw;
  return put(rest) as Fields;
}
