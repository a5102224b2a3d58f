// Units, thresholds, mappings, calculations, overrides and names of fields. Not drawing.
import { expect, test } from "vitest";
import type { Fields } from "../model/types";
import { css, ramp, seriesColor } from "./colors";
import { configured } from "./config";
import { display, stepFor } from "./display";
import { field, type Frame } from "./frame";
import { reduce } from "./reduce";
import { UNIT_IDS, unitIsKnown, words } from "./units";

test.each<[number, string, number | undefined, string]>([
  [0, "short", undefined, "0"],
  [1234, "short", undefined, "1.23 K"],
  [12_345_678, "short", undefined, "12.3 Mil"],
  [999.4, "none", undefined, "999"],
  [1_234_567, "none", undefined, "1234567"],
  [82.46, "percent", undefined, "82.5%"],
  [0.8246, "percentunit", undefined, "82.5%"],
  [0.8246, "percentunit", 2, "82.46%"],
  [1024, "bytes", undefined, "1 KiB"],
  [1536, "bytes", undefined, "1.5 KiB"],
  [1500, "decbytes", undefined, "1.5 kB"],
  [2048, "kbytes", undefined, "2 MiB"],
  [0.5, "mbytes", undefined, "512 KiB"],
  [1_500_000, "Bps", undefined, "1.5 MB/s"],
  [1_500_000, "bps", undefined, "1.5 Mb/s"],
  [2_097_152, "binBps", undefined, "2 MiB/s"],
  [0.25, "s", undefined, "250 ms"],
  [90, "s", undefined, "1.5 mins"],
  [273_840, "s", 1, "3.2 days"],
  [1500, "ms", undefined, "1.5 s"],
  [2_500_000, "ns", undefined, "2.5 ms"],
  [3700, "dtdurations", undefined, "1 hour, 1 minute, 40 seconds"],
  [3725, "clocks", undefined, "01:02:05"],
  [12_500, "reqps", undefined, "12.5 K req/s"],
  [61.5, "celsius", undefined, "61.5 °C"],
  [2.4e9, "hertz", undefined, "2.4 GHz"],
  [0.0042, "watt", undefined, "4.2 mW"],
  [1234.5, "currencyUSD", undefined, "$1.23K"],
  [255, "hex", undefined, "FF"],
  [-0.0001, "percent", 1, "0.0%"],
  [7, "suffix: apples", undefined, "7 apples"],
  [7, "Mbps", undefined, "7 Mbps"],
  [1, "bool_on_off", undefined, "On"],
  [Number.POSITIVE_INFINITY, "bytes", undefined, "∞"],
  [Number.NaN, "bytes", undefined, "NaN"],
])("%s in %s with %s decimals is %s", (value, unit, decimals, expected) => {
  expect(words(value, unit, decimals)).toBe(expected);
});

test("there are many units, and unknown ones are known to be unknown", () => {
  expect(UNIT_IDS.length).toBeGreaterThan(60);
  expect(["bytes", "", "currency:kr", "time:YYYY"].map(unitIsKnown)).toEqual([true, true, true, true]);
  expect(["furlongs", "Bytes"].map(unitIsKnown)).toEqual([false, false]);
});

const storage: Fields = { thresholds: { mode: "absolute", steps: [{ color: "green", value: null }, { color: "yellow", value: 70 }, { color: "orange", value: 85 }, { color: "red", value: 95 }] } };

test("vms_15_the_storage_gauge_changes_at_70_85_95", () => {
  const colors = [0, 69.9, 70, 84.9, 85, 94.9, 95, 100].map((it) => stepFor(it, storage, { min: 0, max: 100 })?.color);
  expect(colors).toEqual(["green", "green", "yellow", "yellow", "orange", "orange", "red", "red"]);
});

test("thresholds in percent lie between the least and the most", () => {
  const config = { thresholds: { mode: "percentage", steps: [{ color: "green", value: null }, { color: "red", value: 80 }] } };
  expect([179, 180].map((it) => stepFor(it, config, { min: 100, max: 200 })?.color)).toEqual(["green", "red"]);
});

test("vms_20_bandwidth_in_mbps_keeps_its_own_unit", () => {
  // 12.5 MB/s, times 8, by a million, as the dashboards compute it.
  expect(words((12.5e6 * 8) / 1_000_000, "Mbps")).toBe("100 Mbps");
  expect(words((12.5e6 * 8) / 1_000_000, "Mbits")).toBe("100 Mb/s");
});

const shown = (value: unknown, config: Fields): [string, string | undefined] => {
  const { text, color } = display(value, { ...field("Value", typeof value === "string" ? "string" : "number", [value], "A"), config }, { min: 0, max: 100 });
  return [text, color];
};

test("mappings of values, ranges, patterns and what is no number", () => {
  const mappings = [
    { type: "value", options: { "0": { text: "DOWN", color: "red" }, idle: { text: "resting" } } },
    { type: "range", options: { from: 10, to: 20, result: { text: "some", color: "#123456" } } },
    { type: "regex", options: { pattern: "^web-(\\d+)$", result: { text: "machine $1" } } },
    { type: "special", options: { match: "null+nan", result: { text: "nothing" } } },
  ];
  expect(shown(0, { mappings })).toEqual(["DOWN", "var(--critical)"]);
  expect(shown(15, { mappings })).toEqual(["some", "#123456"]);
  expect(shown("web-7", { mappings })[0]).toBe("machine 7");
  expect(shown("idle", { mappings })[0]).toBe("resting");
  expect(shown(null, { mappings })[0]).toBe("nothing");
  expect(shown(Number.NaN, { mappings })[0]).toBe("nothing");
  expect(shown(21, { mappings, unit: "percent" })[0]).toBe("21%");
});

test("mappings of before version 8", () => {
  const mappings = [{ id: 1, type: 1, value: "1", text: "UP" }, { id: 2, type: 2, from: "5", to: "9", text: "many" }, { id: 3, type: 1, value: "null", text: "N/A" }];
  expect([1, 7, null, 3].map((it) => shown(it, { mappings })[0])).toEqual(["UP", "many", "N/A", "3"]);
});

test("colours: fixed, by thresholds, by series, continuous, and never what is no colour", () => {
  expect(shown(1, { color: { mode: "fixed", fixedColor: "blue" } })[1]).toBe("var(--series-1)");
  expect(shown(90, { ...storage, color: { mode: "thresholds" } })[1]).toBe("var(--series-2)");
  expect(shown(1, { color: { mode: "palette-classic" } })[1]).toBe(seriesColor(0));
  expect(ramp("continuous-GrYlRd", 0.25)).toBe("color-mix(in srgb, var(--warning) 50%, var(--ok))");
  expect(css("url(https://example.org/x)")).toBe("var(--text)");
  expect(css("semi-dark-red")).toMatch(/^color-mix\(in srgb, var\(--critical\)/);
});

test.each<[string, unknown[], unknown]>([
  ["lastNotNull", [1, 2, null], 2],
  ["last", [1, 2, null], null],
  ["firstNotNull", [null, 3, 4], 3],
  ["mean", [1, 2, null, 6], 3],
  ["sum", [1, 2, 3], 6],
  ["min", [3, 1, 2], 1],
  ["max", [3, 1, 2], 3],
  ["range", [3, 1, 2], 2],
  ["diff", [3, 1, 7], 4],
  ["diffperc", [2, 3], 0.5],
  ["count", [1, null, 3], 3],
  ["countNotNull", [1, null, 3], 2],
  ["delta", [1, 5, 2, 4], 8],
  ["median", [5, 1, 3], 3],
  ["p50", [1, 2, 3, 4], 2.5],
  ["stdDev", [2, 4], 1],
  ["changeCount", [1, 1, 2, 1], 2],
  ["distinctCount", [1, 1, 2], 2],
  ["allIsZero", [0, 0], true],
  ["logmin", [-1, 0, 5, 2], 2],
  ["mean", [null], null],
])("%s of %j is %j", (calc, values, expected) => {
  expect(reduce(values, calc)).toEqual(expected);
});

function series(name: string, labels: Record<string, string>, legend?: string): Frame {
  return { refId: "A", name: "", fields: [field("Time", "time", [1], "A"), field(name, "number", [2], "A", labels, legend)] };
}

test("overrides by name, pattern, type and query, the later ones over the earlier", () => {
  const frames = [series("Value", {}, "cpu user"), series("Value", {}, "cpu idle"), { ...series("Value", {}, "disk"), refId: "B" }];
  const overrides = [
    { matcher: { id: "byType", options: "number" }, properties: [{ id: "unit", value: "percent" }] },
    { matcher: { id: "byRegexp", options: "/^cpu/" }, properties: [{ id: "custom.lineWidth", value: 3 }] },
    { matcher: { id: "byName", options: "cpu idle" }, properties: [{ id: "displayName", value: "idle of ${__field.labels.x}" }, { id: "unit", value: "short" }] },
    { matcher: { id: "byFrameRefID", options: "B" }, properties: [{ id: "unit", value: "bytes" }] },
  ];
  const made = configured(frames, { unit: "none", min: 0 }, overrides, (it) => it.replace("${__field.labels.x}", "x"));
  const values = made.map((it) => it.fields[1]);
  expect(values.map((it) => it?.config["unit"])).toEqual(["percent", "short", "bytes"]);
  expect(values.map((it) => (it?.config["custom"] as Fields | undefined)?.["lineWidth"])).toEqual([3, 3, undefined]);
  expect(values.map((it) => it?.title)).toEqual(["cpu user", "idle of x", "disk"]);
  // Times have no units of the values beside them.
  expect(made[0]?.fields[0]?.config["min"]).toBeUndefined();
});

test("fields without a legend are called by their name and labels, or by the one label that differs", () => {
  const names = (frames: Frame[]): unknown[] => configured(frames, {}, [], (it) => it).map((it) => it.fields[1]?.title);
  expect(names([series("Value", { mode: "user" }), series("Value", { mode: "idle" })])).toEqual(["user", "idle"]);
  expect(names([series("up", { job: "a", instance: "x" })])).toEqual(["up"]);
  expect(names([series("up", { job: "a" }), series("up", { job: "b" })])).toEqual(['up{job="a"}', 'up{job="b"}']);
});
