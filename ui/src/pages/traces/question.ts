// What the search for traces keeps in the address, under the names that Jaeger's page has, and what is asked for it. Not the asking.
import type { Tag } from "../../api/jaeger";
import { isRecord, serverNowMs } from "../../api/request";
import { t } from "../../words/t";

export interface Question {
  service: string;
  /** Empty for all. */
  operation: string;
  /** As it was written: `error=true http.status_code="500"`. */
  tags: string;
  /** As it was written: `1.2ms`, `500us`, `3s`. */
  minDuration: string;
  maxDuration: string;
  limit: number;
  lookback: Lookback;
  /** Microseconds; they count when the lookback is "custom". */
  start: number;
  end: number;
}
export interface Lookback {
  name: string;
  words: string;
  seconds: number;
}

export const LOOKBACKS: readonly Lookback[] = [
  { name: "5m", words: t("Last 5 minutes"), seconds: 300 },
  { name: "15m", words: t("Last 15 minutes"), seconds: 900 },
  { name: "1h", words: t("Last hour"), seconds: 3600 },
  { name: "3h", words: t("Last 3 hours"), seconds: 10_800 },
  { name: "6h", words: t("Last 6 hours"), seconds: 21_600 },
  { name: "12h", words: t("Last 12 hours"), seconds: 43_200 },
  { name: "24h", words: t("Last 24 hours"), seconds: 86_400 },
  { name: "2d", words: t("Last 2 days"), seconds: 172_800 },
  { name: "7d", words: t("Last 7 days"), seconds: 604_800 },
  { name: "30d", words: t("Last 30 days"), seconds: 2_592_000 },
];
export const CUSTOM: Lookback = { name: "custom", words: t("Custom time range"), seconds: 0 };
const USUAL: Lookback = { name: "1h", words: t("Last hour"), seconds: 3600 };
export const LIMIT = 20;
export const LIMIT_MAX = 1500;

export function questionOf(params: URLSearchParams): Question {
  const time = (name: string): number => (/^\d{1,16}$/.test(params.get(name) ?? "") ? Number(params.get(name)) : 0);
  const start = time("start");
  const end = time("end");
  const named = LOOKBACKS.find((it) => it.name === params.get("lookback"));
  return {
    service: params.get("service") ?? "",
    operation: params.get("operation") ?? "",
    tags: tagsText(params.get("tags") ?? ""),
    minDuration: params.get("minDuration") ?? "",
    maxDuration: params.get("maxDuration") ?? "",
    limit: limitIn(params.get("limit") ?? ""),
    lookback: named ?? (start > 0 && end > start ? CUSTOM : USUAL),
    start,
    end,
  };
}

export function limitIn(text: string): number {
  const number = /^\d+$/.test(text.trim()) ? Number(text) : LIMIT;
  return Math.max(1, Math.min(LIMIT_MAX, number));
}

/** Jaeger's page writes tags as an object of JSON into its addresses. */
function tagsText(text: string): string {
  if (!text.startsWith("{")) return text;
  try {
    const body: unknown = JSON.parse(text);
    return isRecord(body) ? Object.entries(body).map(([key, value]) => `${quoted(key)}=${quoted(String(value))}`).join(" ") : text;
  } catch {
    return text;
  }
}

export function quoted(text: string): string {
  return text === "" || /[\s="\\]/.test(text) ? `"${text.replace(/[\\"]/g, "\\$&")}"` : text;
}

/** Only what is not usual stands in the address, but always the service. */
export function addressOf({ service, operation, tags, minDuration, maxDuration, limit, lookback, start, end }: Question): string {
  const params = new URLSearchParams({ service });
  for (const [name, value] of Object.entries({ operation, tags, minDuration, maxDuration })) if (value !== "") params.set(name, value);
  if (limit !== LIMIT) params.set("limit", String(limit));
  if (lookback === CUSTOM) {
    params.set("start", String(start));
    params.set("end", String(end));
  } else if (lookback.name !== USUAL.name) params.set("lookback", lookback.name);
  return `/traces?${params.toString()}`;
}

/** What Jaeger's address takes for it. */
export function paramsOf(question: Question, nowMs: number = serverNowMs()): Record<string, string | number> {
  const { service, operation, tags, minDuration, maxDuration, limit, lookback } = question;
  const end = lookback === CUSTOM ? question.end : Math.round(nowMs * 1000);
  const start = lookback === CUSTOM ? question.start : end - lookback.seconds * 1e6;
  const params: Record<string, string | number> = { service, limit, start, end, lookback: lookback.name };
  if (operation !== "") params["operation"] = operation;
  const { pairs } = tagsIn(tags);
  if (pairs.length > 0) params["tags"] = JSON.stringify(Object.fromEntries(pairs.map((it) => [it.key, it.value])));
  if (minDuration.trim() !== "") params["minDuration"] = plainDuration(minDuration);
  if (maxDuration.trim() !== "") params["maxDuration"] = plainDuration(maxDuration);
  return params;
}

export interface ReadTags {
  pairs: Tag[];
  /** What is no pair, in the words of the field's complaint. */
  problem: string | undefined;
}

/** Pairs as logfmt writes them; texts with spaces stand in quotation marks. */
export function tagsIn(text: string): ReadTags {
  const word = '"(?:[^"\\\\]|\\\\.)*"|[^\\s="]+';
  const pair = new RegExp(`\\s*(${word})=(${word}|)(?=\\s|$)`, "y");
  const pairs: Tag[] = [];
  const end = text.trimEnd().length;
  while (pair.lastIndex < end) {
    const at = pair.lastIndex;
    const found = pair.exec(text);
    if (!found) return { pairs, problem: t("Tags are pairs like http.status_code=500: this is none: {0}", text.slice(at).trim().slice(0, 60)) };
    pairs.push({ key: unquoted(found[1] ?? ""), value: unquoted(found[2] ?? "") });
  }
  return { pairs, problem: undefined };
}

function unquoted(text: string): string {
  return text.startsWith('"') ? text.slice(1, -1).replace(/\\(.)/g, "$1") : text;
}

const UNITS_US: Record<string, number> = { ns: 1e-3, us: 1, "µs": 1, "μs": 1, ms: 1e3, s: 1e6, m: 6e7, h: 3.6e9 };

/** Microseconds; undefined when it is no duration as Go writes them. */
export function durationIn(text: string): number | undefined {
  const parts = /^(?:\d+(?:\.\d*)?(?:ns|us|µs|μs|ms|s|m|h))+$/.test(plainDuration(text)) ? plainDuration(text).matchAll(/([\d.]+)([a-zµμ]+)/g) : [];
  let sum: number | undefined;
  for (const [, number = "", unit = ""] of parts) sum = (sum ?? 0) + Number(number) * (UNITS_US[unit] ?? Number.NaN);
  return sum;
}

const plainDuration = (text: string): string => text.replace(/\s+/g, "");

/** What is wrong with a question, before anybody is asked. */
export function problemOf({ service, tags, minDuration, maxDuration, lookback, start, end }: Question): string | undefined {
  if (service === "") return t("Choose a service.");
  const { problem } = tagsIn(tags);
  if (problem !== undefined) return problem;
  for (const [name, text] of [[t("Min Duration"), minDuration], [t("Max Duration"), maxDuration]] as const) {
    if (text.trim() !== "" && durationIn(text) === undefined) return t("{0} is a time with a unit, like 1.2s, 100ms or 500us.", name);
  }
  const [least, most] = [durationIn(minDuration), durationIn(maxDuration)];
  if (least !== undefined && most !== undefined && least > most) return t("Min Duration is more than Max Duration.");
  return lookback === CUSTOM && !(end > start) ? t("The time range ends before it begins.") : undefined;
}

/** A duration as the fields take it, rounded up or down to three digits. */
export function durationText(us: number, round: (value: number) => number): string {
  for (const [unit, size] of [["s", 1e6], ["ms", 1e3]] as const) {
    const digits = 10 ** Math.max(0, 2 - Math.floor(Math.log10(us / size)));
    if (us >= size) return `${round((us / size) * digits) / digits}${unit}`;
  }
  return `${round(us)}us`;
}

const TRACE_ID = /^[0-9a-f]{1,32}$/i;

export function isTraceId(text: string): boolean {
  return TRACE_ID.test(text.trim()) && !/^0+$/.test(text.trim());
}

export function traceAddress(id: string, spanId?: string): string {
  return `/traces/${encodeURIComponent(id)}${spanId ? `?span=${encodeURIComponent(spanId)}` : ""}`;
}

/** Margin around a trace within which its lines of logs are looked for. */
const LOGS_MARGIN_MS = 300_000;

/** What the page Logs is asked for the lines of a trace, or of one of its spans. */
export function logsAddress(traceId: string, fromUs: number, toUs: number, spanId?: string): string {
  const expr = `{service_name=~".+"} | trace_id="${traceId}"${spanId ? ` | span_id="${spanId}"` : ""}`;
  const from = String(Math.floor(fromUs / 1000) - LOGS_MARGIN_MS);
  const to = String(Math.ceil(toUs / 1000) + LOGS_MARGIN_MS);
  return `/logs?${new URLSearchParams({ expr, from, to }).toString()}`;
}
