// Values put into texts for `$x`, `${x}`, `${x:format}` and `[[x]]`, in each of Grafana's formats. Not where the values come from
// (resolve.ts), and not escaping of HTML: the page only ever writes text.
import type { Range } from "./time";
import { lengthText } from "./time";

/** What one variable is at the moment. */
export interface Value {
  values: string[];
  texts: string[];
  /** Everything was chosen, and this stands for it as it is. */
  allText: string | undefined;
  /** Whether it may be several, which decides how it is written for a query. */
  several: boolean;
}
export interface Times {
  range: Range;
  intervalMs: number;
  scrapeMs: number;
}
export interface Scope {
  values: ReadonlyMap<string, Value>;
  times?: Times | undefined;
  /** Words that mean something only here: `__series.name`, `__value.raw`, … */
  local?: ((path: string) => string | undefined) | undefined;
  board?: { uid: string; title: string } | undefined;
}

/** How a value is written where no format is named. */
export type Plain = "prometheus" | "text" | "glob" | "url";

const PATTERN = /\$(\w+)|\[\[(\w+?)(?::(\w+))?\]\]|\$\{([\w-]+)((?:\.[\w-]+|\[[^[\]]+\])*)(?::([^{}]+))?\}/g;
const NESTED_MAX = 4;
/** Values that name each other several times grow with every step; nothing that is asked or shown is longer. */
const CHARS_MAX = 100_000;

export function interpolate(text: string, scope: Scope, plain: Plain = "text"): string {
  return text.includes("$") || text.includes("[[") ? expanded(text, scope, plain, new Set(), { left: CHARS_MAX }).slice(0, CHARS_MAX) : text;
}

/** `within` are the variables whose values are being put in: one that stands in its own value stays as it is written. */
function expanded(text: string, scope: Scope, plain: Plain, within: ReadonlySet<string>, chars: { left: number }): string {
  return text.replace(PATTERN, (whole: string, a?: string, b?: string, bFormat?: string, c?: string, path?: string, cFormat?: string) => {
    if (chars.left <= 0) return "";
    const name = a ?? b ?? c ?? "";
    if (within.has(name)) return whole;
    const format = bFormat ?? cFormat;
    const counted = (put: string): string => {
      chars.left -= put.length + 1;
      return put;
    };
    const found = local(name, path ?? "", format, scope) ?? builtIn(name, format, scope);
    if (found !== undefined) return counted(found);
    const value = scope.values.get(name);
    if (!value) return whole;
    if (path === ".text") return counted(write(value.texts, format ?? "text", name, value.texts));
    if (value.allText !== undefined && (format === undefined || format === "raw" || format === "regex" || format === "pipe")) return counted(value.allText);
    const written = counted(format === undefined ? plainly(value, plain) : write(value.values, format, name, value.texts));
    // A value may name another variable, as constants do.
    return within.size < NESTED_MAX && written.includes("$") ? expanded(written, scope, plain, new Set([...within, name]), chars) : written;
  });
}

function local(name: string, path: string, format: string | undefined, scope: Scope): string | undefined {
  const found = scope.local?.(name + path);
  return found !== undefined && format !== undefined ? write([found], format, name, [found]) : found;
}

/** Names of variables that a text uses. */
export function namesIn(text: string): string[] {
  return [...text.matchAll(PATTERN)].map((it) => it[1] ?? it[2] ?? it[4] ?? "").filter((it) => !it.startsWith("__"));
}

function builtIn(name: string, format: string | undefined, { times, board, values }: Scope): string | undefined {
  switch (name) {
    case "__dashboard":
      return format === "uid" || !board ? board?.uid : board.title;
    case "__org":
      return "1";
    case "__user":
      return "";
    case "__all_variables":
      return [...values].map(([key, value]) => queryParam(key, value.values)).join("&");
  }
  if (!times) return undefined;
  const { range, intervalMs, scrapeMs } = times;
  const seconds = Math.round((range.to - range.from) / 1000);
  const rate = Math.max(intervalMs + scrapeMs, 4 * scrapeMs);
  switch (name) {
    case "__interval":
      return lengthText(intervalMs);
    case "__interval_ms":
      return String(intervalMs);
    case "__rate_interval":
      return lengthText(rate);
    case "__rate_interval_ms":
      return String(rate);
    case "__range":
      return `${Math.max(1, seconds)}s`;
    case "__range_s":
      return String(seconds);
    case "__range_ms":
      return String(range.to - range.from);
    case "__from":
      return moment(range.from, format);
    case "__to":
      return moment(range.to, format);
    case "__url_time_range":
      return `from=${Math.round(range.from)}&to=${Math.round(range.to)}`;
    case "__timeFilter":
    case "timeFilter":
      return `time >= ${Math.round(range.from)}ms and time <= ${Math.round(range.to)}ms`;
    default:
      return undefined;
  }
}

function moment(ms: number, format: string | undefined): string {
  const date = new Date(ms);
  if (format === undefined || format === "raw") return String(Math.round(ms));
  if (format === "date:seconds") return String(Math.floor(ms / 1000));
  if (format === "date" || format === "date:iso") return date.toISOString();
  return dateWords(date, format.replace(/^date:/, ""));
}

/** A date in letters like YYYY-MM-DD. */
function dateWords(date: Date, pattern: string): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const words: Record<string, string> = { YYYY: String(date.getFullYear()), YY: two(date.getFullYear() % 100), MM: two(date.getMonth() + 1), M: String(date.getMonth() + 1), DD: two(date.getDate()), D: String(date.getDate()), HH: two(date.getHours()), mm: two(date.getMinutes()), ss: two(date.getSeconds()), SSS: String(date.getMilliseconds()).padStart(3, "0") };
  return pattern.replace(/YYYY|YY|MM|M|DD|D|HH|mm|SSS|ss/g, (it) => words[it] ?? it);
}

function plainly({ values, several, texts }: Value, plain: Plain): string {
  switch (plain) {
    case "prometheus": {
      // One value may stand in plain quotes; several can only be a pattern.
      if (!several) return (values[0] ?? "").replace(/\\/g, "\\\\").replace(/'/g, "\\'");
      return alternatives(values, (it) => regexEscaped(it).replace(/\\/g, "\\\\"));
    }
    case "url":
      return values.map(encodeURIComponent).join(",");
    case "glob":
      return globbed(values);
    case "text":
      return texts.length > 0 ? texts.join(" + ") : values.join(" + ");
  }
}

function alternatives(values: readonly string[], escape: (value: string) => string): string {
  return values.length === 1 ? escape(values[0] ?? "") : `(${values.map(escape).join("|")})`;
}

function globbed(values: readonly string[]): string {
  return values.length > 1 ? `{${values.join(",")}}` : (values[0] ?? "");
}

function regexEscaped(text: string): string {
  return text.replace(/[\\^$*+?.()|[\]{}/]/g, "\\$&");
}

function queryParam(name: string, values: readonly string[]): string {
  return values.map((it) => `var-${name}=${encodeURIComponent(it)}`).join("&");
}

function write(values: readonly string[], format: string, name: string, texts: readonly string[]): string {
  const several = values.length > 1;
  switch (format) {
    case "regex":
      return alternatives(values, regexEscaped);
    case "pipe":
      return values.join("|");
    case "csv":
    case "raw":
      return values.join(",");
    case "json":
      return JSON.stringify(several ? values : (values[0] ?? ""));
    case "glob":
      return globbed(values);
    case "distributed":
      return values.map((it, at) => (at === 0 ? it : `${name}=${it}`)).join(",");
    case "lucene":
      return several ? `(${values.map((it) => JSON.stringify(it)).join(" OR ")})` : (values[0] ?? "").replace(/[!*+\-=<>\s&|()[\]{}^~?:\\/"]/g, "\\$&");
    case "doublequote":
      return values.map((it) => `"${it.replace(/"/g, '\\"')}"`).join(",");
    case "singlequote":
      return values.map((it) => `'${it.replace(/'/g, "\\'")}'`).join(",");
    case "sqlstring":
      return values.map((it) => `'${it.replace(/'/g, "''")}'`).join(",");
    case "percentencode":
    case "uriencode":
      return encodeURIComponent(globbed(values));
    case "queryparam":
      return queryParam(name, values);
    case "text":
      return texts.join(" + ");
    default:
      return globbed(values);
  }
}
