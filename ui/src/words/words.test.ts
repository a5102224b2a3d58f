// Catalogues and how they are asked: what is packed is what is said, what the build makes of components' texts, and that nothing is said
// without words. Not the German.
import { expect, test } from "vitest";
import { phrases, phrasesIn, words } from "../../build/words";
import { WORDS } from "../pages/query/functions";
import { de } from "./de";
import { firstKnown, say, t } from "./t";
import { pack, reader } from "./table";

test("every phrase is said by its packed form, and what is the same in English as well", () => {
  const said = reader(pack(de));
  for (const [phrase, german] of Object.entries(de)) expect(said(phrase), phrase).toBe(german);
});

test.each<[number]>([[0], [1], [2], [3], [50], [3000]])("a catalogue of %i phrases can be packed", (count) => {
  const catalogue = Object.fromEntries(Array.from({ length: count }, (_, at) => [`phrase ${at}`, at % 7 === 0 ? `phrase ${at}` : `Wort ${at}`]));
  const said = reader(pack(catalogue));
  for (const [phrase, german] of Object.entries(catalogue)) expect(said(phrase)).toBe(german);
});

test("values stand where the phrase has them, in both languages, and nothing stands in a phrase twice", () => {
  const places = (text: string): string[] => [...new Set(text.match(/\{\d\}/g))].sort();
  for (const [phrase, german] of Object.entries(de)) {
    expect(places(german), phrase).toEqual(places(phrase));
    expect(german, phrase).not.toMatch(/\n/);
    expect([german.startsWith(" "), german.endsWith(" ")], phrase).toEqual([phrase.startsWith(" "), phrase.endsWith(" ")]);
  }
});

test("without a catalogue English is said", () => {
  expect(t("{0} of {1}", 3, undefined)).toBe("3 of ");
  expect(say`${3} of ${null}`).toBe("3 of ");
  expect(t("{0} of {1}", "{1}", "x")).toBe("{1} of x");
});

test.each<[string[], string]>([[["de-AT", "en"], "de"], [["fr", "DE"], "de"], [["fr"], "en"], [[], "en"], [["constructor"], "en"]])("of the languages %j, %s is spoken", (preferred, language) => {
  expect(firstKnown(preferred)).toBe(language);
});

test("what functions of PromQL give is said in German", () => {
  for (const { words: text } of WORDS) expect(Object.hasOwn(de, text), text).toBe(true);
});

test.each<[string, string, string[]]>([
  ["a text", "<p>  No\n data. </p>", ["No data."]],
  ["values", "<p>{a} of {b}</p>", ["{0} of {1}"]],
  ["a written space is no value", '<p>Silenced{" "}until {x}</p>', ["Silenced until {0}"]],
  ["an attribute that is read", '<p title="On {x}" class="read this" data-x="read this">1</p>', ["On {0}"]],
  ["a component's property", '<Panel title="Disk" unit="percent">{x}</Panel>', ["Disk"]],
  ["code", '<code>read this</code><span class="small mono">read this <b>but this</b></span>', ["but this"]],
  ["what is in no language", '<p translate="no">Deutsch</p>', []],
  ["no words", "<p>{a} · {b}%</p>", []],
  ["in blocks", "{#if a}one{:else}<i>two</i>{/if}{#each c as d}three {d}{/each}", ["one", "two", "three {0}"]],
])("phrases of %s", (_, source, expected) => {
  expect(phrasesIn(source).map((it) => it.phrase)).toEqual(expected);
});

const HERE = new URL("Example.svelte", import.meta.url).pathname;
const prepared = (content: string): string => (phrases().markup?.({ content, filename: HERE }) as { code: string }).code;

test("a text without words, and code that would be taken for a phrase, fail the build", () => {
  expect(() => prepared("<p>Nobody translated this.</p>")).toThrow('cannot say "Nobody translated this."');
  expect(() => prepared('<p class="mono">{#if a}probes{/if}</p>')).toThrow("needs an element of its own");
});

test("what the compiler leaves of phrases is said", () => {
  const plugin = words();
  const transform = (code: string): string => (plugin.transform as (this: unknown, code: string, id: string) => { code: string }).call({ environment: { mode: "build" } }, code, HERE).code;
  const [from, to] = ["\uE000", "\uE001"];
  expect(transform(`$.set_text(a, \`${from}\${b ?? ''} of \${c ?? ''}${to}\`);`)).toContain("$.set_text(a, say_`${b} of ${c}`);");
  expect(transform(`$.set_text(a, \` ${from}\${b ?? ''} of \${c ?? ''}${to} \`);`)).toContain("` ${say_`${b} of ${c}`} `");
  expect(transform(`f({ title: '${from}Disk${to}' });`)).toContain("f({ title: t_('Disk') });");
  expect(transform(`f(' ${from}until${to} ');`)).toContain("f((' ' + t_('until') + ' '));");
  expect(transform(`f(\`${from}\${a ? "${from}Move${to}" : b} of \${c}${to}\`);`)).toContain('f(say_`${a ? t_("Move") : b} of ${c}`);');
  expect(() => transform(`f('${from}Last 24 of it${to}');`)).toThrow('cannot say "Last 24 of it"');
});
