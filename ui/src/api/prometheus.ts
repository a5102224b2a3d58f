// The Prometheus face as the page asks it: instant and range queries, metric names, targets, head statistics.
// Not PromQL itself, and not what a panel makes of the answer.
import { ApiError, isRecord, request, serverNowMs } from "./request";
import { t } from "../words/t";

export type LabelSet = Record<string, string>;
/** Seconds since 1970, and the value. */
export type Point = [number, number];

/** A native histogram. */
export interface HistogramValue {
  count: number;
  sum: number;
  buckets: { low: number; high: number; count: number }[];
}
export interface VectorItem {
  labels: LabelSet;
  time: number;
  value: number;
  /** The value as it was sent, for tables that must not round. */
  text: string;
  /** In place of the value. */
  histogram?: HistogramValue;
}
export interface MatrixItem {
  labels: LabelSet;
  points: Point[];
  /** Where the series has histograms: seconds since 1970, and the histogram. */
  histograms?: [number, HistogramValue][];
}
/** `infos` are what the server finds odd, `warnings` what it could not do. */
export type Answer = { warnings: string[]; infos?: string[] } & (
  | { type: "vector"; items: VectorItem[] }
  | { type: "matrix"; items: MatrixItem[] }
  | { type: "scalar"; time: number; text: string }
  | { type: "string"; time: number; text: string }
);
export interface RangeAsk {
  start: number;
  end: number;
  step: number;
}

/** Longer expressions go in a form, because proxies limit addresses. */
const ADDRESS_CHARS_MAX = 1500;

/** Text as the value of a label stands in a query. */
export function quoted(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}

export async function query(expr: string, signal?: AbortSignal, time?: number): Promise<Answer> {
  const values: Record<string, string | number> = { query: expr };
  if (time !== undefined) values["time"] = time;
  return parseAnswer(await ask("/api/v1/query", values, signal));
}

/** An instant query whose answer must be a vector, as those of the panels are. */
export async function queryVector(expr: string, signal?: AbortSignal): Promise<VectorItem[]> {
  const answer = await query(expr, signal);
  if (answer.type === "vector") return answer.items;
  throw new ApiError("shape", t("expected a vector from {0}, got a {1}", expr, answer.type));
}

export async function queryRange(expr: string, range: RangeAsk, signal?: AbortSignal): Promise<MatrixItem[]> {
  const answer = parseAnswer(await ask("/api/v1/query_range", { query: expr, ...range }, signal));
  if (answer.type === "matrix") return answer.items;
  throw new ApiError("shape", t("expected a matrix from {0}, got a {1}", expr, answer.type));
}

export async function metricNames(signal?: AbortSignal): Promise<string[]> {
  const data = envelope(await request("/api/v1/label/__name__/values", { signal }));
  return Array.isArray(data) ? data.filter((it): it is string => typeof it === "string") : [];
}

export interface Metadata {
  type: string;
  help: string;
}
/** The metric's family: what a histogram's or a counter's type and help stand under. */
export function metadataOf(metadata: ReadonlyMap<string, Metadata>, name: string): Metadata | undefined {
  return metadata.get(name) ?? metadata.get(name.replace(/_(?:bucket|sum|count|total)$/, ""));
}
/** Type and help text of each family of metrics. */
export async function metricMetadata(signal?: AbortSignal): Promise<Map<string, Metadata>> {
  const data = envelope(await request("/api/v1/metadata", { params: { limit_per_metric: 1 }, signal }));
  return new Map(
    Object.entries(isRecord(data) ? data : {}).flatMap(([name, list]): [string, Metadata][] => {
      const first: unknown = Array.isArray(list) ? list[0] : undefined;
      return isRecord(first) ? [[name, { type: String(first["type"] ?? "unknown"), help: String(first["help"] ?? "") }]] : [];
    }),
  );
}

export interface TargetCounts {
  up: number;
  down: number;
  unknown: number;
}
export async function targetCounts(signal?: AbortSignal): Promise<TargetCounts> {
  const data = envelope(await request("/api/v1/targets", { params: { state: "active" }, signal }));
  const list = isRecord(data) && Array.isArray(data["activeTargets"]) ? data["activeTargets"] : [];
  const counts = { up: 0, down: 0, unknown: 0 };
  for (const target of list) {
    const health = isRecord(target) ? target["health"] : undefined;
    counts[health === "up" || health === "down" ? health : "unknown"] += 1;
  }
  return counts;
}

export async function headSeries(signal?: AbortSignal): Promise<number | undefined> {
  const data = envelope(await request("/api/v1/status/tsdb", { params: { limit: 1 }, signal }));
  const head = isRecord(data) ? data["headStats"] : undefined;
  const series = isRecord(head) ? head["numSeries"] : undefined;
  return typeof series === "number" ? series : undefined;
}

/** The last `seconds`, its end on a multiple of the step so that points stay where they are between refreshes. */
export function lastSeconds(seconds: number, step: number, nowMs: number = serverNowMs()): RangeAsk {
  const end = Math.floor(nowMs / 1000 / step) * step;
  return { start: end - seconds, end, step };
}

export function ask(path: string, values: Record<string, string | number>, signal?: AbortSignal): Promise<unknown> {
  const long = String(values["query"]).length > ADDRESS_CHARS_MAX;
  return long ? request(path, { method: "POST", form: values, signal }) : request(path, { params: values, signal });
}

function envelope(body: unknown): unknown {
  if (!isRecord(body) || body["status"] !== "success") throw new ApiError("shape", t("the answer has no status \"success\""));
  return body["data"];
}

export function parseAnswer(body: unknown): Answer {
  const data = envelope(body);
  const list = (key: string): string[] => (isRecord(body) && Array.isArray(body[key]) ? body[key].map(String) : []);
  const [warnings, infos] = [list("warnings"), list("infos")];
  if (!isRecord(data)) throw new ApiError("shape", t("the answer has no data"));
  const result = data["result"];
  if (!Array.isArray(result)) throw new ApiError("shape", t("the answer has no result"));
  switch (data["resultType"]) {
    case "vector":
      return { type: "vector", items: result.flatMap(vectorItem), warnings, infos };
    case "matrix":
      return { type: "matrix", items: result.flatMap(matrixItem), warnings, infos };
    case "scalar":
    case "string":
      return { type: data["resultType"], time: Number(result[0]), text: String(result[1]), warnings, infos };
    default:
      throw new ApiError("shape", t("the answer has the unknown type {0}", String(data["resultType"])));
  }
}

function vectorItem(item: unknown): VectorItem[] {
  if (!isRecord(item)) return [];
  const pair = item["value"];
  if (Array.isArray(pair)) {
    return [{ labels: labelsOf(item), time: Number(pair[0]), value: sampleValue(pair[1]), text: String(pair[1]) }];
  }
  const pairOf = item["histogram"];
  const histogram = Array.isArray(pairOf) ? histogramValue(pairOf[1]) : undefined;
  if (!Array.isArray(pairOf) || !histogram) return [];
  return [{ labels: labelsOf(item), time: Number(pairOf[0]), value: Number.NaN, text: JSON.stringify(pairOf[1]), histogram }];
}

/** A series has values, histograms, or first the ones and then the others. */
function matrixItem(item: unknown): MatrixItem[] {
  if (!isRecord(item)) return [];
  const { values, histograms } = item;
  if (!Array.isArray(values) && !Array.isArray(histograms)) return [];
  const points = (Array.isArray(values) ? values : []).map((pair: unknown): Point => {
    const [time, value] = Array.isArray(pair) ? pair : [];
    return [Number(time), sampleValue(value)];
  });
  const found = { labels: labelsOf(item), points };
  if (!Array.isArray(histograms)) return [found];
  const read = histograms.flatMap((pair: unknown): [number, HistogramValue][] => {
    const histogram = Array.isArray(pair) ? histogramValue(pair[1]) : undefined;
    return Array.isArray(pair) && histogram ? [[Number(pair[0]), histogram]] : [];
  });
  return [{ ...found, histograms: read }];
}

function histogramValue(value: unknown): HistogramValue | undefined {
  if (!isRecord(value)) return undefined;
  const list = Array.isArray(value["buckets"]) ? value["buckets"] : [];
  // A bucket is how its bounds count, both bounds, and its count.
  const buckets = list.flatMap((it: unknown) =>
    Array.isArray(it) ? [{ low: sampleValue(it[1]), high: sampleValue(it[2]), count: sampleValue(it[3]) }] : [],
  );
  return { count: sampleValue(value["count"]), sum: sampleValue(value["sum"]), buckets };
}

function labelsOf(item: Record<string, unknown>): LabelSet {
  const metric = item["metric"];
  if (!isRecord(metric)) return {};
  return Object.fromEntries(Object.entries(metric).map(([key, value]) => [key, String(value)]));
}

/** Sample values travel as text, with Go's names for the three that JSON has not. */
export function sampleValue(text: unknown): number {
  if (text === "+Inf" || text === "Inf") return Number.POSITIVE_INFINITY;
  if (text === "-Inf") return Number.NEGATIVE_INFINITY;
  return Number(text);
}
