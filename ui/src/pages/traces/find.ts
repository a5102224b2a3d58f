// Which spans have words in their service, operation, id, tags or logs. Not a query language.
import type { Span, Tag } from "../../api/jaeger";
import type { Node } from "./tree";

/** Rows in which every word stands, in their order; none when no word is asked for. */
export function foundRows(nodes: readonly Node[], words: string): number[] {
  const all = words.toLowerCase().split(/\s+/).filter((it) => it !== "");
  if (all.length === 0) return [];
  return nodes.filter((it) => hasAll(it, all)).map((it) => it.index);
}

/** Made once a span: words are looked for with every letter that is typed. */
const texts = new WeakMap<Span, string>();

function hasAll({ span }: Node, words: readonly string[]): boolean {
  const text = texts.get(span) ?? textOf(span);
  texts.set(span, text);
  return words.every((it) => text.includes(it));
}

function textOf({ id, name, process, tags, logs }: Span): string {
  const pairs = (of: readonly Tag[]): string => of.map((it) => `${it.key}=${it.value}`).join("\n");
  return [id, process.service, name, pairs(tags), pairs(process.tags), ...logs.map((it) => pairs(it.fields))].join("\n").toLowerCase();
}
