// Logs by Kibana's languages: one search at Elasticsearch's interface, its hits as lines. Not the languages, which are the server's.
import { type Direction, type Entry, newId, nsOf } from "./entry";
import { recordIn, recordsIn, textIn } from "./fields";
import { isRecord, request } from "./request";

export interface SearchAsk {
  q: string;
  language: "lucene" | "kql";
  size: number;
  direction: Direction;
}

export async function search({ q, language, size, direction }: SearchAsk, signal?: AbortSignal): Promise<Entry[]> {
  const sort = `@timestamp:${direction === "backward" ? "desc" : "asc"}`;
  return parseHits(await request("/elasticsearch/_search", { params: { q, language, size, sort }, signal }));
}

const MESSAGES = ["message", "log", "line", "body", "msg"];

/** A document as a line: its message, or the whole of it; all other fields are known of it, names joined by points. */
export function parseHits(body: unknown): Entry[] {
  const hits = isRecord(body) ? recordsIn(recordIn(body, "hits"), "hits") : [];
  return hits.flatMap((hit): Entry[] => {
    const source = recordIn(hit, "_source");
    const ns = nanoseconds(textIn(source, "@timestamp"));
    if (ns === undefined) return [];
    const name = MESSAGES.find((it) => typeof source[it] === "string");
    const line = name === undefined ? JSON.stringify(source) : String(source[name]);
    const fields = Object.fromEntries(flat(source).filter(([key]) => key !== name && key !== "@timestamp"));
    return [{ id: newId(), ns, ms: Math.trunc(Number(ns) / 1e6), line, labels: {}, metadata: fields, parsed: {}, merged: false, key: textIn(hit, "_id") ?? undefined }];
  });
}

/** "2026-01-02T03:04:05.123456789Z" without losing what a number cannot hold. */
export function nanoseconds(text: string | null): string | undefined {
  const found = /^(.*?)(?:\.(\d+))?(Z|[+-]\d\d:?\d\d)?$/.exec(text ?? "");
  const ms = Date.parse(`${found?.[1] ?? ""}${found?.[3] ?? "Z"}`);
  if (Number.isNaN(ms)) return undefined;
  return `${nsOf(ms).slice(0, -9)}${(found?.[2] ?? "").slice(0, 9).padEnd(9, "0")}`;
}

const DEPTH_MAX = 8;

function flat(value: Record<string, unknown>, prefix = "", depth = 0): [string, string][] {
  return Object.entries(value).flatMap(([key, it]): [string, string][] => {
    const name = prefix + key;
    if (isRecord(it) && depth < DEPTH_MAX) return flat(it, `${name}.`, depth + 1);
    return [[name, typeof it === "string" ? it : JSON.stringify(it)]];
  });
}
