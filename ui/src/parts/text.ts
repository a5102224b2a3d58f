// Lines of logs made harmless to read: escape sequences are taken out, what cannot be seen is shown, long lines are folded.
// Mark-up needs no care here: the page only ever writes text.

export interface Clean {
  text: string;
  /** How many escape sequences were taken out. */
  escapes: number;
}

// ESC or its one-character form, then: CSI … final, OSC and the like … BEL or ST, or one more character.
const ESCAPES = /(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]|(?:\u001b[\]PX^_]|[\u0090\u0098\u009d-\u009f])[^\u0007\u001b\u009c]{0,4096}(?:\u0007|\u001b\\|\u009c|$)|\u001b[ -/]*[0-~]/g;
// Controls but tab and newline; what turns the direction of text or has no width.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

export function clean(line: string): Clean {
  let escapes = 0;
  const without = line.replace(ESCAPES, () => {
    escapes += 1;
    return "";
  });
  return { text: without.replace(/\r\n/g, "\n").replace(UNSEEN, seen), escapes };
}

function seen(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
}

/** A row shows no more than this of a line, whose rest unfolds. */
export const ROW_CHARS_MAX = 1000;
/** Unfolded, the rest comes only when it is asked for. */
export const FOLD_CHARS_MAX = 4000;

/** The start of a line, on one row. Only so much is looked at. */
export function rowText(line: string): string {
  const short = line.length > ROW_CHARS_MAX ? `${line.slice(0, ROW_CHARS_MAX)} …` : line;
  return clean(short).text.replace(/\s+$/, "").replace(/\n/g, " ↵ ");
}

export function folded(text: string): { text: string; rest: number } {
  if (text.length <= FOLD_CHARS_MAX) return { text, rest: 0 };
  // Half of a pair is no character.
  const end = /[\ud800-\udbff]/.test(text.charAt(FOLD_CHARS_MAX - 1)) ? FOLD_CHARS_MAX - 1 : FOLD_CHARS_MAX;
  return { text: text.slice(0, end), rest: text.length - end };
}
