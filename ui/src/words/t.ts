// What the page says, in the reader's language: `t("{0} of {1} answered", a, b)`. English stands where it is said; other languages are
// catalogues keyed by it, of which only the reader's is loaded, before the rest of the page is. Not the words themselves: those are in de/.
import type { de } from "./de";
import { reader } from "./table";

/** What can be said: a text without a German one is an error of types. */
export type Phrase = keyof typeof de;

/** Every language by its own name. English needs no catalogue. */
export const LANGUAGES = { en: "English", de: "Deutsch" } as const;
export type Language = keyof typeof LANGUAGES;

/** The build packs a catalogue into one text (build/words.ts). */
type Catalogue = Readonly<Record<string, string>> | string;
const CATALOGUES: Record<Exclude<Language, "en">, () => Promise<Catalogue>> = {
  de: async () => (await import("./de")).de,
};

const KEY = "watchfire.language";

/** The first language of a list of preferences ("de-AT", "fr") that there are words for. */
export function firstKnown(preferred: readonly string[]): Language {
  for (const tag of preferred) {
    const [name = ""] = tag.toLowerCase().split("-");
    if (Object.hasOwn(LANGUAGES, name)) return name as Language;
  }
  return "en";
}

function stored(): Language | undefined {
  try {
    const value = localStorage.getItem(KEY);
    return value !== null && Object.hasOwn(LANGUAGES, value) ? (value as Language) : undefined;
  } catch {
    return undefined;
  }
}

/** The reader's language: chosen by hand, else the browser's, else English. It stays what it is until the page is loaded again. */
export let language: Language = stored() ?? firstKnown(globalThis.navigator?.languages ?? []);

/** What is said already cannot be said anew, so the page is loaded again. */
export function choose(chosen: Language): void {
  try {
    localStorage.setItem(KEY, chosen);
  } catch {
    // Without storage the browser's language is spoken.
  }
  location.reload();
}

/** Says a text of the catalogue; nothing where English is spoken. */
export let known: ((text: string) => string) | undefined;

/** Before anything is said. A catalogue that cannot be loaded is no reason to show nothing. */
export async function loadWords(): Promise<void> {
  if (language === "en") return;
  try {
    const catalogue = await CATALOGUES[language]();
    known = typeof catalogue === "string" ? reader(catalogue) : (text) => catalogue[text] ?? text;
  } catch {
    language = "en";
  }
}

/** Says a phrase, with values in the places of {0}, {1} and so on. */
export function t(phrase: Phrase, ...values: readonly unknown[]): string {
  const said = known ? known(phrase) : phrase;
  return values.length === 0 ? said : said.replace(/\{(\d)\}/g, (_, at: string) => String(values[Number(at)] ?? ""));
}

/** The phrase of a text with values in it, as the build writes texts of components. */
const phraseOf = (texts: readonly string[]): string => texts.reduce((all, it, at) => `${all}{${at - 1}}${it}`);

/** Says a text of a component: say`${a} of ${b}` is t("{0} of {1}", a, b). */
export function say(texts: TemplateStringsArray, ...values: readonly unknown[]): string {
  return known ? t(phraseOf(texts) as Phrase, ...values) : texts.reduce((all, it, at) => `${all}${String(values[at - 1] ?? "")}${it}`);
}
