// What can stand at the caret of a PromQL query, and what fits what is typed there. Not the asking for names (known.ts).
import { type Metadata, metadataOf } from "../../api/prometheus";
import { signature, WORDS } from "./functions";
import { t } from "../../words/t";

/** What is typed, from where on, and what it is. */
export type Place = { start: number; text: string } & (
  | { kind: "name" | "duration" }
  | { kind: "label"; selector: string; grouping: boolean }
  | { kind: "value"; selector: string; label: string; quote: string }
);
export interface Offer {
  text: string;
  /** What is put in, and how far behind it the caret goes on. */
  insert: string;
  note: string;
}
const OFFERS_MAX = 10;
/** With fewer characters nearly every name fits. */
const WORD_CHARS_MIN = 2;
const DURATIONS: Record<string, string> = { "1m": t("one minute"), "5m": t("five minutes"), "10m": t("ten minutes"), "30m": t("half an hour"), "1h": t("one hour"), "6h": t("six hours"), "1d": t("one day"), "7d": t("one week") };
const WORD = /[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const GROUPING = /^(by|without|on|ignoring|group_left|group_right)$/i;

interface Open {
  letter: string;
  /** Where what it holds begins. */
  at: number;
  /** The word before it. */
  word: string;
}

/** What stands open before the caret: brackets from outer to inner, and a quotation. */
export function opened(before: string): { stack: Open[]; quote: string; quoteAt: number; comment: boolean } {
  const stack: Open[] = [];
  let [quote, quoteAt, comment] = ["", 0, false];
  for (let index = 0; index < before.length; index += 1) {
    const letter = before.charAt(index);
    if (comment) comment = letter !== "\n";
    else if (quote !== "") {
      if (letter === "\\" && quote !== "`") index += 1;
      else if (letter === quote) quote = "";
    } else if (letter === '"' || letter === "'" || letter === "`") [quote, quoteAt] = [letter, index];
    else if (letter === "#") comment = true;
    else if ("([{".includes(letter)) stack.push({ letter, at: index + 1, word: WORD.exec(before.slice(0, index).trimEnd())?.[0] ?? "" });
    else if (")]}".includes(letter)) stack.pop();
  }
  return { stack, quote, quoteAt, comment };
}

/** What could be completed at the caret; short words of names only where it is asked for. */
export function placeAt(expr: string, caret: number, asked = false): Place | undefined {
  const before = expr.slice(0, caret);
  const { stack, quote, quoteAt, comment } = opened(before);
  const top = stack.at(-1);
  if (comment) return undefined;
  if (quote !== "") {
    const label = top?.letter === "{" ? /(?:^|,)\s*([a-zA-Z_][\w.]*)\s*(?:=~|!~|!=|=)\s*$/.exec(before.slice(top.at, quoteAt))?.[1] : undefined;
    return top && label ? { kind: "value", label, quote, start: quoteAt + 1, text: before.slice(quoteAt + 1), selector: selectorOf(top, before.slice(top.at, quoteAt)) } : undefined;
  }
  const text = WORD.exec(before)?.[0] ?? "";
  const start = caret - text.length;
  if (top?.letter === "[") {
    const typed = /[0-9a-z]*$/.exec(before)?.[0] ?? "";
    return { kind: "duration", start: caret - typed.length, text: typed };
  }
  if (top?.letter === "{") return /(?:^|,)\s*$/.test(before.slice(top.at, start)) ? { kind: "label", start, text, selector: selectorOf(top, before.slice(top.at, start)), grouping: false } : undefined;
  if (top?.letter === "(" && GROUPING.test(top.word)) return { kind: "label", start, text, selector: "", grouping: true };
  // Digits before it are a number's: 1e3, 5m.
  if (/[0-9.]$/.test(before.slice(0, start))) return undefined;
  return text.length >= WORD_CHARS_MIN || asked ? { kind: "name", start, text } : undefined;
}

/** The selector with the matchers that are whole already, so that only what occurs with them is offered. */
function selectorOf({ word }: Open, inside: string): string {
  const whole = inside.match(/[a-zA-Z_][\w.]*\s*(?:=~|!~|!=|=)\s*(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)\s*(?=,)/g) ?? [];
  return word === "" && whole.length === 0 ? "" : `${word}${whole.length > 0 ? `{${whole.join(",")}}` : ""}`;
}

export function offersFor(place: Place, found: readonly string[], metadata: ReadonlyMap<string, Metadata>, rest: string): Offer[] {
  switch (place.kind) {
    case "duration":
      return fitting(Object.keys(DURATIONS), place.text, false).map((text) => ({ text, insert: rest.startsWith("]") ? text : `${text}]`, note: DURATIONS[text] ?? "" }));
    case "label":
      return fitting(found.filter((it) => it !== "__name__"), place.text).map((text) => ({ text, insert: place.grouping || /^\s*[=!]/.test(rest) ? text : `${text}="`, note: "" }));
    case "value":
      return fitting(found, place.text).map((text) => ({ text, insert: quotedIn(text, place.quote) + (rest.startsWith(place.quote) ? "" : place.quote), note: "" }));
    case "name": {
      const words = new Map(WORDS.map((it) => [it.name, it]));
      const begun = fitting([...words.keys()], place.text, false);
      const names = fitting(found, place.text);
      return [...new Set([...begun, ...names])].slice(0, OFFERS_MAX).map((text) => {
        const word = words.get(text);
        const about = metadataOf(metadata, text);
        if (!word) return { text, insert: text, note: about ? [about.type === "unknown" ? "" : about.type, about.help].filter((it) => it !== "").join(": ") : "" };
        return { text, insert: /^\s*\(/.test(rest) || (word.kind === "keyword" && !GROUPING.test(text)) ? text : `${text}(${word.kind === "function" && word.takes === "" ? ")" : ""}`, note: signature(word) };
      });
    }
  }
}

function quotedIn(text: string, quote: string): string {
  return quote === "`" ? text : text.replaceAll("\\", "\\\\").replaceAll(quote, `\\${quote}`).replaceAll("\n", "\\n");
}

/** Those that begin with the word come first, then those that contain it. The word itself needs no completion. */
export function fitting(names: readonly string[], word: string, within = true): string[] {
  const small = word.toLowerCase();
  const begin: string[] = [];
  const contain: string[] = [];
  for (const name of names) {
    const place = name.toLowerCase().indexOf(small);
    if (place === 0) begin.push(name);
    else if (place > 0 && within) contain.push(name);
  }
  const found = [...begin, ...contain].slice(0, OFFERS_MAX);
  return found.length === 1 && found[0] === word ? [] : found;
}

export function completed(expr: string, place: { start: number; text: string }, insert: string): { expr: string; caret: number } {
  const rest = expr.slice(place.start + place.text.length);
  return { expr: expr.slice(0, place.start) + insert + rest, caret: place.start + insert.length };
}

/** The function whose arguments the caret stands in. */
export function calledAt(expr: string, caret: number): string | undefined {
  const { stack, quote, comment } = opened(expr.slice(0, caret));
  if (comment || quote !== "") return undefined;
  return stack.filter((it) => it.letter === "(" && it.word !== "" && !GROUPING.test(it.word)).at(-1)?.word;
}
