// Boards that nobody would draw by hand: too many repetitions, panels of one id, targets of one name. Not the ordinary ones (model.test.ts).
import { expect, test } from "vitest";
import { PANELS_MAX, readBoard, readPanel } from "../model/read";
import type { Fields } from "../model/types";
import type { Value } from "../variables/interpolate";
import { laidOut, REPEATS_MAX } from "./layout";

const many = (count: number): Value => ({ values: Array.from({ length: count }, (_, at) => String(at)), texts: [], allText: undefined, several: true });
const stat = (more: Fields): Fields => ({ type: "stat", gridPos: { x: 0, y: 1, w: 6, h: 4 }, ...more });

test("a board draws no more panels than its limit, whatever is repeated, and says so once", () => {
  const rows = [0, 1, 2].flatMap((y): Fields[] => [{ type: "row", id: 100 + y, title: "Row", repeat: "row", gridPos: { x: 0, y: y * 10, w: 24, h: 1 } }, stat({ id: y, repeat: "each", maxPerRow: 1e9, gridPos: { x: 0, y: y * 10 + 1, w: 6, h: 4 } })]);
  const { rows: placed, findings } = laidOut(readBoard({ panels: rows }), new Map([["row", many(REPEATS_MAX)], ["each", many(REPEATS_MAX)]]), () => false);
  expect(placed.flatMap((it) => it.panels)).toHaveLength(PANELS_MAX);
  expect(findings).toHaveLength(1);
  expect(findings[0]).toMatch(/^only the first 1000 panels are shown/);
  expect(laidOut(readBoard({ panels: rows }), new Map(), () => false).findings).not.toContain(findings[0]);
});

test("rows and panels of one id have keys of their own, which folding does not change", () => {
  const board = readBoard({ panels: [1, 2].flatMap((y) => [{ type: "row", id: 7, title: `Row ${y}`, gridPos: { x: 0, y: y * 10, w: 24, h: 1 } }, stat({ title: `in ${y}`, gridPos: { x: 0, y: y * 10 + 1, w: 6, h: 4 } })]) });
  const open = laidOut(board, new Map(), () => false);
  const keys = open.rows.flatMap((it) => [it.key, ...it.panels.map((panel) => panel.key)]);
  expect(new Set(keys).size).toBe(4);
  const folded = laidOut(board, new Map(), (key) => key === open.rows[0]?.key);
  expect(folded.rows[1]?.panels[0]?.key).toBe(open.rows[1]?.panels[0]?.key);
  expect(folded.rows[0]?.panels).toEqual([]);
});

test("columns of repetitions are whole and from 1 to 24, and targets of one name get names of their own", () => {
  expect([0, -3, 2.6, 1e9].map((maxPerRow) => readPanel(stat({ maxPerRow })).maxPerRow)).toEqual([1, 1, 3, 24]);
  const { rows } = laidOut(readBoard({ panels: [stat({ id: 1, repeat: "each", maxPerRow: 0.2 })] }), new Map([["each", many(3)]]), () => false);
  expect(rows[0]?.panels.map((it) => [it.pos.x, it.pos.y, it.pos.w])).toEqual([[0, 0, 24], [0, 4, 24], [0, 8, 24]]);
  expect(readPanel(stat({ targets: [{ refId: "A" }, { refId: "A" }, { refId: "A2" }, { refId: "A" }] })).targets.map((it) => it.refId)).toEqual(["A", "A2", "A22", "A3"]);
});
