// Dead letters over HTTP: how many lie where, the jobs, putting them back, clearing and the way back from that, who did what.
// Not the queues' depth over time (recorded metrics), and not the words of the page.
import { numberIn, recordsIn, textIn } from "./fields";
import { ApiError, isRecord, request } from "./request";
import { t } from "../words/t";

export interface DeadQueue {
  /** As it stands in addresses: dlq:detection_queue. */
  name: string;
  count: number;
  /** Its jobs had to leave a full queue; otherwise they failed too often. */
  overflow: boolean;
  /** The queue that they came from. */
  origin: string;
  /** They are being put back slowly. */
  requeueing: boolean;
}
export interface DeadLetters {
  queues: DeadQueue[];
  /** Jobs that failed too often. */
  total: number;
  /** Jobs that had to leave a full queue; they are not in the total. */
  overflow: number;
  /** Where jobs lie; null where the server does not say. */
  backend: string | null;
}
export interface DeadJob {
  /** Names it in its queue; null where the server gives none. */
  id: string | null;
  job: unknown;
  error: string;
  attempts: number | null;
  firstFailed: string | null;
  lastFailed: string | null;
  /** Everything else that is known, by its own names. */
  more: [string, unknown][];
}
export interface DeadPage {
  jobs: DeadJob[];
  start: number;
  total: number;
}
export interface Outcome {
  message: string;
  /** Names the way back from a clear. */
  undo: string | null;
}
/** What was cleared, in a file that brings it back. */
export interface UndoFile {
  name: string;
  queue: string;
  clearedAt: string | null;
  restored: boolean;
}
export interface DeadAudit {
  at: string | null;
  who: string;
  what: string;
  queue: string;
  count: number | null;
  note: string;
}

const FAILED = "dlq:";
const OVERFLOW = "dlq:overflow:";
const AUDIT_MAX = 100;

export async function deadLetters(signal?: AbortSignal): Promise<DeadLetters> {
  return parseStats(await request("/api/dlq/stats", { signal }));
}

export async function deadJobs(queue: string, start: number, limit: number, signal?: AbortSignal): Promise<DeadPage> {
  return parsePage(await request(`/api/dlq/jobs/${part(queue)}`, { params: { start, limit }, signal }));
}

export async function deadJob(queue: string, id: string, signal?: AbortSignal): Promise<DeadJob> {
  const body = await request(`/api/dlq/jobs/${part(queue)}/${part(id)}`, { signal });
  if (!isRecord(body)) throw new ApiError("shape", t("the job's answer is no job"));
  return parseJob(body);
}

/** Where the job lies as it was sent, secrets included; for admins. */
export function payloadAddress(queue: string, id: string): string {
  return `/api/dlq/jobs/${part(queue)}/${part(id)}/payload`;
}

export async function requeueJob(queue: string, id: string): Promise<Outcome> {
  return parseOutcome(await request(`/api/dlq/requeue/${part(queue)}`, { method: "POST", params: { id } }));
}

export async function requeueAll(queue: string): Promise<Outcome> {
  return parseOutcome(await request(`/api/dlq/requeue-all/${part(queue)}`, { method: "POST" }));
}

export async function clearAll(queue: string): Promise<Outcome> {
  return parseOutcome(await request(`/api/dlq/${part(queue)}`, { method: "DELETE" }));
}

export async function undoFiles(signal?: AbortSignal): Promise<UndoFile[]> {
  const list = await request("/api/dlq/undo", { signal });
  return records(list).map((it) => ({
    name: textIn(it, "name") ?? "",
    queue: textIn(it, "queue_name") ?? "",
    clearedAt: textIn(it, "cleared_at"),
    restored: it["restored"] === true,
  }));
}

export async function restore(file: string): Promise<Outcome> {
  return parseOutcome(await request(`/api/dlq/undo/${part(file)}/restore`, { method: "POST" }));
}

export async function deadAudit(signal?: AbortSignal): Promise<DeadAudit[]> {
  const list = await request("/api/dlq/audit", { params: { limit: AUDIT_MAX }, signal });
  return records(list).map((it) => ({
    at: textIn(it, "at"),
    who: textIn(it, "who") ?? "",
    what: textIn(it, "what") ?? "",
    queue: textIn(it, "queue_name") ?? "",
    count: numberIn(it, "count"),
    note: textIn(it, "note") ?? "",
  }));
}

/** `dlq:overflow:` holds what had to leave a full queue, `dlq:` what failed too often. */
export function kindOf(name: string): { overflow: boolean; origin: string } {
  const overflow = name.startsWith(OVERFLOW);
  return { overflow, origin: name.slice(overflow ? OVERFLOW.length : name.startsWith(FAILED) ? FAILED.length : 0) };
}

export function parseStats(body: unknown): DeadLetters {
  if (!isRecord(body)) throw new ApiError("shape", t("/api/dlq/stats answered without counts"));
  const places = recordsIn(body, "queues").map((it) => place(textIn(it, "queue_name") ?? "", numberIn(it, "count") ?? 0, it["requeueing"] === true));
  // The documented answer names only these two.
  const documented = ["detection_queue", "analysis_queue"].flatMap((name) => {
    const count = numberIn(body, `${name}_count`);
    return count === null ? [] : [place(`${FAILED}${name}`, count, false)];
  });
  const queues = places.length > 0 ? places : documented;
  const sum = (overflow: boolean): number => queues.filter((it) => it.overflow === overflow).reduce((total, it) => total + it.count, 0);
  return {
    queues,
    total: numberIn(body, "total_count") ?? sum(false),
    overflow: numberIn(body, "overflow_count") ?? sum(true),
    backend: textIn(body, "backend"),
  };
}

function place(name: string, count: number, requeueing: boolean): DeadQueue {
  return { name, count, requeueing, ...kindOf(name) };
}

function records(list: unknown): Record<string, unknown>[] {
  if (!Array.isArray(list)) throw new ApiError("shape", t("the dead letters answered without a list"));
  return list.filter(isRecord);
}

export function parsePage(body: unknown): DeadPage {
  if (!isRecord(body) || !Array.isArray(body["jobs"])) throw new ApiError("shape", t("the queue answered without jobs"));
  const jobs = recordsIn(body, "jobs").map(parseJob);
  const start = numberIn(body, "start") ?? 0;
  return { jobs, start, total: numberIn(body, "total") ?? start + jobs.length };
}

const KNOWN = new Set(["id", "original_job", "error", "attempt_count", "first_failed_at", "last_failed_at", "dlq_name"]);

export function parseJob(fields: Record<string, unknown>): DeadJob {
  return {
    id: textIn(fields, "id"),
    job: fields["original_job"] ?? null,
    error: textIn(fields, "error") ?? "",
    attempts: numberIn(fields, "attempt_count"),
    firstFailed: textIn(fields, "first_failed_at"),
    lastFailed: textIn(fields, "last_failed_at"),
    more: Object.entries(fields).filter(([key, value]) => !KNOWN.has(key) && !isEmpty(value)),
  };
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === "") return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

export function parseOutcome(body: unknown): Outcome {
  if (!isRecord(body)) throw new ApiError("shape", t("the queue answered without saying what became of it"));
  const message = textIn(body, "message") ?? "";
  // Nothing to do is an answer with success false and status 200.
  if (body["success"] === false) throw new ApiError("refused", message === "" ? t("nothing was done") : message);
  return { message, undo: textIn(body, "undo") };
}

/** Colons stay readable; everything that has a meaning in an address does not pass. */
function part(text: string): string {
  return encodeURIComponent(text).replaceAll("%3A", ":");
}
