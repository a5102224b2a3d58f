// What differs between two dashboards, a line for each place. Not a patch.
import { t } from "../../words/t";
const LINES_MAX = 200;
const CHARS_MAX = 120;

export function differences(before: unknown, after: unknown): string[] {
  const found: string[] = [];
  walk(before, after, "", found);
  return found.length > LINES_MAX ? [...found.slice(0, LINES_MAX), t("… and {0} more", found.length - LINES_MAX)] : found;
}

function walk(a: unknown, b: unknown, path: string, found: string[]): void {
  if (a === b || found.length > LINES_MAX * 5) return;
  if (typeof a === "object" && typeof b === "object" && a !== null && b !== null && Array.isArray(a) === Array.isArray(b)) {
    const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
    for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
      if (path === "" && (key === "version" || key === "id")) continue;
      walk(left[key], right[key], path === "" ? key : Array.isArray(a) ? `${path}[${key}]` : `${path}.${key}`, found);
    }
    return;
  }
  found.push(`${path}: ${shown(a)} → ${shown(b)}`);
}

function shown(value: unknown): string {
  const text = value === undefined ? "(none)" : JSON.stringify(value);
  return text.length > CHARS_MAX ? `${text.slice(0, CHARS_MAX)}…` : text;
}
