// Fields that a line has by itself, as JSON or logfmt, and the trace that it belongs to. What the server parsed comes first: this is
// only for lines that were asked for without a parser.
import type { LabelSet } from "../../api/prometheus";
import { isRecord } from "../../api/request";
import type { Entry } from "../../api/entry";

export interface Parsed {
  parser: "json" | "logfmt";
  fields: LabelSet;
}
const FIELDS_MAX = 200;
const DEPTH_MAX = 16;
/** Longer lines are not taken apart. */
const CHARS_MAX = 262_144;

export function parsedLine(line: string): Parsed | undefined {
  const text = line.trim();
  if (text.length > CHARS_MAX) return undefined;
  if (text.startsWith("{")) return json(text);
  const fields = logfmt(text);
  return Object.keys(fields).length > 0 ? { parser: "logfmt", fields } : undefined;
}

function json(text: string): Parsed | undefined {
  try {
    const body: unknown = JSON.parse(text);
    if (!isRecord(body)) return undefined;
    const pairs: [string, string][] = [];
    collect(body, "", pairs, 0);
    return { parser: "json", fields: Object.fromEntries(pairs) };
  } catch {
    return undefined;
  }
}

/** Names of inner fields are joined by `_`, as LogQL's parser does; lists are shown as they are. */
function collect(body: Record<string, unknown>, prefix: string, pairs: [string, string][], depth: number): void {
  for (const [key, value] of Object.entries(body)) {
    if (pairs.length >= FIELDS_MAX) return;
    const name = prefix + key.replace(/[^A-Za-z0-9_]/g, "_");
    if (isRecord(value) && depth < DEPTH_MAX) collect(value, `${name}_`, pairs, depth + 1);
    else pairs.push([name, typeof value === "string" ? value : JSON.stringify(value)]);
  }
}

/** Only what is mostly pairs is logfmt: `a=b` somewhere in a sentence is not. */
function logfmt(text: string): LabelSet {
  const pair = /([A-Za-z_][\w.-]*)=("(?:[^"\\]|\\.)*"|[^\s"]*)/g;
  const pairs: [string, string][] = [];
  let covered = 0;
  for (const [whole, name = "", value = ""] of text.matchAll(pair)) {
    covered += whole.length + 1;
    if (pairs.length < FIELDS_MAX) pairs.push([name.replace(/[.-]/g, "_"), unquoted(value)]);
  }
  return covered * 2 >= text.length ? Object.fromEntries(pairs) : {};
}

function unquoted(value: string): string {
  if (!value.startsWith('"')) return value;
  try {
    return String(JSON.parse(value));
  } catch {
    return value.slice(1, -1);
  }
}

const TRACE_NAME = /^(?:trace|otel_trace|dd_trace)[._-]?id$/i;
const TRACE_ID = /^(?:[0-9a-f]{16}|[0-9a-f]{32})$/i;

/** The trace that a line belongs to: a field of that name, else `trace_id=…` in its text. */
export function traceOf(entry: Entry, parsed: LabelSet): string | undefined {
  const sets = [entry.metadata, entry.parsed, parsed, entry.labels];
  for (const set of sets) {
    for (const [name, value] of Object.entries(set)) {
      const last = name.split(".").slice(-2).join(".");
      if ((TRACE_NAME.test(name) || TRACE_NAME.test(last)) && isTraceId(value)) return value.toLowerCase();
    }
  }
  const inText = /\btrace[._-]?id["']?\s*[=:]\s*["']?([0-9a-f]{32}|[0-9a-f]{16})\b/i.exec(entry.line.slice(0, CHARS_MAX))?.[1];
  return inText && isTraceId(inText) ? inText.toLowerCase() : undefined;
}

function isTraceId(value: string): boolean {
  return TRACE_ID.test(value) && !/^0+$/.test(value);
}
