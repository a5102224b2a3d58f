// Mappings as rows of a form and back. Not what they do (fields/display.ts).
import type { Fields } from "../model/types";
import { part, text } from "../model/values";

export interface MappingRow {
  kind: string;
  match: string;
  text: string;
  color: string;
}

export function rowsOf(mappings: readonly Fields[]): MappingRow[] {
  return mappings.flatMap((it): MappingRow[] => {
    const options = part(it, "options");
    const kind = text(it, "type", "value");
    if (kind === "value") return Object.entries(options).map(([match, value]) => ({ kind, match, ...result(value) }));
    const match = kind === "range" ? `${text(options, "from")}..${text(options, "to")}` : kind === "regex" ? text(options, "pattern") : text(options, "match");
    return [{ kind, match, ...result(options["result"]) }];
  });
}

function result(value: unknown): { text: string; color: string } {
  const fields = (typeof value === "object" && value !== null ? value : {}) as Fields;
  return { text: text(fields, "text"), color: text(fields, "color") };
}

export function fromRows(rows: readonly MappingRow[]): Fields[] {
  const values = rows.filter((it) => it.kind === "value");
  const made: Fields[] = values.length === 0 ? [] : [{ type: "value", options: Object.fromEntries(values.map((it, index) => [it.match, { ...shown(it), index }])) }];
  for (const it of rows) {
    if (it.kind === "range") {
      const [from = "", to = ""] = it.match.split("..");
      const bound = (text: string): number | null => (text.trim() === "" || !Number.isFinite(Number(text)) ? null : Number(text));
      made.push({ type: "range", options: { from: bound(from), to: bound(to), result: shown(it) } });
    } else if (it.kind === "regex") made.push({ type: "regex", options: { pattern: it.match, result: shown(it) } });
    else if (it.kind === "special") made.push({ type: "special", options: { match: it.match, result: shown(it) } });
  }
  return made;
}

function shown({ text, color }: MappingRow): Fields {
  return { text, ...(color === "" ? {} : { color }) };
}
