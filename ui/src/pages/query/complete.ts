// Metric names for what is being typed: the word at the caret and the names that fit it. Not labels, not functions.

export interface Word {
  start: number;
  text: string;
}
const SUGGESTIONS_MAX = 10;
/** With fewer characters nearly every name fits. */
const WORD_CHARS_MIN = 2;

/** The name being typed before the caret; nothing inside quotes, braces or brackets, where no metric name can stand. */
export function wordAt(expr: string, caret: number): Word | undefined {
  const before = expr.slice(0, caret);
  if (opened(before)) return undefined;
  const text = /[a-zA-Z_:][a-zA-Z0-9_:]*$/.exec(before)?.[0] ?? "";
  return text.length < WORD_CHARS_MIN ? undefined : { start: caret - text.length, text };
}

/** Names that begin with the word come first, then those that contain it. The name itself needs no completion. */
export function suggestions(names: readonly string[], word: string): string[] {
  const small = word.toLowerCase();
  const begin: string[] = [];
  const contain: string[] = [];
  for (const name of names) {
    const place = name.toLowerCase().indexOf(small);
    if (place === 0) begin.push(name);
    else if (place > 0) contain.push(name);
  }
  const found = [...begin, ...contain].slice(0, SUGGESTIONS_MAX);
  return found.length === 1 && found[0] === word ? [] : found;
}

export function completed(expr: string, word: Word, name: string): { expr: string; caret: number } {
  const rest = expr.slice(word.start + word.text.length);
  return { expr: expr.slice(0, word.start) + name + rest, caret: word.start + name.length };
}

function opened(text: string): boolean {
  let quote = "";
  let depth = 0;
  for (let index = 0; index < text.length; index += 1) {
    const character = text.charAt(index);
    if (quote !== "") {
      if (character === "\\") index += 1;
      else if (character === quote) quote = "";
    } else if (character === '"' || character === "'" || character === "`") quote = character;
    else if (character === "{" || character === "[") depth += 1;
    else if (character === "}" || character === "]") depth -= 1;
  }
  return quote !== "" || depth > 0;
}
