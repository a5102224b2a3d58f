// Grafana's times: "now-6h", "now/d", milliseconds; lengths like "15s" and "1M"; and the interval that fits a range. Not a calendar in
// other time zones than the browser's and UTC.
import { t } from "../../words/t";

export interface Range {
  /** Milliseconds since 1970. */
  from: number;
  to: number;
}

const UNIT_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000, M: 2_592_000_000, Q: 7_776_000_000, y: 31_536_000_000 };

/** "1m30s", "15s", "1h", ">10s"; nothing when it is no length. */
export function lengthMs(text: string): number | undefined {
  const plain = text.trim().replace(/^[>]=?/, "").trim();
  if (/^\d+(\.\d+)?$/.test(plain)) return Number(plain) * 1000;
  const found = [...plain.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d|w|M|Q|y)/g)];
  if (found.length === 0 || found.map((it) => it[0]).join("") !== plain) return undefined;
  return found.reduce((sum, it) => sum + Number(it[1]) * (UNIT_MS[it[2] ?? ""] ?? 0), 0);
}

/** As PromQL takes it: whole in the largest unit that fits. */
export function lengthText(ms: number): string {
  if (ms < 1000 || ms % 1000 !== 0) return `${Math.max(1, Math.round(ms))}ms`;
  for (const unit of ["d", "h", "m"]) if (ms % (UNIT_MS[unit] ?? 1) === 0) return `${ms / (UNIT_MS[unit] ?? 1)}${unit}`;
  return `${ms / 1000}s`;
}

function startOf(date: Date, unit: string, utc: boolean): void {
  const of = (name: string): number => (date as unknown as Record<string, () => number>)[`get${utc ? "UTC" : ""}${name}`]?.call(date) ?? 0;
  const set = (name: string, ...values: number[]): void => void (date as unknown as Record<string, (...it: number[]) => void>)[`set${utc ? "UTC" : ""}${name}`]?.apply(date, values);
  switch (unit) {
    case "y":
      set("Month", 0, 1);
      set("Hours", 0, 0, 0, 0);
      return;
    case "Q":
      set("Month", Math.floor(of("Month") / 3) * 3, 1);
      set("Hours", 0, 0, 0, 0);
      return;
    case "M":
      set("Date", 1);
      set("Hours", 0, 0, 0, 0);
      return;
    case "w":
      set("Date", of("Date") - ((of("Day") + 6) % 7));
      set("Hours", 0, 0, 0, 0);
      return;
    case "d":
      set("Hours", 0, 0, 0, 0);
      return;
    case "h":
      set("Minutes", 0, 0, 0);
      return;
    case "m":
      set("Seconds", 0, 0);
      return;
    default:
      set("Milliseconds", 0);
  }
}

function shift(date: Date, count: number, unit: string, utc: boolean): void {
  const months = { M: 1, Q: 3, y: 12 }[unit];
  if (months === undefined) {
    // Days of the calendar, so that "a day ago" is the same time of day when clocks change.
    if (!utc && (unit === "d" || unit === "w")) date.setDate(date.getDate() + count * (unit === "w" ? 7 : 1));
    else date.setTime(date.getTime() + count * (UNIT_MS[unit] ?? 0));
  } else if (utc) date.setUTCMonth(date.getUTCMonth() + count * months);
  else date.setMonth(date.getMonth() + count * months);
}

/** A time in words; `up` rounds to the end of a day rather than to its begin. */
export function timeMs(text: string, nowMs: number, up: boolean, utc = false): number | undefined {
  const plain = text.trim();
  if (/^\d{10,14}$/.test(plain)) return plain.length <= 10 ? Number(plain) * 1000 : Number(plain);
  const relative = /^now((?:[+-]\d+(?:ms|s|m|h|d|w|M|Q|y)|\/(?:s|m|h|d|w|M|Q|y|fy|fQ))*)$/.exec(plain.replace(/\s/g, ""));
  if (!relative) {
    const read = Date.parse(plain);
    return Number.isNaN(read) ? undefined : read;
  }
  const date = new Date(nowMs);
  for (const [, sign, count, unit, round] of (relative[1] ?? "").matchAll(/([+-])(\d+)(ms|s|m|h|d|w|M|Q|y)|\/(s|m|h|d|w|M|Q|y|fy|fQ)/g)) {
    if (round === undefined) shift(date, (sign === "-" ? -1 : 1) * Number(count), unit ?? "", utc);
    else {
      const name = round.replace("f", "");
      startOf(date, name, utc);
      if (up) {
        shift(date, 1, name, utc);
        date.setTime(date.getTime() - 1);
      }
    }
  }
  // Further away than a calendar reaches.
  return Number.isNaN(date.getTime()) ? undefined : date.getTime();
}

export function rangeOf(from: string, to: string, nowMs: number, utc = false): Range {
  const end = timeMs(to, nowMs, true, utc) ?? nowMs;
  const start = timeMs(from, nowMs, false, utc) ?? end - 6 * 3_600_000;
  return start < end ? { from: start, to: end } : { from: end - 60_000, to: end };
}

const STEPS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 20_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_200_000, 1_800_000, 3_600_000, 7_200_000, 10_800_000, 21_600_000, 43_200_000, 86_400_000, 604_800_000];
/** A server gives no more points than this for one series. */
const POINTS_MAX = 11_000;

/** The smallest round interval with no more points than these, and not under the least. */
export function intervalMs(range: Range, points: number, leastMs: number): number {
  const wanted = Math.max((range.to - range.from) / Math.max(1, points), (range.to - range.from) / POINTS_MAX);
  const round = STEPS_MS.find((it) => it >= wanted * 0.85) ?? Math.ceil(wanted / 604_800_000) * 604_800_000;
  return Math.max(round, leastMs);
}

const WORDS: Record<string, readonly [one: string, more: string]> = { s: [t("second"), t("seconds")], m: [t("minute"), t("minutes")], h: [t("hour"), t("hours")], d: [t("day"), t("days")], w: [t("week"), t("weeks")], M: [t("month"), t("months")], y: [t("year"), t("years")] };

/** "Last 6 hours", "Today", or both ends. */
export function rangeWords(from: string, to: string, show: (ms: number) => string, nowMs: number): string {
  if (to === "now/d" && from === "now/d") return t("Today");
  if (to === "now-1d/d" && from === "now-1d/d") return t("Yesterday");
  const back = /^now-(\d+)([smhdwMy])$/.exec(from);
  if (to === "now" && back) return t("Last {0} {1}", back[1], WORDS[back[2] ?? ""]?.[back[1] === "1" ? 0 : 1]);
  const range = rangeOf(from, to, nowMs);
  return t("{0} to {1}", show(range.from), show(range.to));
}
