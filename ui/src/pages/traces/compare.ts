// Two traces laid over each other: spans of the same operation below the same operations are one row, with how many there are of them in
// each trace and how long they took together. Not the traces themselves.
import type { Node } from "./tree";

export interface Side {
  count: number;
  us: number;
  errors: number;
}
export interface Pair {
  service: string;
  name: string;
  depth: number;
  /** Rows below it that belong to it. */
  size: number;
  a: Side;
  b: Side;
}
export type Change = "only A" | "only B" | "more" | "fewer" | "same";

interface Place {
  pair: Pair;
  children: Map<string, Place>;
}

export function laidOver(a: readonly Node[], b: readonly Node[]): Pair[] {
  const root: Place = { pair: pairOf("", "", -1), children: new Map() };
  put(a, "a", root);
  put(b, "b", root);
  const pairs: Pair[] = [];
  const waiting = [...root.children.values()].reverse();
  const ends: { pair: Pair; at: number }[] = [];
  for (let place = waiting.pop(); place !== undefined; place = waiting.pop()) {
    close(ends, place.pair.depth, pairs.length);
    ends.push({ pair: place.pair, at: pairs.length });
    pairs.push(place.pair);
    for (const it of [...place.children.values()].reverse()) waiting.push(it);
  }
  close(ends, 0, pairs.length);
  return pairs;
}

/** What is as deep as the next row, or deeper, has all of its rows. */
function close(ends: { pair: Pair; at: number }[], depth: number, row: number): void {
  while ((ends.at(-1)?.pair.depth ?? -1) >= depth) {
    const end = ends.pop();
    if (end) end.pair.size = row - end.at - 1;
  }
}

function put(nodes: readonly Node[], side: "a" | "b", root: Place): void {
  const places: Place[] = [];
  for (const { span, index, parent, error } of nodes) {
    const above = places[parent] ?? root;
    const key = `${span.process.service}\n${span.name}`;
    const place = above.children.get(key) ?? { pair: pairOf(span.process.service, span.name, above.pair.depth + 1), children: new Map<string, Place>() };
    above.children.set(key, place);
    places[index] = place;
    const count = place.pair[side];
    count.count += 1;
    count.us += span.durationUs;
    count.errors += error ? 1 : 0;
  }
}

function pairOf(service: string, name: string, depth: number): Pair {
  return { service, name, depth, size: 0, a: { count: 0, us: 0, errors: 0 }, b: { count: 0, us: 0, errors: 0 } };
}

export function changeOf({ a, b }: Pair): Change {
  if (b.count === 0) return "only A";
  if (a.count === 0) return "only B";
  return a.count === b.count ? "same" : b.count > a.count ? "more" : "fewer";
}
