// Ad hoc filters: conditions on labels that are put into every selector of a query. Works on the text of PromQL and LogQL: braces outside
// of quotes, and names of metrics without braces. Not a parser of either language.
import type { AdhocFilter } from "../variables/resolve";

const WORDS = new Set(["by", "without", "on", "ignoring", "group_left", "group_right", "bool", "and", "or", "unless", "offset", "atan2", "inf", "nan", "start", "end"]);

/** In LogQL only braces are selectors: its other words are stages and labels. */
export function withFilters(expr: string, filters: readonly AdhocFilter[], language: "promql" | "logql" = "promql"): string {
  const known = filters.filter((it) => it.key !== "" && ["=", "!=", "=~", "!~"].includes(it.op));
  if (known.length === 0) return expr;
  const conditions = known.map(({ key, op, value }) => `${key}${op}${JSON.stringify(value)}`).join(",");
  let written = "";
  let at = 0;
  while (at < expr.length) {
    const rest = expr.slice(at);
    const quoted = /^("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)/s.exec(rest)?.[0];
    const braces = /^\{(?:[^{}"'`]|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)*\}/s.exec(rest)?.[0];
    const brackets = /^\[[^\]]*\]/.exec(rest)?.[0];
    const grouping = /^(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/i.exec(rest)?.[0];
    const name = /^[a-zA-Z_:][a-zA-Z0-9_:.]*/.exec(rest)?.[0];
    const number = /^(0x[0-9a-f]+|\d+(?:\.\d+)?(?:e[+-]?\d+)?(?:ms|[smhdwy])?)+/i.exec(rest)?.[0];
    if (quoted !== undefined) written += quoted;
    else if (braces !== undefined) {
      const inner = braces.slice(1, -1).trim().replace(/,$/, "");
      written += `{${inner === "" ? "" : `${inner},`}${conditions}}`;
    } else if (brackets !== undefined) written += brackets;
    else if (grouping !== undefined) written += grouping;
    else if (name !== undefined) {
      const after = rest.slice(name.length).trimStart();
      const metric = language === "promql" && !WORDS.has(name.toLowerCase()) && !after.startsWith("(") && !after.startsWith("{") && !/^(by|without)\b/i.test(after);
      written += metric ? `${name}{${conditions}}` : name;
    } else if (number !== undefined) written += number;
    else written += rest.charAt(0);
    at += (quoted ?? braces ?? brackets ?? grouping ?? name ?? number ?? " ").length;
  }
  return written;
}
