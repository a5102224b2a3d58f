// All questions of a board's panels for one refresh in one request, or one by one where the server has no such route. Not what panels
// make of the answers (panel.ts).
import { parseAnswer, type Answer } from "../../api/prometheus";
import { type LogAnswer, parseLogAnswer } from "../../api/loki";
import { recordsIn } from "../../api/fields";
import { ApiError, isRecord, request } from "../../api/request";
import type { Range } from "../variables/time";
import { t } from "../../words/t";

export interface Query {
  /** Its own among those of a refresh. */
  ref: string;
  kind: "prometheus" | "loki";
  expr: string;
  type: "range" | "instant";
  stepMs: number;
  points: number;
  /** Lines of logs, at most. */
  limit?: number | undefined;
  backward?: boolean | undefined;
  range: Range;
}
export type Reply = { ok: true; answer: Answer } | { ok: true; logs: LogAnswer } | { ok: false; error: string };

/** The server takes no more at once. */
const BATCH_MAX = 100;
const SINGLE_AT_ONCE = 6;
const ROUTE = "/api/dashboards/query";
/** Learnt once: a server without the route is asked one by one from then on. */
let batched = true;

export async function askAll(queries: readonly Query[], each: (ref: string, reply: Reply) => void, signal: AbortSignal): Promise<void> {
  const groups = new Map<string, Query[]>();
  for (const query of queries) {
    const key = `${query.range.from} ${query.range.to}`;
    groups.set(key, [...(groups.get(key) ?? []), query]);
  }
  const batches = [...groups.values()].flatMap((group) => Array.from({ length: Math.ceil(group.length / BATCH_MAX) }, (_, at) => group.slice(at * BATCH_MAX, (at + 1) * BATCH_MAX)));
  for (const batch of batches) await askBatch(batch, each, signal);
}

async function askBatch(batch: readonly Query[], each: (ref: string, reply: Reply) => void, signal: AbortSignal): Promise<void> {
  // One question needs no wrapping, and logs say by themselves how many lines and from which end.
  const [plain, own] = [batch.filter((it) => it.limit === undefined), batch.filter((it) => it.limit !== undefined)];
  const replies = batched ? await together(plain, signal) : undefined;
  if (replies) for (const query of plain) each(query.ref, replies(query));
  await singly(replies ? own : batch, each, signal);
}

/** The reply to each query of one request; nothing where the server has no such route. */
async function together(queries: readonly Query[], signal: AbortSignal): Promise<((query: Query) => Reply) | undefined> {
  const [first] = queries;
  if (!first) return undefined;
  // From a multiple of the longest step on, points stay where they are between refreshes.
  const grid = queries.reduce((most, it) => Math.max(most, it.type === "range" ? it.stepMs : 0), 1);
  const from = Math.floor(first.range.from / grid) * grid;
  try {
    const body = await request(ROUTE, { method: "POST", json: { from, to: Math.round(first.range.to), queries: queries.map(asked) }, signal });
    const results = new Map(recordsIn(isRecord(body) ? body : {}, "results").map((it) => [String(it["ref"]), it]));
    return (query) => replyOf(query, results.get(query.ref));
  } catch (error) {
    if (signal.aborted) throw error;
    if (error instanceof ApiError && (error.status === 404 || error.status === 405)) {
      batched = false;
      return undefined;
    }
    const message = error instanceof Error ? error.message : String(error);
    return () => ({ ok: false, error: message });
  }
}

function asked({ ref, kind, expr, type, stepMs, points }: Query): Record<string, unknown> {
  return { ref, kind, expr, type, step: `${stepMs / 1000}s`, max_points: points };
}

function replyOf(query: Query, result: Record<string, unknown> | undefined): Reply {
  if (!result) return { ok: false, error: t("the server did not answer this query") };
  if (result["status"] !== "success") return { ok: false, error: String(result["error"] ?? t("the server gave no reason")) };
  return parsed(query, { status: "success", data: result["data"], warnings: result["warnings"] });
}

function parsed(query: Query, body: unknown): Reply {
  try {
    const data = isRecord(body) && isRecord(body["data"]) ? body["data"] : {};
    if (data["resultType"] === "streams") return { ok: true, logs: parseLogAnswer(body, query.backward === false ? "forward" : "backward") };
    return { ok: true, answer: parseAnswer(body) };
  } catch (error) {
    return { ok: false, error: error instanceof Error ? error.message : String(error) };
  }
}

async function singly(queries: readonly Query[], each: (ref: string, reply: Reply) => void, signal: AbortSignal): Promise<void> {
  const waiting = [...queries];
  const worker = async (): Promise<void> => {
    for (let query = waiting.shift(); query; query = waiting.shift()) each(query.ref, await single(query, signal));
  };
  await Promise.all(Array.from({ length: Math.min(SINGLE_AT_ONCE, waiting.length) }, worker));
}

async function single(query: Query, signal: AbortSignal): Promise<Reply> {
  const { kind, expr, type, range, stepMs, limit, backward } = query;
  const loki = kind === "loki";
  const root = loki ? "/loki/api/v1" : "/api/v1";
  const step = stepMs / 1000;
  const moment = (ms: number): number | string => (loki ? `${Math.round(ms)}000000` : ms / 1000);
  const values: Record<string, string | number> =
    type === "instant" ? { query: expr, time: moment(range.to) } : { query: expr, start: moment(Math.floor(range.from / stepMs) * stepMs), end: moment(Math.floor(range.to / stepMs) * stepMs), step: loki ? `${step}s` : step };
  if (type === "range" && limit !== undefined) Object.assign(values, { start: moment(range.from), end: moment(range.to), limit, direction: backward === false ? "forward" : "backward" });
  try {
    const headers = loki ? { "x-loki-response-encoding-flags": "categorize-labels" } : {};
    return parsed(query, await request(`${root}/${type === "instant" ? "query" : "query_range"}`, { method: "POST", form: values, headers, signal }));
  } catch (error) {
    if (signal.aborted) throw error;
    return { ok: false, error: error instanceof Error ? error.message : String(error) };
  }
}
