// Traces, profiles and alerts for panels, by the faces that the pages for these use. Not their looks.
import { type Alert, alertGroups } from "../../api/alerts";
import { findTraces, traceOf, type Trace } from "../../api/jaeger";
import { render } from "../../api/pyroscope";
import { field, type Frame } from "../fields/frame";
import type { Fields } from "../model/types";
import { num, parts, text } from "../model/values";
import { interpolate, type Scope } from "../variables/interpolate";
import type { Range } from "../variables/time";
import type { OtherQuestion } from "./questions";
import { t } from "../../words/t";

const TRACES_DEFAULT = 20;

export async function askOther(question: OtherQuestion, scope: Scope, range: Range, signal: AbortSignal): Promise<{ frames: Frame[]; findings: string[] }> {
  switch (question.kind) {
    case "tempo":
      return traces(question, scope, range, signal);
    case "pyroscope":
      return profile(question, scope, range, signal);
    case "alertmanager":
      return { frames: [alerts(await alertGroups(signal).then((it) => it.flatMap((group) => group.alerts)), question.refId)], findings: [] };
    default:
      return { frames: [], findings: [] };
  }
}

async function traces({ refId, raw }: OtherQuestion, scope: Scope, range: Range, signal: AbortSignal): Promise<{ frames: Frame[]; findings: string[] }> {
  const write = (key: string): string => interpolate(text(raw, key), scope).trim();
  const query = write("query");
  const id = query.replace(/^"|"$/g, "");
  if (/^[0-9a-f]{16,32}$/i.test(id)) {
    const found = await traceOf(id, signal);
    return { frames: found ? [traceFrame(found, refId)] : [], findings: [] };
  }
  const service = write("serviceName") || write("service") || filterValue(raw, "service.name") || /resource\.service\.name\s*=\s*"([^"]+)"/.exec(query)?.[1] || "";
  const operation = write("spanName") || write("operation") || filterValue(raw, "name") || /(?:^|[{&\s])name\s*=\s*"([^"]+)"/.exec(query)?.[1] || "";
  if (service === "") throw new Error(t("this question for traces names no service and no trace: only those two, an operation and lengths of time are understood"));
  const params: Record<string, string | number> = { service, start: Math.round(range.from * 1000), end: Math.round(range.to * 1000), limit: num(raw, "limit") ?? TRACES_DEFAULT };
  if (operation !== "") params["operation"] = operation;
  if (write("minDuration") !== "") params["minDuration"] = write("minDuration");
  if (write("maxDuration") !== "") params["maxDuration"] = write("maxDuration");
  if (write("tags") !== "") params["tags"] = JSON.stringify(Object.fromEntries(write("tags").split(/\s+/).map((it) => it.split("=") as [string, string])));
  const other = query.replace(/resource\.service\.name\s*=\s*"[^"]*"|(?:^|[{&\s])name\s*=\s*"[^"]*"|[{}&\s]/g, "");
  const findings = other === "" ? [] : [t("of TraceQL only the service and the name of spans are asked for; left out: {0}", other)];
  return { frames: [tracesFrame(await findTraces(params, signal), refId)], findings };
}

function filterValue(raw: Fields, tag: string): string {
  const found = parts(raw, "filters").find((it) => text(it, "tag") === tag);
  const value = found?.["value"];
  return Array.isArray(value) ? String(value[0] ?? "") : typeof value === "string" ? value : "";
}

function tracesFrame(found: readonly Trace[], refId: string): Frame {
  const rows = found.map((trace) => {
    const spans = [...trace.spans].sort((a, b) => a.startUs - b.startUs);
    const root = spans.find((it) => it.references.length === 0) ?? spans[0];
    const end = spans.reduce((most, it) => Math.max(most, it.startUs + it.durationUs), 0);
    return { id: trace.id, start: (spans[0]?.startUs ?? 0) / 1000, service: root?.process.service ?? "", name: root?.name ?? "", duration: (end - (spans[0]?.startUs ?? 0)) / 1000, spans: spans.length };
  });
  const column = <K extends keyof (typeof rows)[number]>(key: K): unknown[] => rows.map((it) => it[key]);
  const duration = { ...field("Duration", "number", column("duration"), refId), config: { unit: "ms" } };
  const id = { ...field("Trace ID", "string", column("id"), refId), config: { links: [{ title: "Trace", url: "/traces/${__value.raw}" }] } };
  return { refId, name: "Traces", kind: "traces", fields: [id, field("Start time", "time", column("start"), refId), field("Service", "string", column("service"), refId), field("Name", "string", column("name"), refId), duration, field("Spans", "number", column("spans"), refId)] };
}

function traceFrame(trace: Trace, refId: string): Frame {
  const { spans } = trace;
  return {
    refId,
    name: trace.id,
    kind: "trace",
    more: trace,
    fields: [
      field("traceID", "string", spans.map(() => trace.id), refId),
      field("spanID", "string", spans.map((it) => it.id), refId),
      field("operationName", "string", spans.map((it) => it.name), refId),
      field("serviceName", "string", spans.map((it) => it.process.service), refId),
      field("startTime", "time", spans.map((it) => it.startUs / 1000), refId),
      { ...field("duration", "number", spans.map((it) => it.durationUs / 1000), refId), config: { unit: "ms" } },
    ],
  };
}

async function profile({ refId, raw }: OtherQuestion, scope: Scope, range: Range, signal: AbortSignal): Promise<{ frames: Frame[]; findings: string[] }> {
  const type = interpolate(text(raw, "profileTypeId"), scope);
  const selector = interpolate(text(raw, "labelSelector", "{}"), scope) || "{}";
  if (type === "") throw new Error(t("this question for a profile names no type of profile"));
  const rendered = await render({ query: `${type}${selector}`, fromMs: range.from, untilMs: range.to }, signal);
  const series = { refId, name: type, fields: [field("Time", "time", rendered.points.map(([time]) => time * 1000), refId), field("Value", "number", rendered.points.map(([, value]) => value), refId, {}, type)] };
  const flame: Frame = { refId, name: type, kind: "profile", more: { flame: rendered.flame, type }, fields: [field("name", "string", rendered.flame.names, refId)] };
  const kind = text(raw, "queryType", "both");
  return { frames: kind === "metrics" ? [series] : kind === "profile" ? [flame] : [flame, series], findings: [] };
}

function alerts(list: readonly Alert[], refId: string): Frame {
  const keys = [...new Set(list.flatMap((it) => Object.keys(it.labels)))].sort();
  return { refId, name: "Alerts", fields: [field("Time", "time", list.map((it) => (it.startsAt === null ? null : Date.parse(it.startsAt))), refId), ...keys.map((key) => field(key, "string", list.map((it) => it.labels[key] ?? ""), refId))] };
}
