// Who calls whom, as a picture: services in columns, callers left of whom they call, few crossings. Not the drawing, and not the counting.
import type { Call } from "../../api/jaeger";

export interface Box {
  service: string;
  x: number;
  y: number;
  /** Calls that came to it, and calls that it made. */
  called: number;
  calls: number;
}
export interface Line {
  from: string;
  to: string;
  count: number;
  path: string;
  /** From nothing to one, by how often it is called. */
  weight: number;
}
export interface ServiceMap {
  boxes: Box[];
  lines: Line[];
  width: number;
  height: number;
  /** Services that have no place in the picture; the table has them. */
  left: number;
}

export const BOX = { width: 170, height: 46 };
const GAP = { x: 90, y: 22, back: 40 };
const MARGIN = 36;
/** More boxes cannot be read. */
export const BOXES_MAX = 80;
const SWEEPS = 6;

export function mapOf(all: readonly Call[]): ServiceMap {
  const calls = summed(all);
  const names = busiest(calls);
  const shown = calls.filter((it) => names.includes(it.parent) && names.includes(it.child));
  const columns = ordered(columnsOf(names, shown), shown);
  const boxes = placed(columns, shown);
  const byName = new Map(boxes.map((it) => [it.service, it]));
  const most = Math.max(1, ...shown.map((it) => it.count));
  const lines = shown.flatMap(({ parent, child, count }): Line[] => {
    const [from, to] = [byName.get(parent), byName.get(child)];
    return from && to ? [{ from: parent, to: child, count, path: pathOf(from, to), weight: Math.log1p(count) / Math.log1p(most) }] : [];
  });
  return {
    boxes,
    lines,
    width: Math.max(0, ...boxes.map((it) => it.x + BOX.width)) + MARGIN,
    height: Math.max(0, ...boxes.map((it) => it.y + BOX.height)) + MARGIN,
    left: new Set(calls.flatMap((it) => [it.parent, it.child])).size - names.length,
  };
}

/** Pairs that come twice are one. */
export function summed(all: readonly Call[]): Call[] {
  const found = new Map<string, Call>();
  for (const it of all) {
    const key = `${it.parent}\n${it.child}`;
    const same = found.get(key);
    if (same) same.count += it.count;
    else found.set(key, { ...it });
  }
  return [...found.values()];
}

function busiest(calls: readonly Call[]): string[] {
  const counts = new Map<string, number>();
  for (const { parent, child, count } of calls) for (const it of new Set([parent, child])) counts.set(it, (counts.get(it) ?? 0) + count);
  return [...counts]
    .sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]))
    .slice(0, BOXES_MAX)
    .map(([name]) => name);
}

/** Each service one column right of the last that calls it; calls that close a ring do not count. */
function columnsOf(names: readonly string[], calls: readonly Call[]): string[][] {
  const kept = withoutRings(names, calls);
  const column = new Map<string, number>();
  // `kept` comes callers first, so that a caller has its column before whom it calls.
  for (const name of kept.order) {
    for (const child of kept.children.get(name) ?? []) column.set(child, Math.max(column.get(child) ?? 0, (column.get(name) ?? 0) + 1));
  }
  const columns: string[][] = [];
  for (const name of kept.order) (columns[column.get(name) ?? 0] ??= []).push(name);
  return columns;
}

/** A search in depth from those whom nobody calls: what leads back to a service on the way closes a ring. */
function withoutRings(names: readonly string[], calls: readonly Call[]): { order: string[]; children: Map<string, string[]> } {
  const called = new Set(calls.filter((it) => it.parent !== it.child).map((it) => it.child));
  /** Who calls more than it is called begins, where everybody is called. */
  const more = new Map(names.map((it) => [it, 0]));
  for (const { parent, child, count } of calls) {
    more.set(parent, (more.get(parent) ?? 0) + count);
    more.set(child, (more.get(child) ?? 0) - count);
  }
  const starts = [...names.filter((it) => !called.has(it)), ...[...names].sort((a, b) => (more.get(b) ?? 0) - (more.get(a) ?? 0) || a.localeCompare(b))];
  const children = new Map<string, string[]>();
  const done = new Set<string>();
  const way = new Set<string>();
  const order: string[] = [];
  // No more than BOXES_MAX deep.
  const visit = (name: string): void => {
    way.add(name);
    for (const { parent, child } of calls) {
      if (parent !== name || way.has(child)) continue;
      children.set(name, [...(children.get(name) ?? []), child]);
      if (!done.has(child)) visit(child);
    }
    way.delete(name);
    done.add(name);
    order.unshift(name);
  };
  for (const name of starts) if (!done.has(name)) visit(name);
  return { order, children };
}

/** Boxes near the middle of those that they are joined with, sweep by sweep. */
function ordered(columns: readonly string[][], calls: readonly Call[]): string[][] {
  let found = columns.map((it) => [...it]);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const place = new Map(found.flatMap((column) => column.map((name, at) => [name, (at + 0.5) / column.length] as const)));
    const middle = (name: string): number => {
      const near = calls.flatMap(({ parent, child }) => (parent === child ? [] : parent === name ? [child] : child === name ? [parent] : []));
      const sum = near.reduce((total, it) => total + (place.get(it) ?? 0.5), 0);
      return near.length === 0 ? (place.get(name) ?? 0.5) : sum / near.length;
    };
    const middles = new Map(found.flat().map((name) => [name, middle(name)]));
    found = found.map((column) => [...column].sort((a, b) => (middles.get(a) ?? 0) - (middles.get(b) ?? 0) || a.localeCompare(b)));
  }
  return found;
}

function placed(columns: readonly string[][], calls: readonly Call[]): Box[] {
  const rows = Math.max(1, ...columns.map((it) => it.length));
  const sum = (of: (call: Call) => string, name: string): number => calls.reduce((total, it) => total + (of(it) === name ? it.count : 0), 0);
  return columns.flatMap((column, x) =>
    column.map((service, y) => ({
      service,
      x: MARGIN + x * (BOX.width + GAP.x),
      y: MARGIN + (y + (rows - column.length) / 2) * (BOX.height + GAP.y),
      called: sum((it) => it.child, service),
      calls: sum((it) => it.parent, service),
    })),
  );
}

function pathOf(from: Box, to: Box): string {
  const middle = BOX.height / 2;
  if (from === to) {
    const [x, y] = [from.x + BOX.width, from.y + middle];
    return `M${x} ${y - 10}c40 -20 40 40 0 20`;
  }
  if (to.x <= from.x) {
    // What leads back goes around below.
    const [x1, y1, x2, y2] = [from.x + BOX.width / 2, from.y + BOX.height, to.x + BOX.width / 2, to.y + BOX.height];
    return `M${x1} ${y1}C${x1} ${y1 + GAP.back} ${x2} ${y2 + GAP.back} ${x2} ${y2}`;
  }
  const [x1, y1, x2, y2] = [from.x + BOX.width, from.y + middle, to.x, to.y + middle];
  const bend = (x2 - x1) / 2;
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}
