// Slices of a pie around (0, 0) with a radius of 100. Only arithmetic.
import { fixed, PERCENT } from "../../../units/format";

export interface Slice {
  index: number;
  share: number;
  words: string;
  path: string;
  middle: [number, number];
}

export function slicesOf(values: readonly number[], hole: number): Slice[] {
  const total = values.reduce((sum, it) => sum + it, 0);
  let from = 0;
  return values.map((value, index) => {
    const share = total > 0 ? value / total : 0;
    const to = from + share;
    const slice = { index, share, words: total > 0 ? `${fixed(share * 100, share > 0 && share < 0.1 ? 1 : 0)}${PERCENT}` : "–", path: share > 0 ? pathOf(from, to, hole) : "", middle: pointAt((from + to) / 2, hole > 0 ? 78 : 64) };
    from = to;
    return slice;
  });
}

function pathOf(from: number, to: number, hole: number): string {
  // A whole turn has no two ends that an arc could join.
  if (to - from > 0.9999) return `M0 -100A100 100 0 1 1 0 100A100 100 0 1 1 0 -100Z${hole > 0 ? `M0 ${-100 * hole}A${100 * hole} ${100 * hole} 0 1 0 0 ${100 * hole}A${100 * hole} ${100 * hole} 0 1 0 0 ${-100 * hole}Z` : ""}`;
  const long = to - from > 0.5 ? 1 : 0;
  const [a, b] = [pointAt(from, 100), pointAt(to, 100)];
  if (hole === 0) return `M0 0L${a.join(" ")}A100 100 0 ${long} 1 ${b.join(" ")}Z`;
  const [c, d] = [pointAt(to, 100 * hole), pointAt(from, 100 * hole)];
  return `M${a.join(" ")}A100 100 0 ${long} 1 ${b.join(" ")}L${c.join(" ")}A${100 * hole} ${100 * hole} 0 ${long} 0 ${d.join(" ")}Z`;
}

function pointAt(turn: number, radius: number): [number, number] {
  const angle = turn * 2 * Math.PI;
  return [round(radius * Math.sin(angle)), round(-radius * Math.cos(angle))];
}

function round(value: number): number {
  return Math.round(value * 100) / 100 + 0;
}
