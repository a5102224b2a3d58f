// Very many points in columns: peaks stay, holes stay open, the nearest line is found; and what the worker makes of them. Not pixels.
import { beforeAll, expect, test, vi } from "vitest";
import { type Field, field, type Frame } from "../../fields/frame";
import { type Columns, nearestTo, type Order, type Paint, reduced, type Reply } from "./many";
import { chartOf, LINES_MAX } from "./series";

const path: [string, number, number][] = [];
let replies: Reply[] = [];
let order: (order: Order) => void;

beforeAll(async () => {
  class Canvas {
    getContext(): object {
      return { beginPath: () => undefined, stroke: () => undefined, moveTo: (x: number, y: number) => path.push(["move", x, Math.round(y)]), lineTo: (x: number, y: number) => path.push(["line", x, Math.round(y)]) };
    }
    transferToImageBitmap(): object {
      return {};
    }
  }
  vi.stubGlobal("OffscreenCanvas", Canvas);
  vi.stubGlobal("onmessage", null);
  vi.stubGlobal("postMessage", (reply: Reply) => replies.push(reply));
  await import("./many.worker");
  const receive = (globalThis as unknown as { onmessage: (event: { data: Order }) => void }).onmessage;
  order = (data) => {
    path.length = 0;
    replies = [];
    receive({ data });
  };
});

const line = (values: unknown[], times = values.map((_, at) => at * 10), turned = false) => ({ times, field: { values } as Field, turned, color: "red" });
const made = (lines: ReturnType<typeof line>[], columns = 90, range = { from: 0, to: 90 }) => reduced(lines, range, columns, 18, (it) => it);
const points = ({ load }: { load: Columns[] }, at = 0): number[][] => Array.from({ length: (load[at]?.points.length ?? 0) / 3 }, (_, index) => [...(load[at]?.points.slice(index * 3, index * 3 + 3) ?? [])]);

test("the ends are those of finite values, also turned ones, and nothing has ends as well", () => {
  expect(made([line([1, Number.NaN, 7]), line([-3, Number.POSITIVE_INFINITY, null, "x"])]).extent).toEqual([-3, 7]);
  expect(made([line([1, 7], undefined, true)]).extent).toEqual([-7, -1]);
  expect(made([line([Number.NaN, null])]).extent).toEqual([0, 1]);
  expect(made([]).extent).toEqual([0, 1]);
});

test("of many points in one column the least and the most stay", () => {
  // Two columns of 45 seconds: the peak at 20 and the dip at 10 are both in the first.
  const [first] = points(made([line([50, 1, 99, 50, 50, 50, 50, 50, 50, 60])], 2));
  expect(first).toEqual([0, 1, 99]);
});

test("each point stays where there is room; a range between two points has both", () => {
  expect(points(made([line([5, 6, 7])], 20, { from: 0, to: 20 }))).toEqual([[0, 5, 5], [10, 6, 6], [20, 7, 7]]);
  expect(points(made([line([5, 6, 7])], 30, { from: 12, to: 15 })).map(([x]) => Math.sign((x ?? 0) - 15))).toEqual([-1, 1]);
  expect(points(made([line([5, 6, 7])], 30, { from: 1000, to: 2000 })).map(([, least]) => least)).toEqual([7]);
});

test("a hole, by a missing value or by time, is one; zero is none", () => {
  const holes = (list: number[][]): number[] => list.flatMap(([, least], at) => (Number.isNaN(least) ? [at] : []));
  expect(holes(points(made([line([1, 0, null, 3, 4])])))).toEqual([2]);
  expect(holes(points(made([line([1, 2, 3, 4], [0, 10, 60, 70])])))).toEqual([2]);
  expect(holes(points(made([line([0, 0, 0])])))).toEqual([]);
  // Lines beside each other have times of their own.
  const two = made([line([1, 2], [0, 10]), line([1, 2], [0, 60])]);
  expect([points(two, 0), points(two, 1)]).toEqual([[[0, 1, 1], [10, 2, 2]], [[0, 1, 1], [expect.any(Number), Number.NaN, expect.any(Number)], [60, 2, 2]]]);
});

const seen = (more: Partial<Paint> = {}): { paint: Paint } => ({ paint: { key: "k", low: 0, high: 100, log: false, width: 180, height: 100, line: 1, columns: 90, off: [], ...more } });

test("the worker draws strokes from least to most, begins anew after holes, and leaves out what is off", () => {
  const load: Columns[] = [{ points: Float64Array.from([0, 10, 10, 5, 20, 80, 0, Number.NaN, 0, 9, 50, 50]), color: "red" }, { points: Float64Array.from([0, 1, 1]), color: "blue" }];
  order({ load });
  order(seen({ off: [1] }));
  expect(path).toEqual([["move", 0, 90], ["line", 0.5, 90], ["line", 10, 80], ["line", 10, 20], ["move", 18, 50], ["line", 18.5, 50]]);
  expect(replies.map((it) => it.key)).toEqual(["k"]);
  order({ load: [{ points: Float64Array.from([0, 100, 100, 1, 0, 0]), color: "red" }] });
  order(seen({ low: 1, high: 10_000, log: true }));
  // What a logarithm has no place for is drawn below, not nowhere.
  expect(path.map(([, , y]) => y)).toEqual([50, 50, 200]);
});

test("the nearest line is told with its point, unless it is off or far away in time", () => {
  const lines = [line([10, 20, 30]), line([90, 80, 70])];
  const at = (moment: number, height: number, off: number[] = []) => nearestTo(lines, moment, 18, new Set(off), (value) => Math.abs(value - height));
  expect(at(11, 25)).toEqual({ index: 0, time: 10, value: 20 });
  expect(at(9, 85)).toEqual({ index: 1, time: 10, value: 80 });
  expect(at(9, 85, [1])).toMatchObject({ index: 0 });
  expect(at(-5, 85)).toMatchObject({ time: 0 });
  expect(at(85, 85)).toBeUndefined();
  expect(nearestTo([line([10], undefined, true)], 0, 18, new Set(), (value) => Math.abs(value + 10))).toEqual({ index: 0, time: 0, value: 10 });
});

test("only lines that have one scale are drawn by the worker, all others as ever", () => {
  const frame = (config: object): Frame => ({ refId: "A", name: "", fields: [field("Time", "time", [0, 10], "A"), { ...field("Value", "number", [1, 2], "A"), config: { custom: {}, ...config } }] });
  const all = (last: object): Frame[] => Array.from({ length: LINES_MAX + 1 }, (_, at) => frame(at === LINES_MAX ? last : {}));
  const shown = (last: object) => (({ many, lines, left }) => [many, lines.length, left])(chartOf(all(last), 10, true));
  expect(shown({})).toEqual([true, LINES_MAX + 1, 0]);
  for (const other of [{ unit: "percent" }, { custom: { axisPlacement: "right" } }, { custom: { stacking: { mode: "normal" } } }, { custom: { drawStyle: "bars" } }]) expect(shown(other)).toEqual([false, LINES_MAX, 1]);
  expect(chartOf(all({}), 10, false).many).toBe(false);
});
