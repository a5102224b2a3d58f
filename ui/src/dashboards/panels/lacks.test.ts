// What panels ask for and do not get is said, and what they get is not. Not how it is shown.
import { expect, test } from "vitest";
import { readPanel } from "../model/read";
import type { Fields } from "../model/types";
import { lacks } from "./lacks";

const of = (raw: Fields): string[] => lacks(readPanel({ id: 1, ...raw }), []);

test("a panel as Grafana writes it today lacks nothing", () => {
  const custom = { axisBorderShow: false, axisCenteredZero: false, axisColorMode: "text", axisLabel: "", axisPlacement: "auto", barAlignment: 0, drawStyle: "line", fillOpacity: 0, gradientMode: "none", hideFrom: { legend: false, tooltip: false, viz: false }, insertNulls: false, lineInterpolation: "linear", lineWidth: 1, pointSize: 5, scaleDistribution: { type: "linear" }, showPoints: "auto", spanNulls: false, stacking: { group: "A", mode: "none" }, thresholdsStyle: { mode: "off" } };
  expect(of({ type: "timeseries", fieldConfig: { defaults: { color: { mode: "palette-classic" }, custom, mappings: [], thresholds: { mode: "absolute", steps: [{ color: "green", value: null }] }, unit: "bytes" }, overrides: [] }, options: { legend: { calcs: ["mean"], displayMode: "list", placement: "bottom", showLegend: true }, tooltip: { mode: "single", sort: "none" } } })).toEqual([]);
  expect(of({ type: "stat", fieldConfig: { defaults: {}, overrides: [] }, options: { colorMode: "value", graphMode: "area", justifyMode: "auto", orientation: "auto", percentChangeColorMode: "standard", reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false }, showPercentChange: false, textMode: "auto", wideLayout: true } })).toEqual([]);
  expect(of({ type: "table", fieldConfig: { defaults: { custom: { align: "auto", cellOptions: { type: "auto" }, inspect: false } }, overrides: [] }, options: { cellHeight: "sm", footer: { countRows: false, fields: "", reducer: ["sum"], show: false }, showHeader: true } })).toEqual([]);
});

test.each<[Fields, string]>([
  [{ type: "timeseries", fieldConfig: { defaults: { unit: "furlongs" } } }, "the unit furlongs is not known: it stands behind the plain number"],
  [{ type: "timeseries", fieldConfig: { defaults: { custom: { wobble: 1 } } } }, "the field option wobble is not supported"],
  [{ type: "timeseries", fieldConfig: { defaults: { custom: { showValues: true } } } }, "the field option showValues is not supported"],
  [{ type: "stat", options: { reduceOptions: { calcs: ["wavelet"] } } }, "the calculation wavelet is not supported"],
  [{ type: "stat", options: { glitter: true } }, "the option glitter is not supported"],
  [{ type: "table", fieldConfig: { defaults: { custom: { cellOptions: { type: "image" } } } } }, "the kind of cell image is not supported"],
  [{ type: "table", fieldConfig: { defaults: {}, overrides: [{ matcher: { id: "byMoon" }, properties: [] }] } }, "overrides for fields by byMoon are not supported"],
  [{ type: "table", fieldConfig: { defaults: {}, overrides: [{ matcher: { id: "byName", options: "a" }, properties: [{ id: "custom.sparkle", value: 1 }] }] } }, "the field option sparkle is not supported"],
  [{ type: "text", options: { mode: "html", content: "" } }, "HTML is shown as its text: tags are left out"],
  [{ type: "logs", options: { dedupStrategy: "exact" } }, "removing repeated lines: exact is not supported"],
  [{ type: "barchart", fieldConfig: { defaults: { custom: { scaleDistribution: { type: "log" } } } } }, "the scale log is not supported"],
  [{ type: "stat", fieldConfig: { defaults: { color: { mode: "continuous-moss" } } } }, "the colour scheme continuous-moss is not supported"],
  [{ type: "stat", libraryPanel: { name: "Shared" } }, "the library panel Shared is not in this file"],
])("%j says so", (raw, expected) => {
  expect([...readPanel({ id: 1, ...raw }).findings, ...of(raw)]).toContain(expected);
});
