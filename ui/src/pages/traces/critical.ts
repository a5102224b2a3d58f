// The critical path: the chain of spans that the end of the trace waited for. What would be faster, if one of these were. Not advice.
import type { Times } from "./clocks";
import type { Node } from "./tree";

export interface Section {
  /** The row that the time was spent in. */
  index: number;
  from: number;
  to: number;
}

/**
 * From the end of the first root backwards: the child that ended last before the present moment is what was waited for, from its begin
 * the search goes on; what no child accounts for is the span's own. Children that only follow keep nobody waiting, what a child does
 * outside its parent is not counted.
 */
export function criticalPath(nodes: readonly Node[], times: Times): Section[] {
  const root = nodes.find((it) => it.parent < 0 && it.oddity === undefined) ?? nodes[0];
  if (!root) return [];
  const sections: Section[] = [];
  const waiting: Section[] = [{ index: root.index, from: startOf(times, root.index), to: endOf(times, root.index) }];
  for (let it = waiting.pop(); it !== undefined; it = waiting.pop()) {
    const { index, from, to } = it;
    let moment = to;
    for (const child of childrenBackwards(nodes, times, it)) {
      if (child.to > moment) continue;
      if (child.to < moment) sections.push({ index, from: child.to, to: moment });
      waiting.push(child);
      moment = child.from;
    }
    if (from < moment) sections.push({ index, from, to: moment });
  }
  return sections.sort((a, b) => a.from - b.from);
}

function childrenBackwards(nodes: readonly Node[], times: Times, { index, from, to }: Section): Section[] {
  return (nodes[index]?.children ?? [])
    .filter((it) => !nodes[it]?.follows)
    .map((it) => ({ index: it, from: Math.max(from, startOf(times, it)), to: Math.min(to, endOf(times, it)) }))
    .filter((it) => it.from < it.to)
    .sort((a, b) => b.to - a.to || a.from - b.from);
}

const startOf = (times: Times, index: number): number => times.starts[index] ?? 0;
const endOf = (times: Times, index: number): number => times.ends[index] ?? 0;

export function byRow(sections: readonly Section[]): Map<number, Section[]> {
  const found = new Map<number, Section[]>();
  for (const it of sections) {
    const same = found.get(it.index);
    if (same) same.push(it);
    else found.set(it.index, [it]);
  }
  return found;
}

export interface Share {
  service: string;
  name: string;
  us: number;
}

/** Where the time of the path was spent, most first. */
export function sharesOf(nodes: readonly Node[], sections: readonly Section[]): Share[] {
  const found = new Map<string, Share>();
  for (const { index, from, to } of sections) {
    const span = nodes[index]?.span;
    if (!span) continue;
    const key = `${span.process.service}\n${span.name}`;
    const share = found.get(key) ?? { service: span.process.service, name: span.name, us: 0 };
    share.us += to - from;
    found.set(key, share);
  }
  return [...found.values()].sort((a, b) => b.us - a.us);
}
