// Asks what else changed in a window of time: metrics that moved, alerts that began, programs that began anew, log lines of errors. Each by
// itself, so that what fails is said and the rest is there. Not the order of metrics (rank.ts), and not the looks.
import { type LabelSet, metricMetadata, parseAnswer, query, type VectorItem } from "../../api/prometheus";
import { isRecord, request } from "../../api/request";
import { askAll, type Query } from "../sources/ask";
import type { Range } from "../variables/time";
import { type Candidate, candidates, exprOf, matchersOf, METRICS_MAX, type Moved, scopeOf, scoreQuery, sides, TOLD_MAX } from "./rank";
import { t } from "../../words/t";

const ROWS_MAX = 20;

export interface Metrics {
  moved: Moved[];
  /** Metrics that were compared, that there were, and whose comparison failed. */
  compared: number;
  all: number;
  failed: number;
  /** Why one of those failed. */
  why: string;
  scope: string;
}

const namesOf = (body: unknown): string[] => (isRecord(body) && Array.isArray(body["data"]) ? body["data"].map(String) : []);

/** Matchers for what belongs to a chart: the labels of its series, else of the metrics that its queries name. */
async function scopeFor(series: readonly LabelSet[], exprs: readonly string[], times: Record<string, number>, signal: AbortSignal): Promise<string> {
  const own = scopeOf(series);
  const named = [...new Set(exprs.flatMap((it) => it.replace(/"[^"]*"/g, "").match(/[a-zA-Z_:][\w:]*/g) ?? []))].filter((it) => it.includes("_")).slice(0, 20);
  if (own !== "" || named.length === 0) return own;
  const values = async (label: string): Promise<LabelSet[]> => namesOf(await request(`/api/v1/label/${label}/values`, { params: { ...times, "match[]": `{__name__=~"${named.join("|")}"}` }, signal })).map((it) => ({ [label]: it }));
  return scopeOf((await Promise.all(["job", "instance"].map(values))).flat());
}

export async function movedMetrics(series: readonly LabelSet[], exprs: readonly string[], window: Range, signal: AbortSignal): Promise<Metrics> {
  const seconds = Math.round((window.to - window.from) / 1000);
  const times = { start: window.from / 1000 - seconds, end: window.to / 1000 };
  const scope = await scopeFor(series, exprs, times, signal);
  const [body, metadata] = await Promise.all([request("/api/v1/label/__name__/values", { params: { ...times, "match[]": `{${scope === "" ? '__name__!=""' : scope}}` }, signal }), metricMetadata(signal).catch(() => new Map())]);
  const all = candidates(namesOf(body), metadata);
  const asked = all.slice(0, METRICS_MAX);
  const found: { candidate: Candidate; item: VectorItem }[] = [];
  let failed = 0;
  let why = "";
  await vectors(asked.map((it) => scoreQuery(it, scope, seconds)), window, signal, (at, items, error) => {
    const candidate = asked[at];
    if (!items || !candidate) [failed, why] = [failed + 1, why || error];
    else for (const item of items) found.push({ candidate, item });
  });
  const best = found.filter(({ item }) => Number.isFinite(item.value)).sort((a, b) => b.item.value - a.item.value).slice(0, TOLD_MAX);
  const moved = best.map(({ candidate, item }): Moved => ({ expr: exprOf(candidate, item.labels), labels: { ...item.labels, __name__: candidate.name }, score: item.value, before: undefined, now: undefined }));
  const figures = best.flatMap(({ candidate, item }) => {
    const { now, before } = sides(candidate, matchersOf(item.labels), seconds);
    return [before, now];
  });
  await vectors(figures, window, signal, (at, items) => {
    const it = moved[Math.floor(at / 2)];
    if (it) it[at % 2 === 0 ? "before" : "now"] = items?.[0]?.value;
  });
  return { moved, compared: asked.length, all: all.length, failed, why, scope };
}

/** The answers of many queries at the end of the window, in batches; nothing for one that fails. */
async function vectors(exprs: readonly string[], window: Range, signal: AbortSignal, each: (at: number, items: VectorItem[] | undefined, error: string) => void): Promise<void> {
  const queries = exprs.map((expr, at): Query => ({ ref: String(at), kind: "prometheus", expr, type: "instant", stepMs: 1000, points: 1, range: window }));
  await askAll(queries, (ref, reply) => each(Number(ref), reply.ok && "answer" in reply && reply.answer.type === "vector" ? reply.answer.items : undefined, reply.ok ? t("no vector came") : reply.error), signal);
}

async function items(expr: string, window: Range, signal: AbortSignal): Promise<VectorItem[]> {
  const answer = await query(expr, signal, window.to / 1000);
  return answer.type === "vector" ? answer.items.slice(0, ROWS_MAX) : [];
}

/** Alerts that fire in the window and did not before it. */
export function begunAlerts(window: Range, signal: AbortSignal): Promise<VectorItem[]> {
  const span = `${Math.round((window.to - window.from) / 1000)}s`;
  const firing = `last_over_time(ALERTS{alertstate="firing"}[${span}]`;
  return items(`${firing}) unless ${firing} offset ${span})`, window, signal);
}

/** Programs and machines whose time of starting lies in the window; the value is that time. */
export function restarts(window: Range, signal: AbortSignal): Promise<VectorItem[]> {
  const [from, to] = [window.from / 1000, window.to / 1000];
  return items(`last_over_time({__name__=~"process_start_time_seconds|node_boot_time_seconds"}[${Math.round(to - from)}s]) >= ${from} <= ${to}`, window, signal);
}

/** Lines of errors by service, now and before, where there are more. */
export async function errorLines(window: Range, signal: AbortSignal): Promise<{ service: string; expr: string; now: number; before: number }[]> {
  const seconds = Math.round((window.to - window.from) / 1000);
  const lines = '{service_name=~".+"} | detected_level=~"error|critical|fatal"';
  const ask = async (offset: string): Promise<Map<string, number>> => {
    const body = await request("/loki/api/v1/query", { params: { query: `topk(${ROWS_MAX * 5}, sum by (service_name) (count_over_time(${lines} [${seconds}s]${offset})))`, time: `${Math.round(window.to)}000000` }, signal });
    const answer = parseAnswer(body);
    return new Map(answer.type === "vector" ? answer.items.map((it) => [it.labels["service_name"] ?? "", it.value]) : []);
  };
  const [now, before] = await Promise.all([ask(""), ask(` offset ${seconds}s`)]);
  return [...now].map(([service, count]) => ({ service, expr: lines.replace('=~".+"', `=${JSON.stringify(service)}`), now: count, before: before.get(service) ?? 0 })).filter((it) => it.now > it.before).sort((a, b) => b.now - b.before - (a.now - a.before)).slice(0, ROWS_MAX);
}
