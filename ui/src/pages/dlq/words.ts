// Words of the DLQ monitor: what a queue is, how a job is named in one line, how values are shown. Not the asking.
import type { DeadQueue } from "../../api/dlq";
import { language, t } from "../../words/t";

/** How often the monitor asks again. */
export const RELOAD_MS = 30_000;
/** Jobs on one page of a queue. */
export const PAGE_JOBS = 20;
const LINE_CHARS_MAX = 160;

export function queueWords({ overflow, origin }: Pick<DeadQueue, "overflow" | "origin">): string {
  return overflow ? t("had to leave {0}, which was full", origin) : t("failed too often in {0}", origin);
}

export function jobs(count: number): string {
  return `${count.toLocaleString(language)} ${count === 1 ? t("job") : t("jobs")}`;
}

/** A job in one line: its fields when it has some, its text otherwise. */
export function jobLine(job: unknown): string {
  if (job === null || job === undefined) return t("no payload");
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
  return count === 0 ? t("none of {0}", total) : t("{0} of {1}", `${start + 1}–${start + count}`, total);
}

export function jobAddress(queue: string, id: string): string {
  return `/settings/dlq?${new URLSearchParams({ queue, job: id }).toString()}`;
}
