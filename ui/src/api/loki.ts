// Logs as Loki's interface tells them: lines, numbers over lines, labels, detected fields, patterns, and the messages of a tail.
// Not the asking again (poll.svelte.ts) and not the socket (live/socket.ts).
import { type Direction, type Entry, newId, sorted } from "./entry";
import { labelsIn, labelsOf, numberIn, recordsIn, textIn } from "./fields";
import { type LabelSet, type MatrixItem, parseAnswer, type VectorItem } from "./prometheus";
import { ApiError, isRecord, request } from "./request";
import { t } from "../words/t";

/** Nanoseconds since 1970; the end does not belong to it. */
export interface LogRange {
  start: string;
  end: string;
}
export interface LinesAsk extends LogRange {
  limit: number;
  direction: Direction;
  step?: number;
}
export type LogAnswer = { type: "lines"; entries: Entry[] } | { type: "numbers"; items: MatrixItem[] };

const ROOT = "/loki/api/v1";
/** Keeps structured metadata and parsed fields apart from the labels of the stream. */
const CATEGORIES = { "x-loki-response-encoding-flags": "categorize-labels" };
/** A question longer than this is posted, because addresses have an end. */
const ADDRESS_CHARS_MAX = 4000;

function ask(path: string, values: Record<string, string | number>, signal?: AbortSignal): Promise<unknown> {
  const long = String(values["query"] ?? "").length > ADDRESS_CHARS_MAX;
  const options = { headers: CATEGORIES, signal };
  return request(ROOT + path, long ? { ...options, method: "POST", form: values } : { ...options, params: values });
}

export async function logRange(query: string, { start, end, limit, direction, step }: LinesAsk, signal?: AbortSignal): Promise<LogAnswer> {
  const values: Record<string, string | number> = { query, start, end, limit, direction };
  if (step !== undefined) values["step"] = `${step}s`;
  return parseLogAnswer(await ask("/query_range", values, signal), direction);
}

/** Numbers at one time, given in nanoseconds. */
export async function logNumbers(query: string, time: string, signal?: AbortSignal): Promise<VectorItem[]> {
  const answer = parseAnswer(await ask("/query", { query, time }, signal));
  return answer.type === "vector" ? answer.items : [];
}

export function parseLogAnswer(body: unknown, direction: Direction): LogAnswer {
  const data = isRecord(body) && isRecord(body["data"]) ? body["data"] : undefined;
  if (data?.["resultType"] === "streams") return { type: "lines", entries: sorted(entriesOf(recordsIn(data, "result"), false), direction) };
  const answer = parseAnswer(body);
  if (answer.type === "matrix") return { type: "numbers", items: answer.items };
  throw new ApiError("shape", t("the answer has the type {0}, which is no range", answer.type));
}

function entriesOf(streams: Record<string, unknown>[], merged: boolean): Entry[] {
  return streams.flatMap((stream) => {
    const labels = labelsIn(stream, "stream");
    const values = Array.isArray(stream["values"]) ? stream["values"] : [];
    return values.flatMap((value: unknown): Entry[] => {
      if (!Array.isArray(value) || typeof value[0] !== "string" || !/^\d+$/.test(value[0]) || typeof value[1] !== "string") return [];
      const more = isRecord(value[2]) ? value[2] : {};
      return [
        {
          id: newId(),
          ns: value[0],
          ms: Math.trunc(Number(value[0]) / 1e6),
          line: value[1],
          labels,
          metadata: labelsIn(more, "structuredMetadata"),
          parsed: labelsIn(more, "parsed"),
          merged,
        },
      ];
    });
  });
}

export interface TailMessage {
  entries: Entry[];
  /** Lines that we were too slow for. */
  dropped: number;
}

/** A browser cannot ask a socket for categories, so labels of a tail come as one set. */
export function parseTail(text: string, direction: Direction): TailMessage {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return { entries: [], dropped: 0 };
  }
  if (!isRecord(body)) return { entries: [], dropped: 0 };
  const dropped = Array.isArray(body["dropped_entries"]) ? body["dropped_entries"].length : 0;
  return { entries: sorted(entriesOf(recordsIn(body, "streams"), true), direction), dropped };
}

export function tailAddress(query: string, start: string, limit: number): string {
  const params = new URLSearchParams({ query, start, limit: String(limit) });
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${ROOT}/tail?${params.toString()}`;
}

export async function logLabels({ start, end }: LogRange, signal?: AbortSignal): Promise<string[]> {
  const body = await ask("/labels", { start, end }, signal);
  const data = isRecord(body) ? body["data"] : undefined;
  return Array.isArray(data) ? data.filter((it) => typeof it === "string") : [];
}

export interface Facet {
  name: string;
  /** How many values it has, as far as the server looked. */
  cardinality: number | null;
  /** The parser that finds it; none for labels and structured metadata. */
  parser?: string | undefined;
}

export async function detectedFields(query: string, { start, end }: LogRange, signal?: AbortSignal): Promise<Facet[]> {
  const body = await ask("/detected_fields", { query, start, end }, signal);
  return (isRecord(body) ? recordsIn(body, "fields") : []).flatMap((it): Facet[] => {
    const name = textIn(it, "label");
    const parsers = Array.isArray(it["parsers"]) ? it["parsers"].map(String) : [];
    return name === null ? [] : [{ name, cardinality: numberIn(it, "cardinality"), parser: parsers[0] }];
  });
}

/** Labels of the streams that a selector selects. */
export async function labelFacets(selector: string, { start, end }: LogRange, signal?: AbortSignal): Promise<Facet[]> {
  const body = await request(`${ROOT}/series`, { params: { "match[]": selector, start, end }, signal });
  const streams = isRecord(body) && Array.isArray(body["data"]) ? body["data"].filter(isRecord).map(labelsOf) : [];
  return facetsOf(streams);
}

export function facetsOf(streams: readonly LabelSet[]): Facet[] {
  const values = new Map<string, Set<string>>();
  for (const stream of streams) {
    for (const [name, value] of Object.entries(stream)) values.set(name, (values.get(name) ?? new Set()).add(value));
  }
  return [...values].map(([name, all]) => ({ name, cardinality: all.size })).sort((a, b) => a.name.localeCompare(b.name));
}

export interface Pattern {
  pattern: string;
  count: number;
}

export async function logPatterns(selector: string, { start, end }: LogRange, signal?: AbortSignal): Promise<Pattern[]> {
  const body = await ask("/patterns", { query: selector, start, end }, signal);
  const found = (isRecord(body) ? recordsIn(body, "data") : []).flatMap((it): Pattern[] => {
    const pattern = textIn(it, "pattern");
    const samples = Array.isArray(it["samples"]) ? it["samples"] : [];
    const count = samples.reduce((sum: number, pair: unknown) => sum + (Array.isArray(pair) ? Number(pair[1]) || 0 : 0), 0);
    return pattern === null ? [] : [{ pattern, count }];
  });
  return found.sort((a, b) => b.count - a.count);
}
