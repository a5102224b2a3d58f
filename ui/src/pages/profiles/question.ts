// What the page Profiles asks, and the address that says it. Not the asking.
import { serverNowMs } from "../../api/request";
import { t } from "../../words/t";

export interface Range {
  name: string;
  words: string;
  seconds: number;
}
export const RANGES: readonly Range[] = [
  { name: "15m", words: t("15 minutes"), seconds: 900 },
  { name: "1h", words: "hour", seconds: 3600 },
  { name: "6h", words: t("6 hours"), seconds: 21_600 },
  { name: "24h", words: t("24 hours"), seconds: 86_400 },
  { name: "7d", words: t("7 days"), seconds: 604_800 },
  { name: "30d", words: t("30 days"), seconds: 2_592_000 },
];
const RANGE: Range = RANGES[1] ?? { name: "1h", words: "hour", seconds: 3600 };
/** Profiles last some seconds: what belongs to a span began up to so long before it. */
const AROUND_MS = 30_000;

export interface Question {
  service: string;
  type: string;
  /** More matchers: `env="prod"`. */
  labels: string;
  range: Range;
  /** Milliseconds since 1970; zero where the range up to now counts. */
  from: number;
  until: number;
  /** Only samples of this span. */
  span: string;
  /** The trace that one came from. */
  trace: string;
}

export function questionOf(params: URLSearchParams): Question {
  const text = (name: string): string => params.get(name) ?? "";
  const from = Number(text("from")) || 0;
  const until = Number(text("until")) || 0;
  const fixed = from > 0 && until > from;
  return {
    service: text("service"),
    type: text("type"),
    labels: text("labels"),
    range: RANGES.find((it) => it.name === text("range")) ?? RANGE,
    from: fixed ? from : 0,
    until: fixed ? until : 0,
    span: text("span"),
    trace: text("trace"),
  };
}

export function addressOf(question: Partial<Question>, path = "/profiles"): string {
  const params = new URLSearchParams();
  const put = (name: string, value: string | undefined): void => {
    if (value) params.set(name, value);
  };
  put("service", question.service);
  put("type", question.type);
  put("labels", question.labels);
  if (question.from && question.until) {
    put("from", String(Math.round(question.from)));
    put("until", String(Math.round(question.until)));
  } else if (question.range && question.range !== RANGE) put("range", question.range.name);
  put("span", question.span);
  put("trace", question.trace);
  return `${path}${params.size > 0 ? `?${params.toString()}` : ""}`;
}

/** From a span to what its service did meanwhile; `profile` is what its sender calls the span in profiles, if it says so. */
export function addressOfSpan(service: string, trace: string, startUs: number, durationUs: number, profile: string): string {
  return addressOf({ service, trace, span: profile, from: startUs / 1000 - AROUND_MS, until: (startUs + durationUs) / 1000 + AROUND_MS });
}

export function selectorOf({ service, labels }: Pick<Question, "service" | "labels">): string {
  const more = labels.trim().replace(/^\{|\}$/g, "").trim();
  return `{service_name=${JSON.stringify(service)}${more === "" ? "" : `, ${more}`}}`;
}

/** The moments between which is asked, now. */
export function spanOf(question: Pick<Question, "range" | "from" | "until">): { fromMs: number; untilMs: number } {
  if (question.until > 0) return { fromMs: question.from, untilMs: question.until };
  const untilMs = serverNowMs();
  return { fromMs: untilMs - question.range.seconds * 1000, untilMs };
}

/** Parts of a type: `process_cpu:cpu:nanoseconds:cpu:nanoseconds`. */
export function unitOf(type: string): string {
  return type.split(":")[2] ?? "";
}
export function typeWords(type: string): string {
  const [name = "", kind = ""] = type.split(":");
  return `${name.replace(/_/g, " ")}: ${kind.replace(/_/g, " ")}`;
}

/** The type that shows most, where none is chosen: time on the processor, then time at all. */
export function firstType(types: readonly string[]): string {
  for (const wanted of ["process_cpu:cpu:", "wall:cpu:", "wall:wall:", "memory:inuse_space:"]) {
    const found = types.find((it) => it.startsWith(wanted));
    if (found) return found;
  }
  return types[0] ?? "";
}
