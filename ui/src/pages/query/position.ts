// Where in the expression a parse error is, out of the server's message ("1:8: parse error: …"). Not the parser.

export interface Position {
  /** Both count from 1. */
  line: number;
  column: number;
}

export function positionOf(message: string): Position | undefined {
  const match = /(?:^|[\s"(])(\d{1,5}):(\d{1,5}):\s/.exec(message);
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
