// Findings by file, filtered, and how many there are of each kind. Not the drawing.
import type { Finding } from "../../api/doctor";
import { hasWords } from "../../parts/words";

/** Files change seldom, and there is a button. */
export const DOCTOR_MS = 600_000;

export interface FileFindings {
  file: string;
  findings: Finding[];
}

/** Where somebody has to look: `rules.yml:12:9`; findings about no line name the file alone. */
export function placeOf({ file, line, column }: Finding): string {
  return line > 0 ? `${file}:${line}:${column}` : file;
}

export function chosen(findings: readonly Finding[], code: string | undefined, words: string): FileFindings[] {
  const files = new Map<string, Finding[]>();
  for (const it of findings) {
    const text = [placeOf(it), it.code, it.subject, it.message, it.suggestion ?? ""].join("\n");
    if ((code !== undefined && it.code !== code) || !hasWords(text, words)) continue;
    const list = files.get(it.file) ?? [];
    list.push(it);
    files.set(it.file, list);
  }
  return [...files].map(([file, found]) => ({ file, findings: found }));
}

/** Kinds of findings, the most frequent first. */
export function codes(findings: readonly Finding[]): { code: string; count: number }[] {
  const found = new Map<string, number>();
  for (const { code } of findings) found.set(code, (found.get(code) ?? 0) + 1);
  return [...found].map(([code, count]) => ({ code, count })).sort((a, b) => b.count - a.count || a.code.localeCompare(b.code));
}
