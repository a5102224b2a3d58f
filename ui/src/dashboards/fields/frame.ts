// Tables of columns, which is what every data source's answer becomes and every panel draws. Not what the columns look like (config.ts).
import type { Fields } from "../model/types";

export type Labels = Record<string, string>;
export type FieldType = "time" | "number" | "string" | "boolean" | "other";
export interface Field {
  name: string;
  type: FieldType;
  labels: Labels;
  values: unknown[];
  /** What the data source calls it: its legend. */
  legend?: string | undefined;
  /** Units, limits, colours: empty until config.ts fills it in. */
  config: Fields;
  refId: string;
  /** Set by config.ts: what the reader sees. */
  title?: string;
}
export interface Frame {
  refId: string;
  name: string;
  fields: Field[];
  /** Set where rows are no plain table: panels for these kinds look for it. */
  kind?: "logs" | "traces" | "trace" | "profile" | undefined;
  /** What such panels need beside the columns. */
  more?: unknown;
}

export function field(name: string, type: FieldType, values: unknown[], refId: string, labels: Labels = {}, legend?: string): Field {
  return { name, type, labels, values, legend, config: {}, refId };
}

export function rowsOf(frame: Frame): number {
  return frame.fields[0]?.values.length ?? 0;
}

export function timeField(frame: Frame): Field | undefined {
  return frame.fields.find((it) => it.type === "time");
}

export function numberFields(frame: Frame): Field[] {
  return frame.fields.filter((it) => it.type === "number");
}

/** The type that values have, when nobody says. */
export function typeOf(values: readonly unknown[]): FieldType {
  const first = values.find((it) => it !== null && it !== undefined);
  return typeof first === "number" ? "number" : typeof first === "boolean" ? "boolean" : typeof first === "string" || first === undefined ? "string" : "other";
}

export function hidden(field: Field, where: "viz" | "legend" | "tooltip"): boolean {
  const custom = field.config["custom"] as Fields | undefined;
  const from = custom?.["hideFrom"] as Fields | undefined;
  return from?.[where] === true;
}
