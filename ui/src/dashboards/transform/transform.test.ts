// Every transformation on small tables. Not what panels draw of them.
import { expect, test } from "vitest";
import { field, type Frame } from "../fields/frame";
import type { Fields } from "../model/types";
import { bucketsOf } from "./rows";
import { TRANSFORMATIONS, transformed } from "./registry";

const series = (labels: Record<string, string>, values: (number | null)[], refId = "A", legend?: string): Frame => ({
  refId,
  name: "",
  fields: [field("Time", "time", values.map((_, at) => (at + 1) * 1000), refId), field("Value", "number", values, refId, labels, legend)],
});
const table = (columns: Record<string, unknown[]>, refId = "A"): Frame => ({ refId, name: "", fields: Object.entries(columns).map(([name, values]) => field(name, typeof values[0] === "number" ? (name === "Time" ? "time" : "number") : "string", values, refId)) });
/** Columns by the names that the reader sees. */
const shown = (frames: Frame[]): Record<string, unknown[]>[] => frames.map((frame) => Object.fromEntries(frame.fields.map((it) => [String(it.config["displayName"] ?? it.legend ?? it.name), it.values])));
const run = (id: string, frames: Frame[], options: Fields = {}): Record<string, unknown[]>[] => shown(transformed(frames, [{ id, options, disabled: false, filter: undefined }]).frames);

const loads = [series({ host: "a" }, [1, 3], "A", "a"), series({ host: "b" }, [2, 6], "A", "b")];

test("reduce: a row for each series, or a value for each field", () => {
  expect(run("reduce", loads, { reducers: ["max", "mean"] })).toEqual([{ Field: ["a", "b"], Max: [3, 6], Mean: [2, 4] }]);
  expect(run("reduce", loads, { reducers: ["max"], labelsToFields: true })).toEqual([{ host: ["a", "b"], Max: [3, 6] }]);
  expect(run("reduce", [loads[0]!], { mode: "reduceFields", reducers: ["sum"] })).toEqual([{ a: [4] }]);
});

test("limits and units of other fields", () => {
  const limits = table({ max: [5, 9], Unit: ["s", "ms"] }, "B");
  const frames = transformed([...loads, limits], [{ id: "configFromData", options: { configRefId: "B", mappings: [{ fieldName: "Unit", handlerKey: "unit" }] }, disabled: false, filter: undefined }]).frames;
  expect(frames.map((it) => it.fields.map((field) => field.config))).toEqual([[{}, { max: 9, unit: "ms" }], [{}, { max: 9, unit: "ms" }]]);
  expect(run("configFromData", loads, { configRefId: "gone" })).toEqual(run("prepareTimeSeries", loads, { format: "multi" }));
  expect(run("prepareTimeSeries", loads, { format: "wide" }).length).toBe(1);
});

test("organize: hidden, renamed, in another order", () => {
  expect(run("organize", [table({ Time: [1], host: ["a"], Value: [5] })], { excludeByName: { Time: true }, renameByName: { Value: "Load" }, indexByName: { Value: 0, host: 1 } })).toEqual([{ Load: [5], host: ["a"] }]);
  expect(Object.keys(run("organize", [table({ Time: [1], host: ["a"], Value: [5] })], { indexByName: { Value: 0, host: 1 } })[0] ?? {})).toEqual(["Value", "host", "Time"]);
});

test("merge: queries side by side, rows with the same labels together", () => {
  const a = table({ host: ["x", "y"], Value: [1, 2] }, "A");
  const b = table({ host: ["y", "x"], Value: [20, 10] }, "B");
  expect(run("merge", [a, b])).toEqual([{ host: ["x", "y"], "Value #A": [1, 2], "Value #B": [10, 20] }]);
});

test("filters by name, by query, by value", () => {
  expect(run("filterFieldsByName", [table({ host: ["x"], used: [1], free: [2] })], { include: { names: ["host"], pattern: "/^us/" } })).toEqual([{ host: ["x"], used: [1] }]);
  expect(run("filterByRefId", [table({ a: [1] }, "A"), table({ b: [2] }, "B")], { include: "B" })).toEqual([{ b: [2] }]);
  const rows = table({ host: ["x", "y", "z"], Value: [1, 5, 9] });
  expect(run("filterByValue", [rows], { type: "include", match: "all", filters: [{ fieldName: "Value", config: { id: "greater", options: { value: 4 } } }, { fieldName: "host", config: { id: "regex", options: { value: "^[xy]$" } } }] })).toEqual([{ host: ["y"], Value: [5] }]);
  expect(run("filterByValue", [rows], { type: "exclude", match: "any", filters: [{ fieldName: "Value", config: { id: "between", options: { from: 4, to: 10 } } }] })).toEqual([{ host: ["x"], Value: [1] }]);
});

test("calculateField: two fields, one field, a row's sum", () => {
  const rows = table({ used: [1, 3], all: [4, 4] });
  expect(run("calculateField", [rows], { mode: "binary", binary: { left: "used", operator: "/", right: "all" }, alias: "share" })[0]?.["share"]).toEqual([0.25, 0.75]);
  expect(run("calculateField", [rows], { mode: "binary", binary: { left: { matcher: { id: "byName", options: "used" } }, operator: "*", right: { fixed: "100" } }, alias: "pct" })[0]?.["pct"]).toEqual([100, 300]);
  expect(run("calculateField", [rows], { mode: "reduceRow", reduce: { reducer: "sum", include: ["used", "all"] }, replaceFields: true })).toEqual([{ Total: [5, 7] }]);
  expect(run("calculateField", [rows], { mode: "unary", unary: { fieldName: "used", operator: "percent" }, alias: "p" })[0]?.["p"]).toEqual([100, 300]);
});

test("groupBy, sortBy, limit", () => {
  const rows = table({ zone: ["n", "s", "n"], Value: [1, 5, 3] });
  expect(run("groupBy", [rows], { fields: { zone: { operation: "groupby", aggregations: [] }, Value: { operation: "aggregate", aggregations: ["sum", "max"] } } })).toEqual([{ zone: ["n", "s"], "Value (sum)": [4, 5], "Value (max)": [3, 5] }]);
  expect(run("sortBy", [rows], { sort: [{ field: "Value", desc: true }] })[0]?.["Value"]).toEqual([5, 3, 1]);
  expect(run("limit", [rows], { limitField: "2" })[0]?.["Value"]).toEqual([1, 5]);
});

test("labelsToFields and seriesToRows", () => {
  expect(run("labelsToFields", [series({ host: "a", zone: "n" }, [1])])).toEqual([{ Time: [1000], host: ["a"], zone: ["n"], Value: [1] }]);
  expect(run("labelsToFields", [series({ host: "a" }, [1]), series({ host: "b" }, [2])])).toEqual([{ Time: [1000, 1000], host: ["a", "b"], Value: [1, 2] }]);
  expect(run("seriesToRows", loads)[0]).toEqual({ Time: [2000, 2000, 1000, 1000], Metric: ["a", "b", "a", "b"], Value: [3, 6, 1, 2] });
});

test("joinByField and seriesToColumns: outer, and inner", () => {
  const late: Frame = { refId: "B", name: "", fields: [field("Time", "time", [2000, 3000], "B"), field("Value", "number", [7, 8], "B", {}, "c")] };
  expect(run("joinByField", [loads[0]!, late], { byField: "Time", mode: "outer" })).toEqual([{ Time: [1000, 2000, 3000], a: [1, 3, null], c: [null, 7, 8] }]);
  expect(run("seriesToColumns", [loads[0]!, late], { byField: "Time", mode: "inner" })).toEqual([{ Time: [2000], a: [3], c: [7] }]);
  expect(run("joinByField", [table({ host: ["x", "y"], up: [1, 0] }, "A"), table({ host: ["y"], load: [3] }, "B")], { byField: "host" })).toEqual([{ host: ["x", "y"], up: [1, 0], load: [null, 3] }]);
});

test("renameByRegex, concatenate, convertFieldType", () => {
  expect(run("renameByRegex", loads, { regex: "(.*)", renamePattern: "host $1" }).map((it) => Object.keys(it)[1])).toEqual(["host a", "host b"]);
  expect(run("concatenate", [table({ a: [1, 2] }), table({ b: [3] })])).toEqual([{ a: [1, 2], b: [3, null] }]);
  expect(run("convertFieldType", [table({ a: ["1", "x"] })], { conversions: [{ targetField: "a", destinationType: "number" }] })).toEqual([{ a: [1, Number.NaN] }]);
});

test("tables of series, rows as fields, parts of texts, matrices", () => {
  expect(run("timeSeriesTable", loads)[0]?.["host"]).toEqual(["a", "b"]);
  expect(run("rowsToFields", [table({ name: ["max", "min"], value: [9, 1] })])).toEqual([{ max: [9], min: [1] }]);
  expect(run("extractFields", [table({ line: ["a=1 b=\"x y\"", '{"a":2}'] })], { source: "line", replace: true })).toEqual([{ a: ["1", 2], b: ["x y", null] }]);
  expect(run("groupingToMatrix", [table({ r: ["x", "y"], c: ["p", "q"], v: [1, 2] })], { columnField: "c", rowField: "r", valueField: "v" })).toEqual([{ "r\\c": ["x", "y"], p: [1, null], q: [null, 2] }]);
  expect(run("partitionByValues", [table({ zone: ["n", "s", "n"], Value: [1, 2, 3] })], { fields: ["zone"] })).toEqual([{ n: [1, 3] }, { s: [2] }]);
});

test("buckets are of one width at round numbers, and lose nothing", () => {
  expect(bucketsOf([1, 2, 3, 10], 5)).toEqual([{ low: 0, high: 5, count: 3 }, { low: 5, high: 10, count: 0 }, { low: 10, high: 15, count: 1 }]);
  for (const values of [[0.1, 0.2, 0.30000000000000004], [5], [-3, 3, 2.999], [1e9, 1e9 + 7]]) {
    expect(bucketsOf(values, undefined).reduce((sum, it) => sum + it.count, 0)).toBe(values.length);
  }
});

test("what is not known is said, what is switched off is not done, and a filter leaves others alone", () => {
  const { frames, findings } = transformed(loads, [
    { id: "regression", options: {}, disabled: false, filter: undefined },
    { id: "limit", options: { limitField: 1 }, disabled: true, filter: undefined },
    { id: "limit", options: { limitField: 1 }, disabled: false, filter: { id: "byRefId", options: "Z" } },
  ]);
  expect(findings).toEqual(["the transformation regression is not supported: data are shown without it"]);
  expect(frames.map((it) => it.fields[1]?.values.length)).toEqual([2, 2]);
});

test("no transformation fails on nothing", () => {
  for (const [id, { apply }] of Object.entries(TRANSFORMATIONS)) {
    expect(() => apply([], {}), id).not.toThrow();
    expect(() => apply([{ refId: "A", name: "", fields: [] }], {}), id).not.toThrow();
    expect(() => apply([table({ a: ["x"] }), series({}, [null])], {}), id).not.toThrow();
  }
});
