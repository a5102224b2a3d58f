// Where in a query a parse error is, out of the server's message, and the rows that its field needs. Not the parser.
const ROWS_MAX = 8;

/** What a server says of a query, and the query. */
export interface Problem {
  message: string;
  text: string;
}
export interface Position {
  /** Both count from 1. */
  line: number;
  column: number;
}

/** Metrics are complained of as "1:8: parse error: …", logs as "parse error at line 1, col 8: …". */
export function positionOf(message: string, of: "metrics" | "logs" = "metrics"): Position | undefined {
  const match = (of === "logs" ? /line (\d+), col(?:umn)? (\d+)/ : /(?:^|[\s"(])(\d{1,5}):(\d{1,5}):\s/).exec(message);
  return match ? { line: Number(match[1]), column: Number(match[2]) } : undefined;
}

/** The line in question, cut before and at the place, for a marker under the input; nothing when it is not in the text. */
export function markedLine(expr: string, { line, column }: Position): { before: string; at: string; after: string } | undefined {
  const text = expr.split("\n")[line - 1];
  if (text === undefined || column < 1 || column > text.length + 1) return undefined;
  const characters = [...text];
  const index = column - 1;
  return { before: characters.slice(0, index).join(""), at: characters[index] ?? " ", after: characters.slice(index + 1).join("") };
}

export function rowsFor(text: string): number {
  return Math.min(ROWS_MAX, text.split("\n").length);
}
