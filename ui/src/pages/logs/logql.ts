// Small changes to a LogQL text, as clicks make them: one more condition, the selector of a stream, numbers over lines. Not a parser:
// what a text means is the server's.
import type { LabelSet } from "../../api/prometheus";

export type Language = "logql" | "lucene" | "kql";

export function quoted(value: string): string {
  const inner = value.replace(/[\\"\u0000-\u001f\u007f]/g, (it) => {
    if (it === "\\" || it === '"') return `\\${it}`;
    if (it === "\n") return "\\n";
    if (it === "\t") return "\\t";
    return `\\x${it.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
  return `"${inner}"`;
}

export function streamSelector(labels: LabelSet): string {
  const all = Object.entries(labels).filter(([, value]) => value !== "");
  return `{${all.map(([name, value]) => `${name}=${quoted(value)}`).join(", ")}}`;
}

/** Where the first selector stands, braces included. */
export function selectorAt(text: string): { start: number; end: number } | undefined {
  let quote = "";
  let start = -1;
  for (let at = 0; at < text.length; at += 1) {
    const it = text.charAt(at);
    if (quote !== "") {
      if (it === "\\" && quote === '"') at += 1;
      else if (it === quote) quote = "";
    } else if (it === '"' || it === "`") quote = it;
    else if (it === "{" && start < 0) start = at;
    else if (it === "}" && start >= 0) return { start, end: at + 1 };
  }
  return undefined;
}

export function selectorOf(text: string): string | undefined {
  const place = selectorAt(text);
  return place && text.slice(place.start, place.end);
}

export interface Condition {
  name: string;
  value: string;
  not: boolean;
  /** Whether it is a label of streams, and otherwise the parser that finds it, if one is needed. */
  label: boolean;
  parser?: string | undefined;
}

/** The question with one more condition, in its own language. */
export function withCondition(text: string, language: Language, condition: Condition): string {
  if (language === "logql") return withLogql(text, condition);
  const { name, value, not } = condition;
  const before = text.trim() === "" || text.trim() === "*" ? "" : `(${text.trim()}) `;
  const escaped = value.replace(/[\\"]/g, "\\$&");
  if (language === "kql") return `${before}${before ? "and " : ""}${not ? "not " : ""}${name}: "${escaped}"`;
  return `${before}${before ? "AND " : not ? "* AND " : ""}${not ? "NOT " : ""}${name.replace(/[:\\/ ]/g, "\\$&")}:"${escaped}"`;
}

function withLogql(text: string, { name, value, not, label, parser }: Condition): string {
  const test = `${name}${not ? "!=" : "="}${quoted(value)}`;
  const place = selectorAt(text);
  if (!place) return label && !not ? `{${test}}` : text;
  if (label) {
    const inner = text.slice(place.start + 1, place.end - 1).trim().replace(/,$/, "");
    return `${text.slice(0, place.start)}{${inner === "" ? "" : `${inner}, `}${test}}${text.slice(place.end)}`;
  }
  const stage = parser && !new RegExp(`\\|\\s*${parser}\\b`).test(text.slice(place.end)) ? ` | ${parser}` : "";
  return `${text.trimEnd()}${stage} | ${test}`;
}

export function withPattern(text: string, pattern: string): string {
  return `${text.trimEnd()} |> ${pattern.includes("`") ? quoted(pattern) : `\`${pattern}\``}`;
}

/** Whether a text asks for lines: it begins with a selector. Numbers begin with a function or an operator. */
export function asksForLines(text: string): boolean {
  return text.trimStart().replace(/^(?:#[^\n]*\n\s*)+/, "").startsWith("{");
}

export function countsByLevel(text: string, step: number): string {
  return `sum by (detected_level) (count_over_time(${text} [${step}s]))`;
}

/** A line that a stage could not read stops a count; without its error it counts, too. */
export function lenient(text: string): string {
  return `${text} | drop __error__, __error_details__`;
}

export function countsBy(text: string, name: string, seconds: number, most: number, parser?: string): string {
  const stage = parser && !new RegExp(`\\|\\s*${parser}\\b`).test(text) ? ` | ${parser}` : "";
  const asked = parser ? lenient(text + stage) : text;
  return `topk(${most}, sum by (${name}) (count_over_time(${asked} | ${name}!="" [${seconds}s])))`;
}

/** What shows most, when nobody has asked yet. */
export function firstQuestion(labels: readonly string[]): string | undefined {
  const usual = ["service_name", "job", "container", "container_name", "app", "filename", "host", "instance"];
  const name = usual.find((it) => labels.includes(it)) ?? labels.find((it) => !it.startsWith("__"));
  return name && `{${name}=~".+"}`;
}

/** The question within a range of time, in Kibana's languages. */
export function timed(text: string, language: "lucene" | "kql", start: string, end: string): string {
  const asked = text.trim() === "" ? "*" : text.trim();
  if (language === "kql") {
    const times = `@timestamp >= "${start}" and @timestamp < "${end}"`;
    return asked === "*" ? times : `(${asked}) and ${times}`;
  }
  return `(${asked}) AND @timestamp:["${start}" TO "${end}"}`;
}
