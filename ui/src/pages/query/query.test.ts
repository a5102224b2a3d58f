// The small parts of the query page. Not the page.
import { expect, test } from "vitest";
import { markedLine, positionOf } from "../../parts/position";
import { addressOf, PRESETS, presetOf, stepFor } from "./ask";
import { heat, histogramWords } from "./heat";
import { legendNames, seriesName } from "./labels";

test("steps are round and keep charts small", () => {
  expect(PRESETS.map((it) => stepFor(it.seconds))).toEqual([5, 15, 120, 300, 3600]);
  for (const { seconds } of PRESETS) expect(seconds / stepFor(seconds)).toBeLessThanOrEqual(300);
  expect(stepFor(400 * 86_400 * 100)).toBe(134 * 86_400);
});

test("the address holds the question", () => {
  expect(presetOf("7d").seconds).toBe(604_800);
  expect(presetOf("9y").name).toBe("1h");
  expect(addressOf('up{a="b c"}', presetOf(null))).toBe("/query?expr=up%7Ba%3D%22b+c%22%7D&range=1h");
});

test.each([
  ['invalid parameter "query": 1:8: parse error: unexpected end', { line: 1, column: 8 }],
  ["2:14: parse error: x", { line: 2, column: 14 }],
  ["query timed out at 12:30", undefined],
  ["", undefined],
])("position in %s", (message, expected) => {
  expect(positionOf(message)).toEqual(expected);
});

test("the marked line is cut at the place, also one past its end", () => {
  expect(markedLine("a\nsum(up", { line: 2, column: 4 })).toEqual({ before: "sum", at: "(", after: "up" });
  expect(markedLine("up", { line: 1, column: 3 })).toEqual({ before: "up", at: " ", after: "" });
  expect(markedLine("up", { line: 1, column: 9 })).toBeUndefined();
  expect(markedLine("up", { line: 3, column: 1 })).toBeUndefined();
});

test("legends keep what differs", () => {
  expect(seriesName({ __name__: "up", job: 'a"b' })).toBe('up{job="a\\"b"}');
  expect(seriesName({})).toBe("{}");
  expect(legendNames([{ __name__: "up", job: "a", x: "1" }, { __name__: "up", job: "b", x: "1" }])).toEqual(['{job="a"}', '{job="b"}']);
  expect(legendNames([{ __name__: "up", job: "a" }])).toEqual(['up{job="a"}']);
});

test("histograms become columns of time and rows of values", () => {
  const one = (low: number, high: number, count: number) => ({ count, sum: 0, buckets: [{ low, high, count }] });
  const picture = heat([[0, one(0, 1, 5)], [10, one(1, 2, 1)], [20, one(1, Number.POSITIVE_INFINITY, 3)]], { start: 0, end: 20, step: 10 });
  expect([picture.columns, picture.rows, picture.low, picture.high]).toEqual([3, 3, 0, Number.POSITIVE_INFINITY]);
  expect(picture.cells).toEqual([
    { column: 0, row: 0, shade: 5 },
    { column: 1, row: 1, shade: 1 },
    { column: 2, row: 2, shade: 3 },
  ]);
  const many = Array.from({ length: 200 }, (_, at) => ({ low: at, high: at + 1, count: 1 }));
  const wide = heat([[0, { count: 200, sum: 0, buckets: many }]], { start: 0, end: 0, step: 10 });
  expect(wide.rows).toBe(24);
  expect(wide.cells.every((it) => it.row >= 0 && it.row < 24)).toBe(true);
  expect(heat([], { start: 0, end: 10, step: 10 }).cells).toEqual([]);
  expect(histogramWords({ count: 4, sum: 10, buckets: [] })).toBe("histogram: count 4, sum 10, mean 2.5");
  expect(histogramWords({ count: 0, sum: 0, buckets: [] })).toBe("histogram: count 0, sum 0");
});
