// Supervised services over HTTP: how each one is, what happened to it, restarting it and keeping it from being restarted.
// Not the short words of the first page (system.ts), and not the live channel.
import { numberIn, recordIn, recordsIn, textIn } from "./fields";
import { ApiError, isRecord, request } from "./request";
import { serviceState, type ServiceState } from "./system";
import { t } from "../words/t";

export interface Supervised {
  name: string;
  state: ServiceState;
  message: string;
  since: string | null;
  /** What is looked at, and every how many seconds. */
  check: { kind: string; target: string; intervalSeconds: number | null };
  lastCheck: string | null;
  lastError: string | null;
  nextCheck: string | null;
  failures: number | null;
  failuresNeeded: number | null;
  /** How it is restarted; null when it is only watched. */
  restart: string | null;
  nextRestart: string | null;
  /** Restarts without success so far, and after how many nobody tries any more. */
  attempts: number | null;
  attemptsMax: number | null;
  restarts: number | null;
  /** Why the last restart that was due was not made. */
  withheld: string | null;
  dependsOn: string[];
  maintenance: { until: string; by: string | null; reason: string | null; recurring: boolean } | null;
}
export interface ServiceEvent {
  at: string | null;
  /** failure, recovery or restart. */
  kind: string;
  state: string;
  message: string;
  detail: string | null;
}

export interface ServiceAudit {
  at: string | null;
  who: string;
  action: string;
  service: string;
  how: string;
  outcome: string;
  detail: string | null;
}

const PATH = "/api/system/services";

export async function services(signal?: AbortSignal): Promise<Supervised[]> {
  return parseServices(await request(PATH, { signal }));
}

export async function serviceHistory(name: string, signal?: AbortSignal): Promise<ServiceEvent[]> {
  return parseHistory(await request(`${PATH}/${encodeURIComponent(name)}/history`, { signal }));
}

export async function restartService(name: string): Promise<void> {
  await request(`${PATH}/${encodeURIComponent(name)}/restart`, { method: "POST" });
}

/** Who had what done; for admins. */
export async function serviceAudit(signal?: AbortSignal): Promise<ServiceAudit[]> {
  return parseAudit(await request(`${PATH}/audit`, { signal }));
}

export async function beginMaintenance(name: string, duration: string, reason: string): Promise<void> {
  await request(`${PATH}/${encodeURIComponent(name)}/maintenance`, { method: "POST", json: { duration, reason } });
}

export async function endMaintenance(name: string): Promise<void> {
  await request(`${PATH}/${encodeURIComponent(name)}/maintenance`, { method: "DELETE" });
}

export function parseServices(body: unknown): Supervised[] {
  if (!isRecord(body) || !Array.isArray(body["services"])) throw new ApiError("shape", t("{0} answered without services", PATH));
  return recordsIn(body, "services").map((fields) => {
    const check = recordIn(fields, "check");
    const window = recordIn(fields, "maintenance");
    const until = textIn(window, "until");
    const needs = fields["depends_on"];
    return {
      name: textIn(fields, "name") ?? "",
      state: serviceState(fields["status"]),
      message: textIn(fields, "message") ?? "",
      since: textIn(fields, "since"),
      check: { kind: textIn(check, "kind") ?? "", target: textIn(check, "target") ?? "", intervalSeconds: numberIn(check, "interval_seconds") },
      lastCheck: textIn(recordIn(fields, "last_check"), "at"),
      lastError: textIn(fields, "last_error"),
      nextCheck: textIn(fields, "next_check"),
      failures: numberIn(fields, "consecutive_failures"),
      failuresNeeded: numberIn(fields, "failures_needed"),
      restart: textIn(fields, "restart"),
      nextRestart: textIn(fields, "next_restart"),
      attempts: numberIn(fields, "attempts"),
      attemptsMax: numberIn(fields, "max_retries"),
      restarts: numberIn(fields, "restarts"),
      withheld: textIn(recordIn(fields, "withheld"), "message"),
      dependsOn: Array.isArray(needs) ? needs.map(String) : [],
      maintenance:
        until === null
          ? null
          : { until, by: textIn(window, "by"), reason: textIn(window, "reason"), recurring: window["kind"] === "recurring" },
    };
  });
}

export function parseHistory(body: unknown): ServiceEvent[] {
  if (!isRecord(body) || !Array.isArray(body["events"])) throw new ApiError("shape", t("the service answered without a history"));
  return recordsIn(body, "events").map((fields) => ({
    at: textIn(fields, "timestamp"),
    kind: textIn(fields, "event_type") ?? "",
    state: textIn(fields, "status") ?? "",
    message: textIn(fields, "message") ?? "",
    detail: textIn(fields, "detail"),
  }));
}

export function parseAudit(body: unknown): ServiceAudit[] {
  if (!isRecord(body) || !Array.isArray(body["records"])) throw new ApiError("shape", t("{0}/audit answered without records", PATH));
  return recordsIn(body, "records").map((fields) => ({
    at: textIn(fields, "timestamp"),
    who: textIn(fields, "who") ?? "",
    action: textIn(fields, "action") ?? "",
    service: textIn(fields, "service") ?? "",
    how: textIn(fields, "how") ?? "",
    outcome: textIn(fields, "outcome") ?? "",
    detail: textIn(fields, "detail"),
  }));
}
