// The fixed texts of components' templates in the reader's language, before the templates are made. The build puts these in the places of
// Svelte's own (build/words.ts). Not texts with values in them: those are said by t().
import { known } from "./t";

/** Attributes that are read, out or by eye. */
const READ = ["title", "aria-label", "placeholder", "alt"];
/** What stands in these is code, and so is what is set in a typeface for it. */
const CODE = /^(code|kbd|pre|samp)$/;
const CODE_CLASS = /\bmono\b/;

const WORD = /[A-Za-zÀ-ÿ]{2}/;

function said(text: string): string {
  if (!WORD.test(text)) return text;
  return known ? text.replace(/\S(?:[^]*\S)?/, (words) => (known as (text: string) => string)(words.replace(/\s+/g, " "))) : text;
}

function inPlace(tree: unknown[], coded = false): void {
  tree.forEach((item, at) => {
    if (typeof item === "string") tree[at] = coded ? item : said(item);
    else if (Array.isArray(item)) {
      const [name, attributes] = item as [unknown, Record<string, string> | null | undefined];
      if (attributes?.["translate"] === "no") return;
      for (const it of READ) if (attributes?.[it]) attributes[it] = said(attributes[it]);
      if (CODE.test(String(name))) return;
      const children: unknown[] = item.slice(2);
      inPlace(children, CODE_CLASS.test(attributes?.["class"] ?? ""));
      item.splice(2, children.length, ...children);
    }
  });
}

/** Makes a template, by Svelte's function for it. */
export function tree<T>(make: (structure: unknown[], flags: number) => T, structure: unknown[], flags: number): T {
  if (known) inPlace(structure);
  return make(structure, flags);
}

/** Makes a text that stands alone, likewise. */
export const text = <T>(make: (words: string) => T, words: string): T => make(said(words));
