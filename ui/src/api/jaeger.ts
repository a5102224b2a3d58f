// The face of Jaeger: services, their operations, traces, and who calls whom. What spans say becomes text here. Not the tree of spans.
import { numberIn, recordIn, recordsIn, textIn } from "./fields";
import { ApiError, isRecord, request } from "./request";
import { t } from "../words/t";

const ROOT = "/jaeger/api";
/** Spans of one trace beyond these are counted, not kept: the page would stand still. */
export const SPANS_MAX = 200_000;

export interface Tag {
  key: string;
  value: string;
}
export interface SpanLog {
  atUs: number;
  fields: Tag[];
}
export interface Reference {
  follows: boolean;
  /** Empty where it is this trace. */
  traceId: string;
  spanId: string;
}
export interface Process {
  id: string;
  service: string;
  tags: Tag[];
}
export interface Span {
  id: string;
  name: string;
  process: Process;
  references: Reference[];
  /** Microseconds since 1970. */
  startUs: number;
  durationUs: number;
  tags: Tag[];
  logs: SpanLog[];
  warnings: string[];
}
export interface Trace {
  id: string;
  spans: Span[];
  /** Spans without an id or a time, and those beyond the most. */
  unreadable: number;
  left: number;
  warnings: string[];
}
export interface Call {
  parent: string;
  child: string;
  count: number;
}

type Fields = Record<string, unknown>;
type Params = Record<string, string | number>;

async function ask(path: string, params: Params, signal?: AbortSignal): Promise<Fields> {
  const body = await request(ROOT + path, { params, signal });
  if (!isRecord(body)) throw new ApiError("shape", t("{0}{1} answered something that is not an object", ROOT, path));
  return body;
}

function namesIn(body: Fields): string[] {
  const data = Array.isArray(body["data"]) ? body["data"] : [];
  return [...new Set(data.filter((it) => typeof it === "string"))].sort((a, b) => a.localeCompare(b));
}

/** A server that keeps no traces has no such address: 404. */
export async function services(signal?: AbortSignal): Promise<string[]> {
  return namesIn(await ask("/services", {}, signal));
}

export async function operations(service: string, signal?: AbortSignal): Promise<string[]> {
  return namesIn(await ask(`/services/${encodeURIComponent(service)}/operations`, {}, signal));
}

export async function findTraces(params: Params, signal?: AbortSignal): Promise<Trace[]> {
  return recordsIn(await ask("/traces", params, signal), "data").map(parseTrace);
}

/** Undefined when there is none of this id; 404 says the same. */
export async function traceOf(id: string, signal?: AbortSignal): Promise<Trace | undefined> {
  const [found] = recordsIn(await ask(`/traces/${encodeURIComponent(id)}`, {}, signal), "data");
  return found && parseTrace(found);
}

/** What `traceOf` asks, for those who want it as it is. */
export function rawAddress(id: string): string {
  return `${ROOT}/traces/${encodeURIComponent(id)}?prettyPrint=true`;
}

export async function calls(endMs: number, lookbackMs: number, signal?: AbortSignal): Promise<Call[]> {
  return parseCalls(await ask("/dependencies", { endTs: Math.round(endMs), lookback: Math.round(lookbackMs) }, signal));
}

export function parseCalls(body: Fields): Call[] {
  return recordsIn(body, "data").flatMap((it): Call[] => {
    const parent = textIn(it, "parent");
    const child = textIn(it, "child");
    return parent === null || child === null ? [] : [{ parent, child, count: numberIn(it, "callCount") ?? 0 }];
  });
}

export function parseTrace(fields: Fields): Trace {
  const processes = processesIn(fields);
  const given = recordsIn(fields, "spans");
  const spans = given.slice(0, SPANS_MAX).flatMap((it) => spanIn(it, processes) ?? []);
  return {
    id: idIn(fields, "traceID") || (given[0] ? idIn(given[0], "traceID") : ""),
    spans,
    unreadable: Math.min(given.length, SPANS_MAX) - spans.length,
    left: Math.max(0, given.length - SPANS_MAX),
    warnings: textsIn(fields, "warnings"),
  };
}

function processesIn(fields: Fields): Map<string, Process> {
  return new Map(Object.entries(recordIn(fields, "processes")).flatMap(([id, it]) => (isRecord(it) ? [[id, processIn(id, it)] as const] : [])));
}

function processIn(id: string, fields: Fields): Process {
  return { id, service: textIn(fields, "serviceName") ?? "", tags: tagsIn(fields, "tags") };
}

function spanIn(fields: Fields, processes: ReadonlyMap<string, Process>): Span | undefined {
  const id = idIn(fields, "spanID");
  const startUs = numberIn(fields, "startTime");
  if (id === "" || startUs === null) return undefined;
  const processId = textIn(fields, "processID") ?? "";
  return {
    id,
    name: textIn(fields, "operationName") ?? "",
    process: processes.get(processId) ?? processIn(processId, recordIn(fields, "process")),
    references: recordsIn(fields, "references").map((it) => ({ follows: it["refType"] === "FOLLOWS_FROM", traceId: idIn(it, "traceID"), spanId: idIn(it, "spanID") })),
    startUs,
    durationUs: Math.max(0, numberIn(fields, "duration") ?? 0),
    tags: tagsIn(fields, "tags"),
    logs: recordsIn(fields, "logs").map((it) => ({ atUs: numberIn(it, "timestamp") ?? startUs, fields: tagsIn(it, "fields") })),
    warnings: textsIn(fields, "warnings"),
  };
}

/** Hexadecimal digits come in either case. */
function idIn(fields: Fields, key: string): string {
  return textIn(fields, key)?.toLowerCase() ?? "";
}

function tagsIn(fields: Fields, key: string): Tag[] {
  return recordsIn(fields, key).map((it) => ({ key: String(it["key"] ?? ""), value: wordsOf(it["value"]) }));
}

function wordsOf(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}

function textsIn(fields: Fields, key: string): string[] {
  const value = fields[key];
  return Array.isArray(value) ? value.filter((it) => typeof it === "string") : [];
}
