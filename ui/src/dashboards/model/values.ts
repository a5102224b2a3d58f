// Single values out of JSON that anybody may have written: of the expected kind, or the given other. Not whole shapes.
import { isRecord } from "../../api/request";
import type { Fields, SourceRef } from "./types";

export function text(fields: Fields, key: string, other = ""): string {
  const value = fields[key];
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : other;
}

/** A number, or text that is one. */
export function num(fields: Fields, key: string): number | undefined {
  const value = fields[key];
  const read = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof read === "number" && Number.isFinite(read) ? read : undefined;
}

export function flag(fields: Fields, key: string, other = false): boolean {
  const value = fields[key];
  return typeof value === "boolean" ? value : other;
}

export function part(fields: Fields, key: string): Fields {
  const value = fields[key];
  return isRecord(value) ? value : {};
}

export function parts(fields: Fields, key: string): Fields[] {
  const value = fields[key];
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

export function texts(fields: Fields, key: string): string[] {
  const value = fields[key];
  return Array.isArray(value) ? value.filter((it) => typeof it === "string" || typeof it === "number").map(String) : [];
}

/** One text or several, as values of variables stand in files. */
export function oneOrMore(value: unknown): string[] {
  if (Array.isArray(value)) return value.map(String);
  return value === undefined || value === null || value === "" ? [] : [String(value)];
}

/** The value at a path with dots: "options.legend.calcs". */
export function at(fields: Fields, path: string): unknown {
  let value: unknown = fields;
  for (const key of path.split(".")) value = isRecord(value) ? value[key] : undefined;
  return value;
}

/** A copy with the value at a path set; undefined takes it out. */
export function withAt(fields: Fields, path: string, value: unknown): Fields {
  const [key = "", ...rest] = path.split(".");
  const copy = { ...fields };
  const next = rest.length === 0 ? value : withAt(part(fields, key), rest.join("."), value);
  if (next === undefined) delete copy[key];
  else copy[key] = next;
  return copy;
}

export function sourceRef(value: unknown): SourceRef | undefined {
  if (typeof value === "string" && value !== "") return { uid: value };
  if (!isRecord(value)) return undefined;
  const type = text(value, "type");
  const uid = text(value, "uid") || text(value, "name");
  return type === "" && uid === "" ? undefined : { type: type || undefined, uid: uid || undefined };
}
