// What a panel asks for: its targets with variables put in, with interval, format and legend, per data source. Not the asking (ask.ts).
import type { Board, Fields, Panel, SourceRef, Target } from "../model/types";
import { flag, num, text } from "../model/values";
import { interpolate, type Scope } from "../variables/interpolate";
import { intervalMs, lengthMs, type Range, rangeOf } from "../variables/time";
import type { AdhocFilter } from "../variables/resolve";
import { withFilters } from "./adhoc";
import type { Query } from "./ask";
import { type Found, type Kind, kindOf, type KnownSource } from "./kinds";
import type { Asked, Shape } from "./prometheus";
import { t } from "../../words/t";

/** One question to a face other than those of metrics and logs. */
export interface OtherQuestion {
  kind: Exclude<Kind, "prometheus" | "loki" | "mixed" | "unknown">;
  refId: string;
  raw: Fields;
}
export interface Questions {
  queries: Query[];
  /** What was asked, by the query's name. */
  asked: Map<string, Asked>;
  others: OtherQuestion[];
  findings: string[];
  /** Where a target cannot be asked at all. */
  problems: { refId: string; message: string }[];
  range: Range;
  intervalMs: number;
}
export interface Setting {
  board: Board;
  scope: Scope;
  range: Range;
  known: readonly KnownSource[];
  filters: readonly AdhocFilter[];
  /** Pixels, which are the most points that can be seen. */
  width: number;
  scrapeMs: number;
  nowMs: number;
}

const LINES_DEFAULT = 1000;
const WIDTH_POINTS_MIN = 100;

function rangeOfPanel(panel: Panel, setting: Setting): Range {
  const { range, board, nowMs } = setting;
  const from = interpolate(panel.timeFrom, setting.scope);
  const shifted = interpolate(panel.timeShift, setting.scope);
  const own = from === "" ? range : rangeOf(from.startsWith("now") ? from : `now-${from}`, "now", nowMs, board.utc);
  const back = shifted === "" ? 0 : (lengthMs(shifted) ?? 0);
  return back === 0 ? own : { from: own.from - back, to: own.to - back };
}

export function questionsOf(panel: Panel, key: string, setting: Setting): Questions {
  const range = rangeOfPanel(panel, setting);
  const points = panel.maxDataPoints ?? Math.max(WIDTH_POINTS_MIN, Math.round(setting.width));
  const least = lengthMs(interpolate(panel.interval, setting.scope)) ?? 0;
  const interval = intervalMs(range, points, Math.max(least, 1000));
  const found: Questions = { queries: [], asked: new Map(), others: [], findings: [], problems: [], range, intervalMs: interval };
  const panelSource = sourceFor(panel.source, setting);
  for (const target of panel.targets) {
    if (target.hide) continue;
    const source = panelSource.kind === "mixed" || target.source ? sourceFor(target.source ?? panel.source, setting) : panelSource;
    ask(found, panel, target, panelSource.kind === "dashboard" ? panelSource : source, key, points, setting);
  }
  if (panel.type !== "timeseries" && panel.targets.some((it) => flag(it.raw, "exemplar"))) found.findings.push(t("exemplars are drawn on charts over time only"));
  return found;
}

export function sourceFor(source: SourceRef | undefined, { known, board, scope }: Setting): Found {
  return kindOf(source, known, board, (it) => interpolate(it, scope));
}

function ask(found: Questions, panel: Panel, target: Target, source: Found, key: string, points: number, setting: Setting): void {
  const { refId, raw } = target;
  switch (source.kind) {
    case "prometheus":
      return metrics(found, panel, target, key, points, setting);
    case "loki":
      return logs(found, target, panel, key, points, setting);
    case "mixed":
    case "unknown":
      found.problems.push({ refId, message: t("the data source {0} is of a kind that this server does not answer for", source.name) });
      return;
    case "grafana":
      if (text(raw, "queryType") !== "" && text(raw, "queryType") !== "list") found.problems.push({ refId, message: t("Grafana's own data ({0}) is not there: this server is not Grafana", text(raw, "queryType")) });
      return;
    default:
      found.others.push({ kind: source.kind, refId, raw });
  }
}

function metrics(found: Questions, panel: Panel, { refId, raw }: Target, key: string, points: number, setting: Setting): void {
  const expr = text(raw, "expr") || text(raw, "query");
  if (expr.trim() === "") return;
  const least = lengthMs(interpolate(text(raw, "interval"), setting.scope)) ?? 0;
  const factor = Math.max(1, num(raw, "intervalFactor") ?? 1);
  const wanted = Math.max(found.intervalMs, intervalMs(found.range, points, Math.max(least, 1000))) * factor;
  const step = (num(raw, "step") ?? 0) > 0 && text(raw, "interval") === "" && panel.maxDataPoints === undefined ? Math.max(wanted, (num(raw, "step") ?? 0) * 1000) : wanted;
  const scope: Scope = { ...setting.scope, times: { range: found.range, intervalMs: step, scrapeMs: Math.max(setting.scrapeMs, least) } };
  const written = withFilters(interpolate(expr, scope, "prometheus"), setting.filters.map((it) => ({ ...it, value: interpolate(it.value, scope, "text") })));
  const format = text(raw, "format", "time_series") as Shape;
  // Old tables and single stats mean one moment where they say nothing else.
  const instant = flag(raw, "instant") || (text(raw, "queryType") === "instant" && !flag(raw, "range"));
  const both = instant && flag(raw, "range");
  const shiftMs = panel.timeShift === "" ? 0 : setting.range.to - found.range.to;
  const add = (type: "range" | "instant", name: string): void => {
    found.queries.push({ ref: name, kind: "prometheus", expr: written, type, stepMs: step, points, range: found.range });
    found.asked.set(name, { refId, legend: interpolate(text(raw, "legendFormat"), scope), expr: written, format, instant: type === "instant", exemplar: type === "range" && panel.type === "timeseries" && flag(raw, "exemplar"), shiftMs: panel.timeFrom === "" ? shiftMs : 0 });
  };
  if (!instant || both) add("range", `${key}/${refId}`);
  if (instant) add("instant", `${key}/${refId}${both ? "/instant" : ""}`);
}

function logs(found: Questions, { refId, raw }: Target, panel: Panel, key: string, points: number, setting: Setting): void {
  const expr = text(raw, "expr");
  if (expr.trim() === "") return;
  const resolution = Math.max(1, num(raw, "resolution") ?? 1);
  const step = lengthMs(interpolate(text(raw, "step"), setting.scope)) ?? found.intervalMs * resolution;
  const scope: Scope = { ...setting.scope, times: { range: found.range, intervalMs: step, scrapeMs: setting.scrapeMs } };
  const written = withFilters(interpolate(expr, scope, "prometheus").replace(/\$__auto/g, `${Math.max(1, Math.round(step / 1000))}s`), setting.filters, "logql");
  const instant = flag(raw, "instant") || text(raw, "queryType") === "instant";
  const lines = written.trimStart().startsWith("{");
  const name = `${key}/${refId}`;
  const forward = text(raw, "direction") === "forward" || text(panel.options, "sortOrder") === "Ascending";
  found.queries.push({ ref: name, kind: "loki", expr: written, type: instant && !lines ? "instant" : "range", stepMs: step, points, range: found.range, ...(lines ? { limit: num(raw, "maxLines") ?? LINES_DEFAULT, backward: !forward || text(raw, "direction") !== "forward" } : {}) });
  found.asked.set(name, { refId, legend: interpolate(text(raw, "legendFormat"), scope), expr: written, format: text(raw, "format", "time_series") as Shape, instant, exemplar: false, shiftMs: 0 });
}
