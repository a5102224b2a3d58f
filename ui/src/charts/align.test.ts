// Series onto one axis. Not drawing.
import { expect, test } from "vitest";
import { align, fitted, stacked, summary } from "./align";

test("with a range every step has its row, and what is missing is a hole", () => {
  const series = [
    { label: "a", points: [[10, 1], [30, 3]] as [number, number][] },
    { label: "b", points: [[20.0004, 2], [99, 9]] as [number, number][] },
  ];
  expect(align(series, { start: 10, end: 30, step: 10 })).toEqual({
    times: [10, 20, 30],
    columns: [
      [1, null, 3],
      [null, 2, null],
    ],
  });
});

test("steps with fractions do not lose points", () => {
  const points = Array.from({ length: 11 }, (_, row): [number, number] => [1 + row * 0.1, row]);
  const { columns } = align([{ label: "a", points }], { start: 1, end: 2, step: 0.1 });
  expect(columns[0]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

test("without a range the rows are the times that occur", () => {
  const { times, columns } = align([
    { label: "a", points: [[3, 1]] },
    { label: "b", points: [[1, Number.NaN], [3, 2]] },
  ]);
  expect(times).toEqual([1, 3]);
  expect(columns).toEqual([[null, 1], [null, 2]]);
});

test("a young series fits its chart, an old one fills it", () => {
  const range = { start: 0, end: 3600, step: 15 };
  const from = (first: number) => fitted(range, [{ label: "a", points: [[first, 1]] }], 300).start;
  expect([0, 900, 3400].map(from)).toEqual([0, 900, 3300]);
  expect(fitted(range, [{ label: "a", points: [] }], 300)).toBe(range);
});

test("stacking adds up and keeps holes", () => {
  expect(stacked([[1, 2, null], [10, null, 30], [100, 100, 100]])).toEqual([[1, 2, null], [11, null, 30], [111, 102, 130]]);
});

test("a summary of nothing is unknown", () => {
  expect(summary([null, 4, 2, null])).toEqual({ latest: 2, least: 2, mean: 3, most: 4 });
  expect(summary([null])).toEqual({ latest: null, least: null, mean: null, most: null });
});
