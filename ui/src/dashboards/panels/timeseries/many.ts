// More points than the page could draw without standing still: what each pixel's column has at least and at most, made in one pass, goes to
// a worker, and a picture comes back. Not the drawing (many.worker.ts), and not axes and legend (plot.ts).
import type { Range } from "../../variables/time";
import type { Line } from "./series";

/** A line for the worker: column, least and most, one after the other; a hole has no least. */
export interface Columns {
  points: Float64Array<ArrayBuffer>;
  color: string;
}
/** What the worker draws: the values that are seen, and on how many pixels. */
export interface Paint {
  key: string;
  low: number;
  high: number;
  log: boolean;
  width: number;
  height: number;
  line: number;
  /** How many columns the range has. */
  columns: number;
  off: readonly number[];
}
export type Order = { load: Columns[] } | { paint: Paint };
export interface Reply {
  key: string;
  bitmap: ImageBitmap;
}
const PER_POINT = 3;

/** Whether this browser can draw beside the page. */
export function canPaint(): boolean {
  return typeof Worker === "function" && typeof OffscreenCanvas === "function";
}

export class Painter {
  readonly #worker = new Worker(new URL("./many.worker.ts", import.meta.url), { type: "module" });

  constructor(told: (reply: Reply) => void) {
    this.#worker.onmessage = ({ data }: MessageEvent<Reply>) => told(data);
  }
  load(load: Columns[]): void {
    this.#worker.postMessage({ load }, load.map((it) => it.points.buffer));
  }
  paint(paint: Paint): void {
    this.#worker.postMessage({ paint });
  }
  end(): void {
    this.#worker.terminate();
  }
}

/** All lines in so many columns, and the ends of their values. */
export function reduced(lines: readonly Pick<Line, "times" | "field" | "turned" | "color">[], range: Range, columns: number, gap: number, resolve: (color: string) => string): { load: Columns[]; extent: [number, number] } {
  const extent: [number, number] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  let runs: Runs | undefined;
  let numbers = new Float64Array(0);
  /** Used for each line anew: new memory costs more than what is done with it. */
  let points = new Float64Array(0);
  const load = lines.map(({ times, field: { values }, turned, color }): Columns => {
    // Answers of one query have their times in common.
    if (!runs || !alike(runs.times, times)) runs = runsOf(times, range, columns, gap);
    if (numbers.length < values.length) numbers = new Float64Array(values.length);
    // As a whole it is many times as fast as one by one, only that nothing becomes zero.
    numbers.set(values as number[]);
    if (turned) for (let at = 0; at < values.length; at += 1) numbers[at] = -(numbers[at] as number);
    if (points.length < runs.count * 2 * PER_POINT) points = new Float64Array(runs.count * 2 * PER_POINT);
    return { points: points.slice(0, fill(points, runs, numbers, values, extent)), color: resolve(color) };
  });
  const [low, high] = extent;
  return { load, extent: low > high ? [0, 1] : [low, high] };
}

/** Stretches of rows that share a column and have no hole between them. */
interface Runs {
  times: readonly unknown[];
  count: number;
  /** The first row of each, and behind the last one the end. */
  starts: Int32Array;
  column: Int32Array;
  /** 1 for one that stands behind a hole. */
  hole: Uint8Array;
}

/** Of the rows that are seen, with one before and one after, so that lines reach the edges. */
function runsOf(times: readonly unknown[], { from, to }: Range, columns: number, gap: number): Runs {
  const begin = Math.max(0, firstAt(times, from) - 1);
  const end = Math.min(times.length, firstAt(times, to) + 1);
  const [starts, column, hole] = [new Int32Array(end - begin + 1), new Int32Array(end - begin), new Uint8Array(end - begin)];
  let count = 0;
  for (let row = begin; row < end; row += 1) {
    const time = Number(times[row]);
    const at = Math.round(((time - from) * columns) / (to - from));
    const behind = row > begin && time - Number(times[row - 1]) > gap;
    if (count > 0 && !behind && column[count - 1] === at) continue;
    starts[count] = row;
    column[count] = at;
    hole[count] = behind ? 1 : 0;
    count += 1;
  }
  starts[count] = end;
  return { times, count, starts, column, hole };
}

/** Gives how much of the points is filled. */
function fill(points: Float64Array, { count, starts, column, hole }: Runs, numbers: Float64Array, values: readonly unknown[], extent: [number, number]): number {
  let length = 0;
  for (let run = 0; run < count; run += 1) {
    const start = starts[run] as number;
    const end = starts[run + 1] as number;
    let least = Number.POSITIVE_INFINITY;
    let most = Number.NEGATIVE_INFINITY;
    let zero = false;
    for (let row = start; row < end; row += 1) {
      const value = numbers[row] as number;
      if (value < least) least = value;
      if (value > most) most = value;
      if (value === 0) zero = true;
    }
    // Nothing and what is infinite have no place; seldom enough to look again.
    if (zero || least === Number.NEGATIVE_INFINITY || most === Number.POSITIVE_INFINITY) [least, most] = ends(numbers, values, start, end);
    const gone = least > most;
    if (gone || hole[run] === 1) {
      points[length + 1] = Number.NaN;
      length += PER_POINT;
    }
    if (gone) continue;
    points[length] = column[run] as number;
    points[length + 1] = least;
    points[length + 2] = most;
    length += PER_POINT;
    if (least < extent[0]) extent[0] = least;
    if (most > extent[1]) extent[1] = most;
  }
  return length;
}

function ends(numbers: Float64Array, values: readonly unknown[], start: number, end: number): [number, number] {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let row = start; row < end; row += 1) {
    const value = numbers[row] as number;
    if (values[row] === null || !Number.isFinite(value)) continue;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  return [least, most];
}

function alike(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at += 1) if (a[at] !== b[at]) return false;
  return true;
}

/** The first of ascending times that is not before a moment. */
function firstAt(times: readonly unknown[], moment: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (Number(times[middle]) < moment) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The line whose point at a moment is nearest to a height, where it has one there. */
export function nearestTo(lines: readonly Pick<Line, "times" | "field" | "turned">[], moment: number, gap: number, off: ReadonlySet<number>, away: (value: number) => number): { index: number; time: number; value: number } | undefined {
  let found: { index: number; time: number; value: number } | undefined;
  let distance = Number.POSITIVE_INFINITY;
  lines.forEach(({ times, field, turned }, index) => {
    if (off.has(index)) return;
    const after = firstAt(times, moment);
    const row = after > 0 && !(Number(times[after] ?? Number.POSITIVE_INFINITY) - moment < moment - Number(times[after - 1])) ? after - 1 : after;
    const value = field.values[row];
    const time = Number(times[row]);
    if (typeof value !== "number" || !(Math.abs(time - moment) <= gap)) return;
    const far = away(turned ? -value : value);
    if (far < distance) [found, distance] = [{ index, time, value }, far];
  });
  return found;
}
