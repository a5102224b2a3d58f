// Single fields out of answers: the value when it is of the expected kind, null when it is missing, null or something else.
// Not whole shapes: those are beside the face that answers them.
import { isRecord } from "./request";

type Fields = Record<string, unknown>;

export function numberIn(fields: Fields, key: string): number | null {
  const value = fields[key];
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

export function textIn(fields: Fields, key: string): string | null {
  const value = fields[key];
  return typeof value === "string" && value !== "" ? value : null;
}

export function recordIn(fields: Fields, key: string): Fields {
  const value = fields[key];
  return isRecord(value) ? value : {};
}

export function recordsIn(fields: Fields, key: string): Fields[] {
  const value = fields[key];
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

/** A label set; what is no text becomes one. */
export function labelsIn(fields: Fields, key: string): Record<string, string> {
  return labelsOf(recordIn(fields, key));
}

export function labelsOf(fields: Fields): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)]));
}
