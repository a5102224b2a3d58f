// Words of the DLQ monitor: what a queue is, how a job is named in one line, how values are shown. Not the asking.
import type { DeadQueue } from "../../api/dlq";

/** How often the monitor asks again. */
export const RELOAD_MS = 30_000;
/** Jobs on one page of a queue. */
export const PAGE_JOBS = 20;
const LINE_CHARS_MAX = 160;

export function queueWords({ overflow, origin }: Pick<DeadQueue, "overflow" | "origin">): string {
  return overflow ? `had to leave ${origin}, which was full` : `failed too often in ${origin}`;
}

export function jobs(count: number): string {
  return `${count.toLocaleString("en-US")} ${count === 1 ? "job" : "jobs"}`;
}

/** A job in one line: its fields when it has some, its text otherwise. */
export function jobLine(job: unknown): string {
  if (job === null || job === undefined) return "no payload";
  const text =
    typeof job === "object" && !Array.isArray(job)
      ? Object.entries(job)
          .map(([key, value]) => `${key}: ${typeof value === "string" ? value : JSON.stringify(value)}`)
          .join(" · ")
      : typeof job === "string"
        ? job
        : JSON.stringify(job);
  return text.length > LINE_CHARS_MAX ? `${text.slice(0, LINE_CHARS_MAX - 1)}…` : text;
}

export function shown(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

/** "21–40 of 120". */
export function span(start: number, count: number, total: number): string {
  return count === 0 ? `none of ${total}` : `${start + 1}–${start + count} of ${total}`;
}

export function jobAddress(queue: string, id: string): string {
  return `/settings/dlq?${new URLSearchParams({ queue, job: id }).toString()}`;
}
