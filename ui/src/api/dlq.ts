// Dead letters over HTTP: how many lie where, the jobs, putting them back, clearing and the way back from that, who did what.
// Not the queues' depth over time (recorded metrics), and not the words of the page.
import { numberIn, recordIn, recordsIn, textIn } from "./fields";
import { ApiError, isRecord, request } from "./request";

export interface DeadQueue {
  /** As it stands in addresses: dlq:detection_queue. */
  name: string;
  count: number;
}
export interface DeadLetters {
  queues: DeadQueue[];
  total: number;
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

const FAILED = "dlq:";
const OVERFLOW = "dlq:overflow:";

export async function deadLetters(signal?: AbortSignal): Promise<DeadLetters> {
  return parseStats(await request("/api/dlq/stats", { signal }));
}

export async function deadJobs(queue: string, start: number, limit: number, signal?: AbortSignal): Promise<DeadPage> {
  return parsePage(await request(`/api/dlq/jobs/${part(queue)}`, { params: { start, limit }, signal }));
}

export async function deadJob(queue: string, id: string, signal?: AbortSignal): Promise<DeadJob> {
  const body = await request(`/api/dlq/jobs/${part(queue)}/${part(id)}`, { signal });
  if (!isRecord(body)) throw new ApiError("shape", "the job's answer is no job");
  return parseJob(isRecord(body["job"]) && "error" in body["job"] ? body["job"] : body);
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

/** `dlq:overflow:` holds what had to leave a full queue, `dlq:` what failed too often. */
export function kindOf(name: string): { overflow: boolean; origin: string } {
  const overflow = name.startsWith(OVERFLOW);
  return { overflow, origin: name.slice(overflow ? OVERFLOW.length : name.startsWith(FAILED) ? FAILED.length : 0) };
}

export function parseStats(body: unknown): DeadLetters {
  if (!isRecord(body)) throw new ApiError("shape", "/api/dlq/stats answered without counts");
  const counts = new Map<string, number>();
  for (const key of ["detection_queue", "analysis_queue"]) {
    const count = numberIn(body, `${key}_count`);
    if (count !== null) counts.set(`${FAILED}${key}`, count);
  }
  for (const [name, value] of Object.entries(recordIn(body, "queues"))) {
    if (typeof value === "number") counts.set(name, value);
  }
  const queues = [...counts].map(([name, count]) => ({ name, count }));
  return { queues, total: numberIn(body, "total_count") ?? queues.reduce((sum, it) => sum + it.count, 0) };
}

export function parsePage(body: unknown): DeadPage {
  if (!isRecord(body) || !Array.isArray(body["jobs"])) throw new ApiError("shape", "the queue answered without jobs");
  const jobs = recordsIn(body, "jobs").map(parseJob);
  const start = numberIn(body, "start") ?? 0;
  return { jobs, start, total: numberIn(body, "total") ?? start + jobs.length };
}

const KNOWN = new Set(["id", "original_job", "error", "attempt_count", "first_failed_at", "last_failed_at", "place"]);

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
  if (!isRecord(body)) throw new ApiError("shape", "the queue answered without saying what became of it");
  const message = textIn(body, "message") ?? "";
  // Nothing to do is an answer with success false and status 200.
  if (body["success"] === false) throw new ApiError("refused", message === "" ? "nothing was done" : message);
  return { message, undo: textIn(body, "undo") };
}

/** Colons stay readable; everything that has a meaning in an address does not pass. */
function part(text: string): string {
  return encodeURIComponent(text).replaceAll("%3A", ":");
}
