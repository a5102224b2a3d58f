// When spans began and how long they took, as it was told, or with clocks of other machines set right. Not the order of rows.
import type { Node } from "./tree";

export interface Times {
  /** By row, in microseconds since 1970. */
  starts: readonly number[];
  ends: readonly number[];
  from: number;
  to: number;
}

export function timesOf(nodes: readonly Node[], shifts: readonly number[] | undefined): Times {
  const starts = nodes.map(({ span, index }) => span.startUs + (shifts?.[index] ?? 0));
  const ends = nodes.map(({ span, index }) => (starts[index] ?? 0) + span.durationUs);
  let from = Infinity;
  let to = -Infinity;
  for (const it of starts) from = Math.min(from, it);
  for (const it of ends) to = Math.max(to, it);
  return nodes.length === 0 ? { starts, ends, from: 0, to: 0 } : { starts, ends, from, to };
}

/**
 * By how much each row's clock seems to be off: a span that begins before, or after the end of, the one that waits for it was timed by
 * another clock, if it is of another process. It is put into the middle of its parent, and what its process did below it goes with it.
 */
export function shiftsOf(nodes: readonly Node[]): number[] {
  const shifts: number[] = [];
  for (const { span, index, parent, follows } of nodes) {
    const above = nodes[parent];
    if (!above || follows) {
      shifts[index] = above && sameClock(above, nodes[index]) ? (shifts[parent] ?? 0) : 0;
      continue;
    }
    if (sameClock(above, nodes[index])) {
      shifts[index] = shifts[parent] ?? 0;
      continue;
    }
    const from = above.span.startUs + (shifts[parent] ?? 0);
    const to = from + above.span.durationUs;
    const outside = span.startUs < from || span.startUs > to;
    const middle = from + Math.max(0, (above.span.durationUs - span.durationUs) / 2);
    shifts[index] = outside ? Math.round(middle - span.startUs) : 0;
  }
  return shifts;
}

function sameClock(a: Node, b: Node | undefined): boolean {
  return a.span.process.id === b?.span.process.id && a.span.process.service === b.span.process.service;
}

/** The row whose clock was found to be off, above others that only go with it. */
export function firstShifted(nodes: readonly Node[], shifts: readonly number[]): Node[] {
  return nodes.filter((node) => shifts[node.index] !== 0 && (node.parent < 0 || shifts[node.parent] !== shifts[node.index]));
}
