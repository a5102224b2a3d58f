// Fields of a form as a table: where each stands in the JSON, what it is called, what it takes. Not their looks (FormFields.svelte).
import { isRecord } from "../../api/request";
import type { Fields } from "../model/types";
import { at, withAt } from "../model/values";
import { type Phrase, t } from "../../words/t";

/** Values, and what the reader sees of each. The first is meant where nothing is said. */
export type Choices = readonly (readonly [value: unknown, words: string])[];
export interface Spec {
  /** With dots. */
  path: string;
  words: string;
  kind: "text" | "long" | "number" | "flag" | "json" | Choices;
  hint?: string | undefined;
  /** What is offered while one types. */
  offers?: readonly string[] | undefined;
}

type Word<T extends string> = T extends `${infer First} ${infer Rest}` ? First | Word<Rest> : T;
/** Values of one word each, all of which can be said. */
export const named = <T extends string>(words: Word<T> extends Phrase ? T : never): Choices => words.split(" ").map((it) => [it, t(it as Phrase)] as const);

export function spec(path: string, words: string, kind: Spec["kind"] = "text", hint?: string, offers?: readonly string[]): Spec {
  return { path, words, kind, hint, offers };
}

/** The chosen one's number; -1 for a value that is not offered. */
export function chosenIn(fields: Fields, path: string, choices: Choices): number {
  const value = at(fields, path);
  return value === undefined || value === "" ? 0 : choices.findIndex(([it]) => written(it) === written(value));
}

/** As JSON, with its fields in one order: files have them in any. */
const written = (value: unknown): string => JSON.stringify(value, isRecord(value) ? Object.keys(value).sort() : null);

/** What stands in a field of text as the JSON takes it; nothing takes it out. */
export function typed({ kind }: Spec, text: string): unknown {
  if (kind !== "number") return text === "" ? undefined : text;
  return text.trim() === "" || !Number.isFinite(Number(text)) ? undefined : Number(text);
}

/** A list with one of its items set at a path. */
export function withItem(list: readonly Fields[], index: number, path: string, value: unknown): Fields[] {
  return list.map((it, at) => (at === index ? withAt(it, path, value) : it));
}

/** A list in which one item stands a place earlier. */
export function earlier<T>(list: readonly T[], index: number): T[] {
  return list.flatMap((it, at) => (at === index - 1 ? list.slice(index, index + 1).concat([it]) : at === index ? [] : [it]));
}
