// Rules over HTTP: groups, how their last evaluations went, and the alerts that they hold. Not who is told of those (alerts.ts).
import { labelsIn, numberIn, recordIn, recordsIn, textIn } from "./fields";
import type { LabelSet } from "./prometheus";
import { ApiError, isRecord, request } from "./request";
import { t } from "../words/t";

export type RuleState = "firing" | "pending" | "inactive";
export interface RuleAlert {
  labels: LabelSet;
  annotations: LabelSet;
  state: RuleState;
  activeAt: string | null;
  /** The condition is over, and it fires on for a while. */
  keepFiringSince: string | null;
  value: string;
}
export interface Rule {
  name: string;
  recording: boolean;
  query: string;
  /** Of a recording rule there is none. */
  state: RuleState | null;
  health: "ok" | "err" | "unknown";
  lastError: string | null;
  evaluationSeconds: number | null;
  lastEvaluation: string | null;
  forSeconds: number;
  keepFiringSeconds: number;
  labels: LabelSet;
  annotations: LabelSet;
  alerts: RuleAlert[];
}
export interface RuleGroup {
  name: string;
  file: string;
  /** Of all its expressions. */
  language: "promql" | "logql";
  intervalSeconds: number | null;
  limit: number;
  evaluationSeconds: number | null;
  lastEvaluation: string | null;
  rules: Rule[];
}

/** All groups, those over logs among them, or only their alerting rules. */
export async function ruleGroups(signal?: AbortSignal, alertingOnly = false): Promise<RuleGroup[]> {
  return parseRuleGroups(await request("/api/v1/rules", { params: alertingOnly ? { logs: "true", type: "alert" } : { logs: "true" }, signal }));
}

export function parseRuleGroups(body: unknown): RuleGroup[] {
  const data = isRecord(body) ? body["data"] : undefined;
  if (!isRecord(data) || !Array.isArray(data["groups"])) throw new ApiError("shape", t("/api/v1/rules answered without groups"));
  return recordsIn(data, "groups").map((it) => ({
    name: textIn(it, "name") ?? "",
    file: textIn(it, "file") ?? "",
    language: it["language"] === "logql" ? "logql" : "promql",
    intervalSeconds: numberIn(it, "interval"),
    limit: numberIn(it, "limit") ?? 0,
    evaluationSeconds: numberIn(it, "evaluationTime"),
    lastEvaluation: momentIn(it, "lastEvaluation"),
    rules: recordsIn(it, "rules").map(parseRule),
  }));
}

function parseRule(fields: Record<string, unknown>): Rule {
  const recording = fields["type"] === "recording";
  const health = textIn(fields, "health");
  return {
    name: textIn(fields, "name") ?? "",
    recording,
    query: textIn(fields, "query") ?? "",
    state: recording ? null : stateIn(fields),
    health: health === "ok" || health === "err" ? health : "unknown",
    lastError: textIn(fields, "lastError"),
    evaluationSeconds: numberIn(fields, "evaluationTime"),
    lastEvaluation: momentIn(fields, "lastEvaluation"),
    forSeconds: numberIn(fields, "duration") ?? 0,
    keepFiringSeconds: numberIn(fields, "keepFiringFor") ?? 0,
    labels: labelsIn(fields, "labels"),
    annotations: labelsIn(fields, "annotations"),
    alerts: recordsIn(fields, "alerts").map((it) => ({
      labels: labelsIn(it, "labels"),
      annotations: labelsIn(it, "annotations"),
      state: stateIn(it),
      activeAt: momentIn(it, "activeAt"),
      keepFiringSince: momentIn(it, "keepFiringSince"),
      value: textIn(it, "value") ?? "",
    })),
  };
}

function stateIn(fields: Record<string, unknown>): RuleState {
  const state = fields["state"];
  return state === "firing" || state === "pending" ? state : "inactive";
}

/** The zero time of Go means never. */
function momentIn(fields: Record<string, unknown>, key: string): string | null {
  const text = textIn(fields, key);
  return text === null || text.startsWith("0001-01-01") ? null : text;
}

/** Alertmanagers outside that our rules tell. */
export async function outsideAlertmanagers(signal?: AbortSignal): Promise<string[]> {
  const body = await request("/api/v1/alertmanagers", { signal });
  const data = isRecord(body) ? recordIn(body, "data") : {};
  return recordsIn(data, "activeAlertmanagers").flatMap((it) => textIn(it, "url") ?? []);
}
