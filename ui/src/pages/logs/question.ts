// What the page Logs keeps in the address: the text, its language, the range of time, the direction, how many lines. Not the asking.
import { type Direction, nsOf } from "../../api/entry";
import type { LogRange } from "../../api/loki";
import { serverNowMs } from "../../api/request";
import { dateTime, plainTime } from "../../units/format";
import { type Preset, PRESETS, presetOf } from "../query/ask";
import type { Language } from "./logql";
import { t } from "../../words/t";

export interface Question {
  /** Undefined when the address has none. */
  text: string | undefined;
  language: Language;
  /** The last so many seconds, unless `from` and `to` say when. */
  preset: Preset;
  fixed: { from: number; to: number } | undefined;
  direction: Direction;
  limit: number;
}

export { PRESETS };
export const LANGUAGES: readonly { name: Language; words: string }[] = [
  { name: "logql", words: "LogQL" },
  { name: "lucene", words: "Lucene" },
  { name: "kql", words: "KQL" },
];
export const LIMITS = [100, 500, 1000, 5000] as const;
const LIMIT = 500;

export function questionOf(params: URLSearchParams): Question {
  const from = timeIn(params.get("from"));
  const to = timeIn(params.get("to"));
  const limit = Number(params.get("limit"));
  return {
    text: params.get("expr") ?? undefined,
    language: LANGUAGES.find((it) => it.name === params.get("lang"))?.name ?? "logql",
    preset: presetOf(params.get("range")),
    fixed: from !== undefined && to !== undefined && from < to ? { from, to } : undefined,
    direction: params.get("dir") === "forward" ? "forward" : "backward",
    limit: LIMITS.find((it) => it === limit) ?? LIMIT,
  };
}

/** A time of the address: milliseconds since 1970, or a date as people write it. */
function timeIn(text: string | null): number | undefined {
  if (text === null || text === "") return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) : Date.parse(text);
  return Number.isFinite(ms) ? ms : undefined;
}

/** Only what is not usual stands in the address. */
export function addressOf(question: Question): string {
  const params = new URLSearchParams();
  if (question.text !== undefined) params.set("expr", question.text);
  if (question.language !== "logql") params.set("lang", question.language);
  if (question.fixed) {
    params.set("from", String(question.fixed.from));
    params.set("to", String(question.fixed.to));
  } else if (question.preset.name !== presetOf(null).name) params.set("range", question.preset.name);
  if (question.direction === "forward") params.set("dir", "forward");
  if (question.limit !== LIMIT) params.set("limit", String(question.limit));
  return `/logs${params.size > 0 ? `?${params.toString()}` : ""}`;
}

export function rangeOf({ preset, fixed }: Question, now: number = serverNowMs()): LogRange {
  if (fixed) return { start: nsOf(fixed.from), end: nsOf(fixed.to) };
  // What came in this moment belongs to it.
  return { start: nsOf(now - preset.seconds * 1000), end: nsOf(now + 1000) };
}

export function rangeWords({ preset, fixed }: Question): string {
  return fixed ? t("from {0} to {1}", dateTime(fixed.from), dateTime(fixed.to)) : t("in the last {0}", preset.words);
}

/** What a field for date and time takes: "2026-03-01T09:05:03" on the reader's clock. */
export function localInput(ms: number): string {
  return plainTime(ms).replace(" ", "T");
}
