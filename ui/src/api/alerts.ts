// The Alertmanager face: alerts by the groups in which people are told of them, silences, and what nobody could be told.
// Not the rules that raise alerts (rules.ts), and not what became of alerts that are over (prometheus.ts).
import { labelsIn, labelsOf, numberIn, recordIn, recordsIn, textIn } from "./fields";
import { type LabelSet, quoted } from "./prometheus";
import { ApiError, isRecord, request } from "./request";
import { t } from "../words/t";

export type MatchOp = "=" | "!=" | "=~" | "!~";
export interface Matcher {
  name: string;
  op: MatchOp;
  value: string;
}
export interface Alert {
  fingerprint: string;
  labels: LabelSet;
  annotations: LabelSet;
  startsAt: string | null;
  updatedAt: string | null;
  receivers: string[];
  /** Silences by their names, alerts by their fingerprints, time intervals by their names. */
  silencedBy: string[];
  inhibitedBy: string[];
  mutedBy: string[];
  /** Where its sender says that it comes from. */
  source: string | null;
}
export interface AlertGroup {
  labels: LabelSet;
  receiver: string;
  alerts: Alert[];
}
export type SilenceState = "active" | "pending" | "expired";
export interface Silence {
  id: string;
  state: SilenceState;
  matchers: Matcher[];
  startsAt: string | null;
  endsAt: string | null;
  by: string;
  comment: string;
}
export interface NewSilence {
  /** Changes that one. */
  id?: string | undefined;
  matchers: readonly Matcher[];
  startsAt: string;
  endsAt: string;
  by: string;
  comment: string;
}
/** A notification that was given up. */
export interface DeadNotification {
  id: string;
  receiver: string;
  integration: string;
  reason: string;
  firstAt: string | null;
  lastAt: string | null;
  times: number | null;
  attempts: number | null;
  alertsCount: number | null;
  alerts: LabelSet[];
}

const DEAD_MAX = 100;

export async function alertGroups(signal?: AbortSignal): Promise<AlertGroup[]> {
  return parseGroups(await request("/api/v2/alerts/groups", { signal }));
}

/** Current alerts that satisfy all matchers, as the server judges it. */
export async function alertsThatMatch(matchers: readonly Matcher[], signal?: AbortSignal): Promise<Alert[]> {
  return list(await request("/api/v2/alerts", { params: { filter: filterOf(matchers) }, signal }), "/api/v2/alerts").map(parseAlert);
}

export async function silences(signal?: AbortSignal): Promise<Silence[]> {
  return list(await request("/api/v2/silences", { signal }), "/api/v2/silences").map(parseSilence);
}

export async function setSilence(silence: NewSilence): Promise<void> {
  const { id, startsAt, endsAt, by, comment } = silence;
  const matchers = silence.matchers.map(({ name, op, value }) => ({ name, value, isEqual: !op.startsWith("!"), isRegex: op.endsWith("~") }));
  await request("/api/v2/silences", { method: "POST", json: { id, matchers, startsAt, endsAt, createdBy: by, comment } });
}

export async function expireSilence(id: string): Promise<void> {
  await request(`/api/v2/silence/${encodeURIComponent(id)}`, { method: "DELETE" });
}

export async function receiverNames(signal?: AbortSignal): Promise<string[]> {
  return list(await request("/api/v2/receivers", { signal }), "/api/v2/receivers").map((it) => textIn(it, "name") ?? "");
}

export async function deadNotifications(signal?: AbortSignal): Promise<{ total: number; letters: DeadNotification[] }> {
  const body = await request("/api/system/notifications/dead-letters", { params: { limit: DEAD_MAX }, signal });
  if (!isRecord(body)) throw new ApiError("shape", t("the dead notifications answered without a list"));
  const letters = recordsIn(body, "items").map(parseDead);
  return { total: numberIn(body, "total") ?? letters.length, letters };
}

/** Matchers as the API's parameter takes them: `{name="value",other=~"a|b"}`. */
export function filterOf(matchers: readonly Matcher[]): string {
  return `{${matchers.map(matcherText).join(",")}}`;
}

export function matcherText({ name, op, value }: Matcher): string {
  const plain = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name);
  return `${plain ? name : quoted(name)}${op}${quoted(value)}`;
}

export function parseGroups(body: unknown): AlertGroup[] {
  return list(body, "/api/v2/alerts/groups").map((it) => ({
    labels: labelsIn(it, "labels"),
    receiver: textIn(recordIn(it, "receiver"), "name") ?? "",
    alerts: recordsIn(it, "alerts").map(parseAlert),
  }));
}

function parseAlert(fields: Record<string, unknown>): Alert {
  const status = recordIn(fields, "status");
  return {
    fingerprint: textIn(fields, "fingerprint") ?? "",
    labels: labelsIn(fields, "labels"),
    annotations: labelsIn(fields, "annotations"),
    startsAt: textIn(fields, "startsAt"),
    updatedAt: textIn(fields, "updatedAt"),
    receivers: recordsIn(fields, "receivers").map((it) => textIn(it, "name") ?? ""),
    silencedBy: textsIn(status, "silencedBy"),
    inhibitedBy: textsIn(status, "inhibitedBy"),
    mutedBy: textsIn(status, "mutedBy"),
    source: textIn(fields, "generatorURL"),
  };
}

export function parseSilence(fields: Record<string, unknown>): Silence {
  const state = textIn(recordIn(fields, "status"), "state");
  return {
    id: textIn(fields, "id") ?? "",
    state: state === "active" || state === "pending" ? state : "expired",
    matchers: recordsIn(fields, "matchers").map((it) => ({
      name: textIn(it, "name") ?? "",
      op: `${it["isEqual"] === false ? "!" : it["isRegex"] === true ? "=" : ""}${it["isRegex"] === true ? "~" : "="}` as MatchOp,
      value: textIn(it, "value") ?? "",
    })),
    startsAt: textIn(fields, "startsAt"),
    endsAt: textIn(fields, "endsAt"),
    by: textIn(fields, "createdBy") ?? "",
    comment: textIn(fields, "comment") ?? "",
  };
}

function parseDead(fields: Record<string, unknown>): DeadNotification {
  return {
    id: textIn(fields, "id") ?? "",
    receiver: textIn(fields, "receiver") ?? "",
    integration: textIn(fields, "integration") ?? "",
    reason: textIn(fields, "reason") ?? "",
    firstAt: textIn(fields, "first_at"),
    lastAt: textIn(fields, "last_at"),
    times: numberIn(fields, "times"),
    attempts: numberIn(fields, "attempts"),
    alertsCount: numberIn(fields, "alerts_count"),
    alerts: recordsIn(fields, "alerts").map(labelsOf),
  };
}

function textsIn(fields: Record<string, unknown>, key: string): string[] {
  const value = fields[key];
  return Array.isArray(value) ? value.filter((it): it is string => typeof it === "string") : [];
}

function list(body: unknown, path: string): Record<string, unknown>[] {
  if (!Array.isArray(body)) throw new ApiError("shape", t("{0} answered without a list", path));
  return body.filter(isRecord);
}
