// The geometry of the gauge: where on its arc a percentage lies. Not colours or words.

/** Degrees, clockwise from the top: the arc leaves the bottom open. */
const START = -120;
const SWEEP = 240;

/** The whole arc as an SVG path around (0, 0). */
export function arcPath(radius: number): string {
  const [x1, y1] = pointAt(0, radius);
  const [x2, y2] = pointAt(100, radius);
  return `M ${x1} ${y1} A ${radius} ${radius} 0 1 1 ${x2} ${y2}`;
}

/** The point of a percentage at a distance from the middle. */
export function pointAt(percent: number, radius: number): [number, number] {
  const angle = ((START + (SWEEP * Math.min(100, Math.max(0, percent))) / 100) * Math.PI) / 180;
  return [rounded(radius * Math.sin(angle)), rounded(-radius * Math.cos(angle))];
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000 + 0;
}
