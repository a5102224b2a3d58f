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
