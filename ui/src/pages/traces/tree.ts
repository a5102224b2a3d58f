// Spans of a trace as a forest, in the order in which its rows stand: who calls whom, how deep, how many below. Spans whose parent never
// came, rings of parents and ids that stand twice are shown, marked, not lost. Not times (clocks.ts) and not the drawing.
import type { Span, Trace } from "../../api/jaeger";
import { t } from "../../words/t";

export type Oddity = "no-parent" | "ring" | "twice";
export const ODDITIES: Record<Oddity, string> = {
  "no-parent": t("Its parent is not in this trace: not sent, or not yet."),
  ring: t("Its parents lead back to itself; it is shown as if it had none."),
  twice: t("Another span of this trace has the same id."),
};
export interface Node {
  span: Span;
  /** Its row, counted in the order of the tree. */
  index: number;
  /** The row of its parent, or -1. */
  parent: number;
  depth: number;
  /** Rows below it that belong to it. */
  size: number;
  children: number[];
  /** It does not keep its parent waiting. */
  follows: boolean;
  error: boolean;
  /** How many of the spans below it have errors. */
  errorsBelow: number;
  oddity: Oddity | undefined;
}

/** One node a span, parents before children, children by their begin. */
export function treeOf({ id, spans }: Trace): Node[] {
  const links = linksOf(spans, id);
  cutRings(links, spans);
  const below: number[][] = spans.map(() => []);
  const roots: number[] = [];
  links.forEach(({ parent }, index) => (parent < 0 ? roots : (below[parent] ?? roots)).push(index));
  const nodes = inOrder(spans, links, roots, below);
  countUp(nodes);
  return nodes;
}

interface Link {
  /** The place of the parent among the spans, or -1. */
  parent: number;
  follows: boolean;
  oddity: Oddity | undefined;
}

function linksOf(spans: readonly Span[], traceId: string): Link[] {
  const places = new Map<string, number>();
  spans.forEach(({ id }, index) => places.has(plain(id)) || places.set(plain(id), index));
  return spans.map((span, index) => {
    const own = span.references.filter((it) => it.traceId === "" || plain(it.traceId) === plain(traceId));
    // What waits for it says more than what it came after.
    const sorted = [...own.filter((it) => !it.follows), ...own.filter((it) => it.follows)];
    const oddity = places.get(plain(span.id)) === index ? undefined : ("twice" as const);
    for (const { spanId, follows } of sorted) {
      const parent = places.get(plain(spanId));
      if (parent !== undefined && parent !== index) return { parent, follows, oddity };
    }
    const ring = own.some((it) => plain(it.spanId) === plain(span.id));
    return { parent: -1, follows: false, oddity: oddity ?? (ring ? "ring" : own.length > 0 ? "no-parent" : undefined) };
  });
}

/** Senders write ids of 64 bits with leading zeros or without. */
export function plain(id: string): string {
  return id.replace(/^0+(?=.)/, "");
}

/** In a ring of parents, the span that began first loses its parent. */
function cutRings(links: Link[], spans: readonly Span[]): void {
  const UNSEEN = 0;
  const WALKED = 1;
  const DONE = 2;
  const state = new Uint8Array(links.length);
  for (let from = 0; from < links.length; from++) {
    const way: number[] = [];
    let at = from;
    while (at >= 0 && state[at] === UNSEEN) {
      state[at] = WALKED;
      way.push(at);
      at = links[at]?.parent ?? -1;
    }
    if (at >= 0 && state[at] === WALKED) {
      const ring = way.slice(way.indexOf(at));
      const first = ring.reduce((a, b) => ((spans[b]?.startUs ?? 0) < (spans[a]?.startUs ?? 0) ? b : a));
      links[first] = { parent: -1, follows: false, oddity: "ring" };
    }
    for (const it of way) state[it] = DONE;
  }
}

/** Without recursion: a trace may be one long chain. */
function inOrder(spans: readonly Span[], links: readonly Link[], roots: readonly number[], below: readonly (readonly number[])[]): Node[] {
  const byBegin = (a: number, b: number): number => (spans[b]?.startUs ?? 0) - (spans[a]?.startUs ?? 0) || b - a;
  const nodes: Node[] = [];
  const rows = new Map<number, number>();
  const waiting = [...roots].sort(byBegin);
  for (let place = waiting.pop(); place !== undefined; place = waiting.pop()) {
    const span = spans[place];
    const link = links[place];
    if (!span || !link) continue;
    const parent = rows.get(link.parent) ?? -1;
    const index = nodes.length;
    rows.set(place, index);
    nodes[parent]?.children.push(index);
    nodes.push({
      span,
      index,
      parent,
      depth: parent < 0 ? 0 : (nodes[parent]?.depth ?? 0) + 1,
      size: 0,
      children: [],
      follows: link.follows,
      error: isError(span),
      errorsBelow: 0,
      oddity: link.oddity,
    });
    // The last one in is the first one out.
    for (const it of [...(below[place] ?? [])].sort(byBegin)) waiting.push(it);
  }
  return nodes;
}

function countUp(nodes: readonly Node[]): void {
  for (let at = nodes.length - 1; at >= 0; at--) {
    const node = nodes[at];
    const parent = node && nodes[node.parent];
    if (!node || !parent) continue;
    parent.size += node.size + 1;
    parent.errorsBelow += node.errorsBelow + (node.error ? 1 : 0);
  }
}

export function isError({ tags }: Pick<Span, "tags">): boolean {
  return tags.some(({ key, value }) => (key === "error" && value.toLowerCase() === "true") || (key === "otel.status_code" && value === "ERROR"));
}

/** The rows that are seen when these are folded. */
export function unfolded(nodes: readonly Node[], folded: ReadonlySet<number>): Node[] {
  const seen: Node[] = [];
  for (let at = 0; at < nodes.length; at++) {
    const node = nodes[at];
    if (!node) break;
    seen.push(node);
    if (folded.has(at)) at += node.size;
  }
  return seen;
}

/** Every row above one, from its parent up. */
export function above(nodes: readonly Node[], index: number): number[] {
  const found: number[] = [];
  for (let at = nodes[index]?.parent ?? -1; at >= 0; at = nodes[at]?.parent ?? -1) found.push(at);
  return found;
}
