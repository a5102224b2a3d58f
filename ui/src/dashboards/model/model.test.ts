// Reading dashboards of every age, laying them out, changing them, and giving them back with all that they had. Not the looks.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { compacted, covers, exported, listed, newPanel, panelIn, placedAt, withCopy, withNewPanel, withoutPanel, withPanel } from "../edit/changes";
import { differences } from "../edit/differences";
import { inputsOf, parsedBoard, withInputs } from "../edit/importing";
import { fromRows, rowsOf } from "../edit/mappings";
import { legendOf } from "../sources/prometheus";
import { withFilters } from "../sources/adhoc";
import { kindOf } from "../sources/kinds";
import { laidOut } from "../view/layout";
import { safeUrl } from "../view/data";
import { markdown, textOfHtml } from "../panels/text/markdown";
import { panelsOf, posIn, readBoard, readPanel, unwrapped } from "./read";
import type { Fields } from "./types";
import { part, parts } from "./values";

const FOLDER = join(import.meta.dirname, "../../../tests/boards");
const files = readdirSync(FOLDER).filter((it) => it.endsWith(".json"));
const source = (name: string): string => readFileSync(join(FOLDER, name), "utf8");

test.each(files)("%s comes back as it was: nothing unknown is lost", (name) => {
  const before = JSON.parse(source(name)) as Fields;
  const read = parsedBoard(source(name));
  readBoard(read);
  if (!("elements" in before) && !("spec" in before)) expect(exported(read, false)).toEqual(before);
  // A change to one panel leaves everything else as it was.
  const first = panelsOf(readBoard(read))[0];
  const changed = withPanel(read, first?.id ?? -1, (it) => ({ ...it, title: "other" }));
  const away = differences(listed(read), changed).filter((it) => !it.includes('"other"'));
  expect(away).toEqual([]);
});

test("a round trip through export and import keeps what nobody knows", () => {
  const odd = { title: "x", schemaVersion: 39, x_future: { a: [1, { b: null }] }, panels: [{ id: 1, type: "timeseries", gridPos: { x: 0, y: 0, w: 5, h: 5, z: 1 }, options: { shiny: true }, pluginVersion: "99" }] };
  const once = parsedBoard(JSON.stringify(exported(parsedBoard(JSON.stringify(odd)), true)));
  expect(once).toEqual({ ...odd, id: null });
  const moved = placedAt(once, 1, { x: 3, y: 0, w: 5, h: 6 });
  expect(part(parts(moved, "panels")[0] ?? {}, "gridPos")).toEqual({ x: 3, y: 0, w: 5, h: 6, z: 1 });
  expect(moved["x_future"]).toEqual(odd.x_future);
});

test("rows of before version 16 become a grid", () => {
  const old = { title: "old", schemaVersion: 14, rows: [{ title: "A", showTitle: true, height: "250px", panels: [{ id: 1, type: "graph", span: 6 }, { id: 2, type: "singlestat", span: 8 }] }, { title: "B", collapse: true, showTitle: true, panels: [{ id: 3, type: "text", content: "hi" }] }] };
  const board = readBoard(old);
  expect(board.sections.map((it) => [it.title, it.collapsed, it.panels.map((panel) => [panel.type, panel.pos])])).toEqual([
    ["A", false, [["timeseries", { x: 0, y: 0, w: 12, h: 7 }], ["stat", { x: 0, y: 7, w: 16, h: 7 }]]],
    ["B", true, [["text", { x: 0, y: 0, w: 8, h: 7 }]]],
  ]);
  const next = listed(old);
  expect(parts(next, "panels").map((it) => [it["type"], posIn(it).y])).toEqual([["row", 0], ["graph", 1], ["singlestat", 8], ["row", 15]]);
  expect(next["rows"]).toBeUndefined();
});

test("graphs, single stats and tables of old are read as what they are today", () => {
  const graph = readPanel({ id: 1, type: "graph", title: "g", stack: true, fill: 3, linewidth: 2, nullPointMode: "null as zero", steppedLine: true, legend: { show: true, alignAsTable: true, rightSide: true, avg: true, max: true, values: true }, yaxes: [{ format: "bytes", min: 0, logBase: 10 }, { format: "percent" }], thresholds: [{ value: 5, op: "gt", colorMode: "critical", line: true, fill: true }], seriesOverrides: [{ alias: "/read/", transform: "negative-Y", yaxis: 2 }, { alias: "x", shine: 1 }], aliasColors: { idle: "#112233" } });
  expect(graph.type).toBe("timeseries");
  expect(graph.defaults).toMatchObject({ unit: "bytes", min: 0, custom: { stacking: { mode: "normal" }, fillOpacity: 30, lineWidth: 2, lineInterpolation: "stepAfter", scaleDistribution: { type: "log", log: 10 }, thresholdsStyle: { mode: "line+area" } } });
  expect(graph.options["legend"]).toMatchObject({ displayMode: "table", placement: "right", calcs: ["max", "mean"] });
  expect(graph.overrides.map((it) => [it.matcher.id, it.properties.map((property) => property.id)])).toEqual([["byRegexp", ["custom.transform", "custom.axisPlacement", "unit"]], ["byName", []], ["byName", ["color"]]]);
  expect(graph.findings).toEqual(["holes are shown as holes, not as zeros (null as zero)", "the series override shine is not supported"]);
  const gauge = readPanel({ id: 2, type: "singlestat", format: "percent", valueName: "current", gauge: { show: true, minValue: 0, maxValue: 100 }, thresholds: "70,85", colors: ["green", "orange", "red"], valueMaps: [{ value: "null", text: "N/A" }] });
  expect([gauge.type, gauge.defaults["max"], gauge.defaults["thresholds"]]).toEqual(["gauge", 100, { mode: "absolute", steps: [{ color: "green", value: null }, { color: "orange", value: 70 }, { color: "red", value: 85 }] }]);
  const table = readPanel({ id: 3, type: "table-old", transform: "table", styles: [{ pattern: "Time", type: "hidden" }, { pattern: "/Value/", type: "number", unit: "bytes", alias: "Used", colorMode: "cell", thresholds: ["5"], colors: ["green", "orange"] }] });
  expect(table.overrides.map((it) => it.properties.map((property) => property.id))).toEqual([["custom.hidden"], ["displayName", "unit", "custom.cellOptions", "thresholds"]]);
});

test("the shape of version 2 is read: elements, layouts, variables", () => {
  const v2 = {
    apiVersion: "dashboard.grafana.app/v2beta1",
    kind: "Dashboard",
    metadata: { name: "uid-2" },
    spec: {
      title: "Two",
      timeSettings: { from: "now-1h", to: "now", autoRefresh: "30s" },
      variables: [{ kind: "QueryVariable", spec: { name: "job", query: { kind: "DataQuery", group: "prometheus", spec: { query: "label_values(job)" } }, multi: true, sort: "alphabeticalAsc", hide: "dontHide", current: { value: "a" } } }],
      annotations: [],
      elements: {
        "panel-1": { kind: "Panel", spec: { id: 1, title: "One", data: { kind: "QueryGroup", spec: { queries: [{ kind: "PanelQuery", spec: { refId: "A", hidden: false, query: { kind: "DataQuery", group: "prometheus", datasource: { name: "p" }, spec: { expr: "up" } } } }], transformations: [{ kind: "limit", spec: { id: "limit", options: { limitField: 3 } } }], queryOptions: { maxDataPoints: 50 } } }, vizConfig: { kind: "VizConfig", group: "stat", spec: { options: { colorMode: "value" }, fieldConfig: { defaults: { unit: "s" }, overrides: [] } } } } },
        "panel-2": { kind: "LibraryPanel", spec: { id: 2, title: "Shared", libraryPanel: { name: "Shared one" } } },
      },
      layout: { kind: "RowsLayout", spec: { rows: [{ kind: "RowsLayoutRow", spec: { title: "R", collapse: false, layout: { kind: "GridLayout", spec: { items: [{ kind: "GridLayoutItem", spec: { x: 2, y: 0, width: 10, height: 5, element: { kind: "ElementReference", name: "panel-1" } } }] } } } }, { kind: "RowsLayoutRow", spec: { title: "S", collapse: true, layout: { kind: "AutoGridLayout", spec: { items: [{ kind: "AutoGridLayoutItem", spec: { element: { kind: "ElementReference", name: "panel-2" } } }] } } } }] } },
    },
  };
  const board = readBoard(unwrapped(v2));
  expect([board.uid, board.title, board.from, board.refresh]).toEqual(["uid-2", "Two", "now-1h", "30s"]);
  expect(board.variables[0]).toMatchObject({ kind: "query", name: "job", query: "label_values(job)", sort: 1, multi: true, source: { type: "prometheus" } });
  expect(board.sections.map((it) => [it.title, it.collapsed, it.panels.length])).toEqual([["R", false, 1], ["S", true, 1]]);
  expect(board.sections[0]?.panels[0]).toMatchObject({ type: "stat", title: "One", pos: { x: 2, y: 1, w: 10, h: 5 }, maxDataPoints: 50, defaults: { unit: "s" }, transformations: [{ id: "limit" }] });
  expect(board.sections[0]?.panels[0]?.targets[0]).toMatchObject({ refId: "A", raw: { expr: "up" }, source: { type: "prometheus", uid: "p" } });
  expect(board.sections[1]?.panels[0]?.findings.join()).toMatch(/library panel Shared one/);
  expect(board.findings[0]).toMatch(/shape of version 2/);
  expect(Object.keys(exported(unwrapped(v2), false))).not.toContain("__findings");
});

test("objects of the newer interface and panels of a library that a file brings along are read", () => {
  const first = { apiVersion: "dashboard.grafana.app/v1beta1", kind: "Dashboard", metadata: { name: "uid-1" }, spec: { title: "One", panels: [{ id: 1, type: "stat" }] } };
  const board = readBoard(unwrapped(first));
  expect([board.uid, board.title, panelsOf(board).length]).toEqual(["uid-1", "One", 1]);
  const place = { id: 4, gridPos: { x: 3, y: 0, w: 6, h: 5 }, libraryPanel: { uid: "l", name: "Lib" } };
  const library = { l: { name: "Lib", uid: "l", model: { id: 99, type: "gauge", title: "Lib", options: {}, targets: [{ expr: "up" }] } } };
  const filled = unwrapped({ title: "T", __elements: library, panels: [place, { type: "row", collapsed: true, gridPos: { x: 0, y: 6, w: 24, h: 1 }, panels: [place] }, { id: 5, gridPos: { x: 0, y: 7, w: 6, h: 2 }, libraryPanel: { uid: "other", name: "Other" } }] });
  const panels = panelsOf(readBoard(filled));
  expect(panels.map((it) => [it.id, it.type, it.pos.x, it.targets.length])).toEqual([[4, "gauge", 3, 1], [4, "gauge", 3, 1], [5, "", 0, 0]]);
  expect(panels[0]?.findings).toEqual([]);
  expect(panels[2]?.findings.join()).toMatch(/library panel Other is not in this file/);
  expect("__elements" in filled).toBe(false);
});

test("what is no dashboard is refused in words", () => {
  expect(() => parsedBoard("{")).toThrow(/no JSON/);
  expect(() => parsedBoard("[]")).toThrow(/not an object/);
  expect(() => parsedBoard('{"a":1}')).toThrow(/no panels, rows/);
  expect(parsedBoard('{"dashboard":{"title":"in"},"meta":{}}')).toEqual({ title: "in" });
});

const panel = (id: number, x: number, y: number, w: number, h: number, more: Fields = {}): Fields => ({ id, type: "stat", gridPos: { x, y, w, h }, ...more });
const value = (...values: string[]) => ({ values, texts: values, allText: undefined, several: true });

test("panels and rows are repeated, and what stands below moves down", () => {
  const board = readBoard({ title: "t", panels: [panel(1, 0, 0, 24, 4, { repeat: "host", repeatDirection: "h", maxPerRow: 2 }), panel(2, 0, 4, 24, 3), { id: 9, type: "row", title: "$disk", gridPos: { x: 0, y: 7, w: 24, h: 1 }, repeat: "disk", panels: [] }, panel(3, 0, 8, 12, 5)] });
  const values = new Map([["host", value("a", "b", "c")], ["disk", value("sda", "sdb")]]);
  const { rows, height } = laidOut(board, values, (_key, given) => given);
  expect(rows.flatMap((row) => row.panels.map((it) => [it.key, it.pos.x, it.pos.y, it.pos.w]))).toEqual([["1", 0, 0, 12], ["1-1", 12, 0, 12], ["1-2", 0, 4, 12], ["2", 0, 8, 24], ["3", 0, 12, 12], ["3-r1", 0, 18, 12]]);
  expect(rows[2]?.panels[0]?.local.get("disk")?.values).toEqual(["sdb"]);
  expect(height).toBe(23);
  const folded = laidOut(board, values, (key) => key === "row-9");
  expect(folded.rows.map((it) => it.panels.length)).toEqual([4, 0, 1]);
});

test("a repeat for what is no variable is said and shown once", () => {
  const board = readBoard({ title: "t", panels: [panel(1, 0, 0, 4, 4, { repeat: "nope" })] });
  const { rows, findings } = laidOut(board, new Map(), () => false);
  expect([rows[0]?.panels.length, findings[0]]).toEqual([1, "what is repeated for $nope is shown once: there is no such variable"]);
});

test("moving and resizing never lets panels cover each other, and gaps close", () => {
  let raw: Fields = { title: "t", panels: [panel(1, 0, 0, 12, 8), panel(2, 12, 0, 12, 8), panel(3, 0, 8, 24, 8), { id: 4, type: "row", title: "r", gridPos: { x: 0, y: 16, w: 24, h: 1 } }, panel(5, 0, 17, 6, 4)] };
  const free = (it: Fields): void => {
    const boxes = parts(it, "panels").map(posIn);
    boxes.forEach((a, at) => boxes.slice(at + 1).forEach((b) => expect(covers(a, b), JSON.stringify([a, b])).toBe(false)));
  };
  for (const [id, pos] of [[1, { x: 12, y: 0, w: 12, h: 8 }], [3, { x: 0, y: 0, w: 24, h: 4 }], [5, { x: 3, y: 17, w: 99, h: 9 }], [2, { x: -4, y: 500, w: 1, h: 1 }]] as const) {
    raw = placedAt(raw, id, pos);
    free(raw);
  }
  expect(posIn(panelIn(raw, 3) ?? {})).toMatchObject({ x: 0, w: 24, h: 4 });
  const copy = withCopy(raw, 1);
  free(copy);
  expect(parts(copy, "panels").length).toBe(6);
  const added = withNewPanel(raw, newPanel("stat"));
  expect([added.id, parts(added.raw, "panels").length]).toEqual([6, 6]);
  free(added.raw);
  const gone = withoutPanel(raw, 3);
  expect(panelIn(gone, 3)).toBeUndefined();
  expect(Math.min(...parts(gone, "panels").map((it) => posIn(it).y))).toBe(0);
  expect(compacted(gone)).toEqual(gone);
});

test("inputs of a file are asked for and filled in everywhere", () => {
  const raw = parsedBoard(source("house.json"));
  expect(inputsOf(raw)).toEqual([{ name: "DS_PROMETHEUS", label: "Prometheus", type: "datasource", pluginId: "prometheus", value: "" }]);
  const filled = withInputs(raw, new Map([["DS_PROMETHEUS", "here"]]));
  expect(JSON.stringify(filled)).not.toContain("DS_PROMETHEUS");
  expect(JSON.stringify(filled)).toContain('"uid":"here"');
  expect(JSON.stringify(filled)).toContain("${__value.raw}");
});

test("data sources by type, by input, by what the server knows, by their names", () => {
  const board = readBoard(parsedBoard(source("house.json")));
  const known = [{ uid: "u1", name: "My store", type: "loki", isDefault: false }];
  const kind = (ref: { type?: string; uid?: string } | undefined): string => kindOf(ref, known, board, (it) => it.replace("$ds", "Loki of ours")).kind;
  expect([undefined, { type: "jaeger" }, { uid: "${DS_PROMETHEUS}" }, { uid: "u1" }, { uid: "My store" }, { uid: "-- Mixed --" }, { uid: "$ds" }, { type: "mysql" }, { type: "datasource", uid: "grafana" }, { uid: "who knows" }].map(kind)).toEqual(["prometheus", "tempo", "prometheus", "loki", "loki", "mixed", "loki", "unknown", "grafana", "unknown"]);
});

test.each<[string, string]>([
  ["up", 'up{zone="n"}'],
  ['sum by (job) (rate(http_total{code=~"5.."}[5m])) / 2', 'sum by (job) (rate(http_total{code=~"5..",zone="n"}[5m])) / 2'],
  ['a{x="}"} + on (b) group_left b offset 5m', 'a{x="}",zone="n"} + on (b) group_left b{zone="n"} offset 5m'],
  ["sum(x) by (y)", 'sum(x{zone="n"}) by (y)'],
  ['sum(count_over_time({job="web"} |= "a b" | json | level="x" [5m]))', 'sum(count_over_time({job="web",zone="n"} |= "a b" | json | level="x" [5m]))'],
  ["{}", '{zone="n"}'],
  ["time() > 1e3", "time() > 1e3"],
])("an ad hoc filter in %s", (expr, expected) => {
  expect(withFilters(expr, [{ key: "zone", op: "=", value: "n" }], expr.includes("|") && !expr.includes("~") ? "logql" : "promql")).toBe(expected);
});

test("legends", () => {
  const labels = { __name__: "up", job: "a", instance: "i" };
  expect(["{{job}} on {{ instance }}{{nope}}", "", "__auto"].map((it) => legendOf(labels, it, "up"))).toEqual(["a on i", 'up{job="a", instance="i"}', 'up{job="a", instance="i"}']);
  expect(legendOf({}, "", "sum(up)")).toBe("sum(up)");
  expect(legendOf({ job: "a" }, "__auto", "x")).toBe("a");
});

test("mappings survive their form", () => {
  const mappings = [{ type: "value", options: { "0": { text: "down", color: "red", index: 0 }, "1": { text: "up", index: 1 } } }, { type: "range", options: { from: 1, to: null, result: { text: "more" } } }, { type: "special", options: { match: "null", result: { text: "none" } } }];
  expect(fromRows(rowsOf(mappings))).toEqual(mappings);
});

test("words of boards never become mark-up", () => {
  const text = JSON.stringify(markdown("# Hi\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1)) [y](/d/a_(b)) **bold _both_**\n\n- a\n  - b\n\n| h |\n|---|\n| c |\n\n```\n<b>\n```"));
  expect(text).not.toContain("javascript:");
  expect(text).toContain('{"kind":"link","url":"/d/a_(b)","inner":[{"kind":"text","text":"y"}]}');
  expect(text).toContain('"kind":"table"');
  expect(text).toContain('{"kind":"code","text":"<b>"}');
  expect(textOfHtml('<style>a{}</style><h1>T</h1><script>x()</script><p onclick="y">A &amp; <a href="/b">b</a></p>')).toBe("\n\n# T\n\nA & [b](/b)\n");
  expect(["javascript:x", " JAVASCRIPT:x", "data:text/html,x", "vbscript:x", "/d/x", "https://a.b", "x?y=1"].map((it) => safeUrl(it) !== undefined)).toEqual([false, false, false, false, true, true, true]);
});
