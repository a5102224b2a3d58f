// Annotations of a board: moments and stretches of time that a query of metrics or logs finds. Not their drawing.
import { parseLogAnswer } from "../../api/loki";
import { queryRange } from "../../api/prometheus";
import { isRecord, request } from "../../api/request";
import type { AnnotationQuery } from "../model/types";
import { num, text, texts } from "../model/values";
import { sourceFor, type Setting } from "../sources/questions";
import { interpolate } from "../variables/interpolate";
import { intervalMs, lengthMs } from "../variables/time";
import type { Annotation } from "./data";
import { t } from "../../words/t";

const POINTS = 500;
/** More marks than this hide what they mark. */
const ANNOTATIONS_MAX = 200;

export async function annotationsOf(query: AnnotationQuery, setting: Setting, signal: AbortSignal): Promise<{ found: Annotation[]; finding?: string }> {
  const source = sourceFor(query.source, setting);
  if (query.builtIn || source.kind === "grafana") return cut(await noted(query, setting, signal), query);
  if (query.expr.trim() === "") return { found: [], finding: t("the annotations {0} have no query", query.name) };
  const { range } = setting;
  const expr = interpolate(query.expr, setting.scope, "prometheus");
  if (source.kind === "prometheus") {
    const stepMs = Math.max(intervalMs(range, POINTS, 1000), lengthMs(interpolate(query.step, setting.scope)) ?? 0);
    const items = await queryRange(expr, { start: Math.floor(range.from / stepMs) * (stepMs / 1000), end: Math.floor(range.to / stepMs) * (stepMs / 1000), step: stepMs / 1000 }, signal);
    const found = items.flatMap(({ labels, points }) => stretches(points.filter(([, value]) => value !== 0 && !Number.isNaN(value)).map(([time]) => time * 1000), stepMs).map(([from, to]) => made(query, labels, from, to)));
    return cut(found, query);
  }
  if (source.kind === "loki") {
    const body = await request("/loki/api/v1/query_range", { params: { query: expr, start: `${Math.round(range.from)}000000`, end: `${Math.round(range.to)}000000`, limit: ANNOTATIONS_MAX, direction: "backward" }, signal });
    const answer = parseLogAnswer(body, "backward");
    if (answer.type !== "lines") return { found: [], finding: t("the annotations {0} ask for numbers, not for lines", query.name) };
    return cut(answer.entries.map((it) => ({ ...made(query, { ...it.labels, ...it.parsed }, it.ms, it.ms), text: query.textFormat === "" ? it.line : filled(query.textFormat, { ...it.labels, line: it.line }) })), query);
  }
  return { found: [], finding: t("annotations of {0} are not supported", source.name) };
}

/** What people and scripts noted here, by its tags, or of this board. */
async function noted({ name, color, tags, anyTag }: AnnotationQuery, { board, range, scope }: Setting, signal: AbortSignal): Promise<Annotation[]> {
  const asked = new URLSearchParams({ from: String(Math.round(range.from)), to: String(Math.round(range.to)), limit: String(ANNOTATIONS_MAX + 1), matchAny: String(anyTag) });
  for (const it of tags) asked.append("tags", interpolate(it, scope));
  if (!tags.length) asked.set("dashboardUID", board.uid);
  const list = await request(`/api/annotations?${asked}`, { signal });
  const found = Array.isArray(list) ? list.filter(isRecord) : [];
  return found.map((it) => ({ name, color: color || "red", from: num(it, "time") ?? 0, to: num(it, "timeEnd") ?? 0, title: name, text: text(it, "text"), tags: texts(it, "tags"), panel: tags.length ? 0 : num(it, "panelId") }));
}

function cut(found: Annotation[], { name }: AnnotationQuery): { found: Annotation[]; finding?: string } {
  const kept = found.slice(0, ANNOTATIONS_MAX);
  return found.length > kept.length ? { found: kept, finding: t("the first {0} of {1} annotations {2} are drawn", ANNOTATIONS_MAX, found.length, name) } : { found: kept };
}

function made(query: AnnotationQuery, labels: Record<string, string>, from: number, to: number): Annotation {
  const tags = query.tagKeys.flatMap((it) => (labels[it] === undefined ? [] : [labels[it]]));
  return { name: query.name, color: query.color || "red", from, to, title: filled(query.titleFormat, labels) || query.name, text: filled(query.textFormat, labels), tags };
}

function filled(format: string, labels: Record<string, string>): string {
  return format.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, name: string) => labels[name] ?? "");
}

/** Moments that follow each other by a step are one stretch. */
export function stretches(times: readonly number[], stepMs: number): [number, number][] {
  const found: [number, number][] = [];
  for (const time of times) {
    const last = found.at(-1);
    if (last && time - last[1] <= stepMs * 1.5) last[1] = time;
    else found.push([time, time]);
  }
  return found;
}
