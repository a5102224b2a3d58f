// Languages in the build: texts of components become phrases, a text without words in every language fails the build, and catalogues are
// packed. Not the words (src/words/de), and not how the page says them (src/words/t.ts).
import { createHash } from "node:crypto";
import { join } from "node:path";
import { type AST, parse, type PreprocessorGroup } from "svelte/compiler";
import type { Plugin } from "vite";
import { de } from "../src/words/de/index.ts";
import { pack } from "../src/words/table.ts";

const SRC = join(import.meta.dirname, "..", "src");
/** What loads catalogues. */
const SAID = join(SRC, "words/t.ts");
const CATALOGUES: Record<string, Readonly<Record<string, string>>> = { de };

/** Attributes of elements that are read, out or by eye. */
const READ = new Set(["title", "aria-label", "placeholder", "alt"]);
/** Properties of our components that are shown as they are given. */
const SHOWN = new Set([...READ, "label", "what", "confirm", "name", "text", "word", "words"]);
/** What stands in these is code, and so is what is set in a typeface for it. */
const CODE = new Set(["code", "kbd", "pre", "samp"]);
const CODE_CLASS = /\bmono\b/;
const WORD = /[A-Za-zÀ-ÿ]{2}/;
/** They stand around a phrase while the compiler works, to which it is a text as any other: a call would be watched for changes. */
const [FROM, TO] = ["\uE000", "\uE001"];
/** What the compiler may put in as a number or a text, after which the phrase is not what it was: those stay calls. */
const FIXED = /^[^a-z]*$|\b[A-Z][A-Z0-9_]+\b/;

type Part = AST.Text | AST.ExpressionTag;
/** A phrase of a component: where it stands, and what to put there when it is not left as it is. */
interface Found {
  phrase: string;
  /** Without: the text stays in the template, and is said when that is made. */
  change?: { start: number; end: number; put: string };
}

const isPart = (node: { type: string }): node is Part => node.type === "Text" || node.type === "ExpressionTag";
/** Whether a part is a space that is written out, as `{" "}`. */
const isSpace = (it: Part | undefined): boolean => it?.type === "ExpressionTag" && it.expression.type === "Literal" && /^\s*$/.test(String(it.expression.value));
const hasWords = (run: readonly Part[]): boolean => run.some((it) => it.type === "Text" && WORD.test(it.data));
const isFixed = (run: readonly Part[]): boolean => run.every((it) => it.type === "Text");

/** The phrase of a run of texts and values, and how the component is to write it. */
function phraseOf(run: readonly Part[], source: string): { phrase: string; written: string } {
  const values: string[] = [];
  const parts = run.map((it): [phrase: string, written: string] => {
    if (it.type === "Text") return [it.data, it.raw];
    if (it.expression.type === "Literal" && typeof it.expression.value === "string") return [it.expression.value, it.expression.value];
    const { start, end } = it.expression as unknown as { start: number; end: number };
    values.push(source.slice(start, end));
    return [`{${values.length - 1}}`, `{${source.slice(start, end)}}`];
  });
  const spaced = (at: 0 | 1): string => parts.map((it) => (it[1].startsWith("{") && it[0].startsWith("{") ? it[at] : it[at].replace(/\s+/g, " "))).join("").trim();
  const phrase = spaced(0);
  const written = values.some((it) => FIXED.test(it)) ? `{t_(${[JSON.stringify(phrase), ...values].join(", ")})}` : FROM + spaced(1) + TO;
  return { phrase, written };
}

function inRun(whole: readonly Part[], source: string): Found[] {
  const run = whole.slice(isSpace(whole[0]) ? 1 : 0, isSpace(whole.at(-1)) ? -1 : undefined);
  const [first, last] = [run[0], run.at(-1)];
  if (!first || !last || !hasWords(run)) return [];
  const { phrase, written } = phraseOf(run, source);
  // A space that is written out joins its neighbours while the component is compiled: then the template does not hold the text as it is.
  if (isFixed(run) && run.length === whole.length) return [{ phrase }];
  const start = first.type === "Text" ? first.start + (first.raw.length - first.raw.trimStart().length) : first.start;
  const end = last.type === "Text" ? last.end - (last.raw.length - last.raw.trimEnd().length) : last.end;
  return [{ phrase, change: { start, end, put: written } }];
}

function inAttribute({ name, value, start, end }: AST.Attribute, component: boolean, source: string): Found[] {
  if (!Array.isArray(value) || !(component ? SHOWN : READ).has(name) || !hasWords(value)) return [];
  const { phrase, written } = phraseOf(value, source);
  // The template says it; a component is given it as it is to be shown.
  if (!component && isFixed(value)) return [{ phrase }];
  return [{ phrase, change: { start, end, put: `${name}=${written.startsWith("{") ? written : `"${written}"`}` } }];
}

/** `coded`: the texts that stand directly here are code; `own`: in an element that says so, and not in a block within. */
function inNode(node: unknown, source: string, found: Found[], coded = false, own = false): void {
  if (typeof node !== "object" || node === null) return;
  if (Array.isArray(node)) {
    for (const it of node) inNode(it, source, found, coded, own);
    return;
  }
  const { type, name, attributes, nodes } = node as { type?: string; name?: string; attributes?: AST.Attribute[]; nodes?: { type: string }[] };
  const fixed = (of: string): string => attributes?.map((it) => (it.type === "Attribute" && it.name === of && Array.isArray(it.value) && it.value[0]?.type === "Text" ? it.value[0].data : "")).join("") ?? "";
  if (fixed("translate") === "no") return;
  for (const it of attributes ?? []) if (it.type === "Attribute") found.push(...inAttribute(it, type === "Component", source));
  if (type === "RegularElement" && CODE.has(name ?? "")) return;
  const inside = type === "RegularElement" ? CODE_CLASS.test(fixed("class")) : coded;
  if (type === "Fragment") {
    let run: Part[] = [];
    for (const it of [...(nodes ?? []), { type: "end" }]) {
      if (isPart(it)) run.push(it);
      else {
        if (!coded) found.push(...inRun(run, source));
        else if (!own && hasWords(run) && isFixed(run)) throw new Error(`cannot tell ${JSON.stringify(phraseOf(run, source).phrase)} from a phrase: it is code in a block, and needs an element of its own`);
        run = [];
      }
    }
  }
  for (const [key, below] of Object.entries(node)) if (key !== "css" && key !== "instance" && key !== "module" && key !== "expression") inNode(below, source, found, inside, type === "RegularElement");
}

/** Every phrase of a component's markup. Those in its scripts are calls of t(), which types hold. */
export function phrasesIn(source: string): Found[] {
  const found: Found[] = [];
  inNode(parse(source, { modern: true }).fragment, source, found);
  return found;
}

function check(phrases: readonly string[], filename: string): void {
  for (const [name, catalogue] of Object.entries(CATALOGUES)) {
    const missing = phrases.filter((it) => !Object.hasOwn(catalogue, it));
    if (missing.length > 0) throw new Error(`cannot say ${missing.map((it) => JSON.stringify(it)).join(", ")} of ${filename}: src/words/${name} has no words for it`);
  }
}

/** Calls with a phrase alone are phrases as well, to spare the compiler's watching. */
const CALL = /(?<![\w.])t\(("(?:[^"\\]|\\.)*")\)/g;

/** Makes phrases of the texts of components before they are compiled. */
export function phrases(): PreprocessorGroup {
  return {
    name: "watchfire-phrases",
    markup({ content, filename = "" }) {
      if (!filename.startsWith(SRC)) return { code: content };
      const found = phrasesIn(content);
      check(found.map((it) => it.phrase), filename);
      // From the end, so that places before stay what they are.
      const changes = found.flatMap((it) => it.change ?? []).sort((a, b) => b.start - a.start);
      const changed = changes.reduce((code, { start, end, put }) => code.slice(0, start) + put + code.slice(end), content);
      const made = changed.replace(CALL, (_, phrase: string) => `${phrase.slice(0, 1)}${FROM}${phrase.slice(1, -1)}${TO}"`);
      if (!made.includes("t_(")) return { code: made };
      const line = 'import { t as t_ } from "/src/words/t";';
      const script = /<script(?![^>]*\bmodule\b)[^>]*>/.exec(made);
      const at = script ? script.index + script[0].length : 0;
      return { code: `${made.slice(0, at)}${script ? line : `<script lang="ts">${line}</script>`}${made.slice(at)}` };
    },
  };
}

const QUOTED = /'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g;

/** A text in quotes with phrases in it, as what says them. */
function unquoted(text: string, filename: string): string {
  if (!text.includes(FROM)) return text;
  const quote = text.charAt(0);
  const parts = text.slice(1, -1).split(new RegExp(`[${FROM}${TO}]`));
  check(parts.filter((_, at) => at % 2 === 1).map((it) => JSON.parse(`"${it.replace(/\\'/g, "'").replace(/(?<!\\)"/g, '\\"')}"`) as string), filename);
  const made = parts.map((it, at) => (at % 2 === 1 ? `t_(${quote}${it}${quote})` : it === "" ? "" : quote + it + quote)).filter((it) => it !== "");
  return made.length === 1 ? (made[0] ?? "") : `(${made.join(" + ")})`;
}

/** Phrases with values, which the compiler left in template literals: alone in one or with spaces around. */
function tagged(code: string): string {
  let made = code;
  for (let from = made.indexOf(FROM); from >= 0; from = made.indexOf(FROM)) {
    let [to, depth] = [from, 0];
    do {
      const it = made.charAt(to);
      depth += it === FROM ? 1 : it === TO ? -1 : 0;
      to += 1;
    } while (depth > 0 && to < made.length);
    const alone = made.charAt(from - 1) === "`" && made.charAt(to) === "`";
    // What says it takes a value that is not there for nothing, as the compiler would.
    const phrase = `say_\`${made.slice(from + 1, to - 1).replaceAll(" ?? ''}", "}")}\``;
    made = alone ? made.slice(0, from - 1) + phrase + made.slice(to + 1) : `${made.slice(0, from)}\${${phrase}}${made.slice(to)}`;
  }
  return made;
}

/** After the compiler: phrases are said, templates are made in the reader's language, and catalogues are packed. */
export function words(): Plugin {
  return {
    name: "watchfire-words",
    enforce: "post",
    transform(code, id) {
      const [path = ""] = id.split("?");
      if (!path.startsWith(SRC)) return undefined;
      if (path.endsWith(".svelte")) {
        const said = tagged(code.replace(QUOTED, (it) => unquoted(it, path)));
        const made = said.replaceAll("$.from_tree(", "tree_($.from_tree, ").replace(/\$\.text\((?=['"`])/g, "text_($.text, ");
        if (made === code) return undefined;
        return { code: `import { say as say_, t as t_ } from "/src/words/t";\nimport { text as text_, tree as tree_ } from "/src/words/markup";\n${made.replace(/import \{ t as t_ \} from .*/, "")}`, map: null };
      }
      if (this.environment.mode !== "build" || path !== SAID) return undefined;
      // Words are files of their own and no programs: nothing is parsed, and they keep as long as no word changes.
      const made = code.replace(/\(await import\("\.\/(\w+)"\)\)\.\1/g, (_, name: string) => {
        const catalogue = CATALOGUES[name];
        if (!catalogue) throw new Error(`cannot pack src/words/${name}: the build does not know it`);
        const packed = pack(catalogue);
        const fileName = `assets/${name}-${createHash("sha256").update(packed).digest("hex").slice(0, 8)}.words`;
        this.emitFile({ type: "asset", fileName, source: packed });
        return `fetch("/${fileName}").then((it) => (it.ok ? it.text() : Promise.reject()))`;
      });
      if (made === code) throw new Error(`cannot find where ${SAID} loads catalogues`);
      return { code: made, map: null };
    },
  };
}
