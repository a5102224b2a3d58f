// What the page Explore keeps in the address: panes with a data source and a query each, in the form that Grafana's links have, so that
// theirs lead here, too. Not the asking.
import { isRecord } from "../../api/request";
import type { Fields } from "../../dashboards/model/types";
import { part, parts, text } from "../../dashboards/model/values";
import { t } from "../../words/t";

export type Source = "prometheus" | "loki" | "tempo" | "grafana-pyroscope-datasource";
export const SOURCES: readonly { type: Source; name: string; hint: string }[] = [
  { type: "prometheus", name: "Prometheus", hint: t("PromQL, e.g. rate(node_network_receive_bytes_total[5m])") },
  { type: "loki", name: "Loki", hint: t('LogQL, e.g. {job="web"} |= "error"') },
  { type: "tempo", name: "Tempo", hint: t('a trace\'s id, or { resource.service.name = "backend" }') },
];
export interface Pane {
  source: Source;
  expr: string;
}
export interface Explore {
  panes: Pane[];
  from: string;
  to: string;
}
/** More than this side by side cannot be read. */
export const PANES_MAX = 4;

export function exploreOf(params: URLSearchParams): Explore {
  const given = [...Object.values(record(params.get("panes"))), ...["left", "right"].map((it) => parsed(params.get(it)))];
  const read = given.flatMap((it): { pane: Pane; range: Fields }[] => (isRecord(it) ? [paneOf(it)] : Array.isArray(it) ? [oldPane(it)] : []));
  const panes = read.map((it) => it.pane).slice(0, PANES_MAX);
  const range = read[0]?.range ?? {};
  return { panes: panes.length > 0 ? panes : [{ source: "loki", expr: "" }], from: text(range, "from", "now-1h"), to: text(range, "to", "now") };
}

function parsed(value: string | null): unknown {
  try {
    return value === null ? undefined : JSON.parse(value);
  } catch {
    return undefined;
  }
}

function record(value: string | null): Fields {
  const read = parsed(value);
  return isRecord(read) ? read : {};
}

function paneOf(fields: Fields): { pane: Pane; range: Fields } {
  const [query = {}] = parts(fields, "queries");
  const named = text(part(query, "datasource"), "type") || text(fields, "datasource");
  const expr = text(query, "expr") || text(query, "query");
  return { pane: { source: sourceOf(named, expr), expr }, range: part(fields, "range") };
}

/** `left=["now-1h","now","Loki",{"expr":"…"}]` of before version 8. */
function oldPane([from, to, named, query]: unknown[]): { pane: Pane; range: Fields } {
  const expr = isRecord(query) ? text(query, "expr") || text(query, "query") : "";
  return { pane: { source: sourceOf(String(named ?? ""), expr), expr }, range: { from, to } };
}

/** By type or name; else by what the query looks like. */
function sourceOf(named: string, expr: string): Source {
  if (/loki/i.test(named)) return "loki";
  if (/tempo|jaeger|zipkin/i.test(named)) return "tempo";
  if (/pyroscope/i.test(named)) return "grafana-pyroscope-datasource";
  if (/prom|mimir/i.test(named)) return "prometheus";
  return expr.trimStart().startsWith("{") && expr.includes("|") ? "loki" : "prometheus";
}

export function addressOf({ panes, from, to }: Explore): string {
  const made = Object.fromEntries(panes.map(({ source, expr }, at) => [`p${at + 1}`, { datasource: source, queries: [{ refId: "A", expr, datasource: { type: source } }], range: { from, to } }]));
  return `/explore?${new URLSearchParams({ schemaVersion: "1", panes: JSON.stringify(made) }).toString()}`;
}

/** A dashboard of one panel, which is what a pane shows. */
export function boardOf({ source, expr }: Pane): Fields {
  const lines = source === "loki" && expr.trimStart().startsWith("{");
  const type = lines ? "logs" : source === "tempo" ? "traces" : "timeseries";
  const target = source === "tempo" ? { query: expr } : { expr, legendFormat: "__auto" };
  const options = lines ? { showTime: true, wrapLogMessage: true, sortOrder: "Descending" } : { legend: { showLegend: true, displayMode: "list", placement: "bottom", calcs: ["lastNotNull"] }, tooltip: { mode: "multi", sort: "desc" } };
  return { title: "Explore", panels: [{ id: 1, type, title: expr, gridPos: { x: 0, y: 0, w: 24, h: 10 }, datasource: { type: source }, targets: [{ refId: "A", ...target }], options, fieldConfig: { defaults: { unit: "short", custom: {} }, overrides: [] } }] };
}
