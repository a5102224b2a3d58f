// Panel types that Grafana has no more, and options that it keeps elsewhere now, as today's: graph, singlestat, table-old, the plug-in
// for pies, gauges before version 7. What has no place today is a finding. Only a reading: the file keeps what it had.
import { isRecord } from "../../api/request";
import type { Fields } from "./types";
import { flag, num, part, parts, text, texts } from "./values";
import { t } from "../../words/t";

const CALCS: Record<string, string> = { avg: "mean", current: "lastNotNull", total: "sum", min: "min", max: "max", first: "first", delta: "delta", diff: "diff", range: "range" };

export function modern(raw: Fields, findings: string[]): Fields {
  switch (text(raw, "type")) {
    case "graph":
      return graph(raw, findings);
    case "singlestat":
    case "grafana-singlestat-panel":
      return singlestat(raw, findings);
    case "table-old":
      return tableOld(raw, findings);
    case "table":
      // The old table kept its type until somebody edited it.
      return Array.isArray(raw["styles"]) && !("fieldConfig" in raw) ? tableOld(raw, findings) : fieldOptions(raw);
    case "grafana-piechart-panel":
      return pie(raw);
    case "heatmap":
      return "options" in raw ? raw : oldHeatmap(raw);
    case "text":
    case "text2":
      return "options" in raw ? { ...raw, type: "text" } : { ...raw, type: "text", options: { content: text(raw, "content"), mode: text(raw, "mode", "markdown") } };
    case "alertlist":
    case "dashlist":
      return "options" in raw ? raw : { ...raw, options: raw };
    default:
      return fieldOptions(raw);
  }
}

/** From version 6 to 7, gauges and their kin had thresholds and units in options. */
function fieldOptions(raw: Fields): Fields {
  const options = part(raw, "options");
  const old = part(options, "fieldOptions");
  if (Object.keys(old).length === 0 || "fieldConfig" in raw) return raw;
  const defaults = part(old, "defaults");
  const thresholds = defaults["thresholds"] ?? (Array.isArray(old["thresholds"]) ? { mode: "absolute", steps: old["thresholds"] } : undefined);
  return {
    ...raw,
    options: { reduceOptions: { calcs: texts(old, "calcs"), values: flag(old, "values") }, ...options },
    fieldConfig: { defaults: { ...defaults, mappings: defaults["mappings"] ?? old["mappings"] ?? [], ...(thresholds === undefined ? {} : { thresholds }) }, overrides: parts(old, "overrides") },
  };
}

function graph(raw: Fields, findings: string[]): Fields {
  // Before version 12, units and limits of both axes stood in two other places.
  const grid = part(raw, "grid");
  const old = (at: number, side: string): Fields => ({ format: texts(raw, "y_formats")[at], min: grid[`${side}Min`], max: grid[`${side}Max`], logBase: grid[`${side}LogBase`], label: raw[`${side}YAxisLabel`] });
  const [left = {}, right = {}] = Array.isArray(raw["yaxes"]) ? parts(raw, "yaxes") : [old(0, "left"), old(1, "right")];
  const legend = part(raw, "legend");
  const calcs = ["current", "min", "max", "avg", "total"].filter((it) => flag(legend, it)).map((it) => CALCS[it] ?? it);
  const axis = part(raw, "xaxis");
  const mode = text(axis, "mode", "time");
  const stacked = flag(raw, "stack");
  const bars = flag(raw, "bars");
  const lines = flag(raw, "lines", true);
  const custom: Fields = {
    drawStyle: bars && !lines ? "bars" : !lines && flag(raw, "points") ? "points" : "line",
    lineWidth: num(raw, "linewidth") ?? 1,
    fillOpacity: bars && !lines ? Math.max(60, (num(raw, "fill") ?? 1) * 10) : (num(raw, "fill") ?? 1) * 10,
    gradientMode: (num(raw, "fillGradient") ?? 0) > 0 ? "opacity" : "none",
    lineInterpolation: flag(raw, "steppedLine") ? "stepAfter" : "linear",
    showPoints: flag(raw, "points") ? "always" : "never",
    pointSize: (num(raw, "pointradius") ?? 2) * 2,
    spanNulls: text(raw, "nullPointMode") === "connected",
    stacking: { mode: stacked ? (flag(raw, "percentage") ? "percent" : "normal") : "none", group: "A" },
    axisPlacement: flag(left, "show", true) ? "auto" : "hidden",
    axisLabel: text(left, "label"),
    scaleDistribution: (num(left, "logBase") ?? 1) > 1 ? { type: "log", log: num(left, "logBase") } : { type: "linear" },
  };
  if (text(raw, "nullPointMode") === "null as zero") findings.push(t("holes are shown as holes, not as zeros (null as zero)"));
  const defaults: Fields = { unit: text(left, "format", "short"), custom, ...limit(left, "min"), ...limit(left, "max") };
  const decimals = num(raw, "decimals") ?? num(left, "decimals");
  if (decimals !== undefined) defaults["decimals"] = decimals;
  const steps = thresholdSteps(parts(raw, "thresholds"));
  if (steps) {
    defaults["thresholds"] = { mode: "absolute", steps };
    custom["thresholdsStyle"] = { mode: parts(raw, "thresholds").some((it) => flag(it, "fill")) ? "line+area" : "line" };
  }
  return {
    ...raw,
    type: mode === "histogram" ? "histogram" : mode === "series" ? "barchart" : "timeseries",
    ...(mode === "series" ? { transformations: [{ id: "reduce", options: { reducers: [CALCS[texts(axis, "values")[0] ?? "total"] ?? "sum"] } }] } : {}),
    options: {
      legend: { showLegend: flag(legend, "show", true), displayMode: flag(legend, "alignAsTable") ? "table" : "list", placement: flag(legend, "rightSide") ? "right" : "bottom", calcs: flag(legend, "values") || flag(legend, "alignAsTable") ? calcs : [], sortBy: CALCS[text(legend, "sort")], sortDesc: flag(legend, "sortDesc") },
      tooltip: { mode: flag(part(raw, "tooltip"), "shared", true) ? "multi" : "single", sort: (num(part(raw, "tooltip"), "sort") ?? 0) === 0 ? "none" : num(part(raw, "tooltip"), "sort") === 1 ? "asc" : "desc" },
    },
    fieldConfig: { defaults, overrides: [...seriesOverrides(parts(raw, "seriesOverrides"), right, findings), ...aliasColors(part(raw, "aliasColors"))] },
  };
}

function limit(axis: Fields, key: "min" | "max"): Fields {
  const value = num(axis, key);
  return value === undefined ? {} : { [key]: value };
}

/** Old thresholds colour what is over or under them; steps colour from a value up. */
function thresholdSteps(list: Fields[]): Fields[] | undefined {
  const known = list.filter((it) => num(it, "value") !== undefined).sort((a, b) => (num(a, "value") ?? 0) - (num(b, "value") ?? 0));
  if (known.length === 0) return undefined;
  const colorOf = (it: Fields): string => text(it, "lineColor") || { critical: "red", warning: "orange", ok: "green" }[text(it, "colorMode")] || "red";
  const first = known[0];
  const steps: Fields[] = [{ color: first && text(first, "op") === "lt" ? colorOf(first) : "transparent", value: null }];
  for (const it of known) steps.push({ color: text(it, "op") === "lt" ? "transparent" : colorOf(it), value: num(it, "value") });
  return steps;
}

function seriesOverrides(list: Fields[], right: Fields, findings: string[]): Fields[] {
  return list.map((it) => {
    const alias = text(it, "alias");
    const pattern = /^\/.*\/[gimuy]*$/.test(alias);
    const properties: Fields[] = [];
    const add = (id: string, value: unknown): void => {
      properties.push({ id, value });
    };
    for (const [key, value] of Object.entries(it)) {
      switch (key) {
        case "alias":
        case "$$hashKey":
          break;
        case "yaxis":
          if (value === 2) {
            add("custom.axisPlacement", "right");
            add("unit", text(right, "format", "short"));
            if (num(right, "min") !== undefined) add("min", num(right, "min"));
            if (num(right, "max") !== undefined) add("max", num(right, "max"));
            if (text(right, "label") !== "") add("custom.axisLabel", text(right, "label"));
          }
          break;
        case "color":
          add("color", { mode: "fixed", fixedColor: value });
          break;
        case "fill":
          add("custom.fillOpacity", Number(value) * 10);
          break;
        case "linewidth":
          add("custom.lineWidth", value);
          break;
        case "lines":
          if (value === false) add("custom.lineWidth", 0);
          break;
        case "bars":
          if (value === true) add("custom.drawStyle", "bars");
          break;
        case "points":
          add("custom.showPoints", value === true ? "always" : "never");
          break;
        case "dashes":
          if (value === true) add("custom.lineStyle", { fill: "dash", dash: [10, 10] });
          break;
        case "dashLength":
        case "spaceLength":
        case "zindex":
        case "pointradius":
          break;
        case "stack":
          add("custom.stacking", { mode: value === false ? "none" : "normal", group: typeof value === "string" ? value : "A" });
          break;
        case "transform":
          if (value === "negative-Y") add("custom.transform", "negative-Y");
          else findings.push(t("the series override {0} {1} is not supported", key, String(value)));
          break;
        case "legend":
          if (value === false) add("custom.hideFrom", { legend: true, viz: false, tooltip: false });
          break;
        case "hiddenSeries":
          if (value === true) add("custom.hideFrom", { legend: false, viz: true, tooltip: true });
          break;
        case "nullPointMode":
          add("custom.spanNulls", value === "connected");
          break;
        default:
          findings.push(t("the series override {0} is not supported", key));
      }
    }
    return { matcher: { id: pattern ? "byRegexp" : "byName", options: alias }, properties };
  });
}

function aliasColors(colors: Fields): Fields[] {
  return Object.entries(colors).map(([name, color]) => ({ matcher: { id: "byName", options: name }, properties: [{ id: "color", value: { mode: "fixed", fixedColor: color } }] }));
}

function singlestat(raw: Fields, findings: string[]): Fields {
  const gauge = part(raw, "gauge");
  const isGauge = flag(gauge, "show");
  const colors = texts(raw, "colors");
  const bounds = text(raw, "thresholds").split(",").map((it) => it.trim()).filter((it) => it !== "").map(Number).filter(Number.isFinite);
  const colored = flag(raw, "colorValue") || flag(raw, "colorBackground") || isGauge;
  const steps = [{ color: colored ? (colors[0] ?? "green") : "text", value: null as number | null }, ...bounds.map((value, at) => ({ color: colored ? (colors[at + 1] ?? "red") : "text", value: value as number | null }))];
  const [prefix, postfix] = [text(raw, "prefix"), text(raw, "postfix")];
  const mappings = singlestatMappings(raw);
  const stat = text(raw, "valueName", "avg");
  const unknown = !(stat in CALCS) && stat !== "name" && stat !== "last_time";
  if (unknown) findings.push(t("the value {0} of a single stat is not supported: the last one is shown", stat));
  const defaults: Fields = { unit: text(raw, "format", "none"), mappings, thresholds: { mode: "absolute", steps }, ...(isGauge ? { min: num(gauge, "minValue") ?? 0, max: num(gauge, "maxValue") ?? 100 } : {}) };
  if (num(raw, "decimals") !== undefined) defaults["decimals"] = num(raw, "decimals");
  if (text(raw, "nullText") !== "") defaults["noValue"] = text(raw, "nullText");
  if (prefix !== "" || postfix !== "") defaults["custom"] = { prefix, postfix };
  return {
    ...raw,
    type: isGauge ? "gauge" : "stat",
    options: {
      reduceOptions: { calcs: [CALCS[stat] ?? "lastNotNull"], values: false, fields: text(raw, "tableColumn") === "" ? "" : `/^${text(raw, "tableColumn").replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$/` },
      colorMode: flag(raw, "colorBackground") ? "background" : flag(raw, "colorValue") ? "value" : "none",
      graphMode: flag(part(raw, "sparkline"), "show") ? "area" : "none",
      textMode: stat === "name" ? "name" : "value",
      showThresholdMarkers: flag(gauge, "thresholdMarkers", true),
      showThresholdLabels: flag(gauge, "thresholdLabels"),
    },
    fieldConfig: { defaults, overrides: [] },
  };
}

function singlestatMappings(raw: Fields): Fields[] {
  const ranges = num(raw, "mappingType") === 2;
  if (ranges) return parts(raw, "rangeMaps").map((it) => ({ type: it["from"] === "null" ? "special" : "range", options: it["from"] === "null" ? { match: "null", result: { text: text(it, "text") } } : { from: num(it, "from") ?? null, to: num(it, "to") ?? null, result: { text: text(it, "text") } } }));
  return parts(raw, "valueMaps").map((it) => (text(it, "value") === "null" ? { type: "special", options: { match: "null", result: { text: text(it, "text") } } } : { type: "value", options: { [text(it, "value")]: { text: text(it, "text") } } }));
}

function tableOld(raw: Fields, findings: string[]): Fields {
  const overrides = parts(raw, "styles").flatMap((style): Fields[] => {
    const pattern = text(style, "pattern");
    const properties: Fields[] = [];
    const type = text(style, "type");
    if (type === "hidden") properties.push({ id: "custom.hidden", value: true });
    if (text(style, "alias") !== "") properties.push({ id: "displayName", value: text(style, "alias") });
    if (type === "number" && text(style, "unit") !== "") properties.push({ id: "unit", value: text(style, "unit") });
    if (type === "number" && num(style, "decimals") !== undefined) properties.push({ id: "decimals", value: num(style, "decimals") });
    if (type === "date") properties.push({ id: "unit", value: "dateTimeAsIso" });
    if (flag(style, "link") && text(style, "linkUrl") !== "") properties.push({ id: "links", value: [{ title: text(style, "linkTooltip"), url: oldCells(text(style, "linkUrl")), targetBlank: flag(style, "linkTargetBlank") }] });
    const colors = texts(style, "colors");
    const bounds = texts(style, "thresholds").map(Number).filter(Number.isFinite);
    if (isRecord(style) && text(style, "colorMode") !== "" && colors.length > 0) {
      properties.push({ id: "custom.cellOptions", value: { type: text(style, "colorMode") === "value" ? "color-text" : "color-background" } });
      properties.push({ id: "thresholds", value: { mode: "absolute", steps: [{ color: colors[0], value: null }, ...bounds.map((value, at) => ({ color: colors[at + 1] ?? colors.at(-1), value }))] } });
    }
    const mappings = singlestatMappings(style);
    if (mappings.length > 0) properties.push({ id: "mappings", value: mappings });
    const regex = /^\/.*\/[gimuy]*$/.test(pattern);
    return properties.length === 0 ? [] : [{ matcher: { id: regex ? "byRegexp" : "byName", options: pattern }, properties }];
  });
  const columns = parts(raw, "columns").map((it) => CALCS[text(it, "value")] ?? text(it, "value"));
  const transform = text(raw, "transform", "timeseries_to_columns");
  const transformations: Fields[] = parts(raw, "transformations");
  if (transform === "timeseries_aggregations") transformations.push({ id: "reduce", options: { reducers: columns.length > 0 ? columns : ["mean"] } });
  else if (transform === "timeseries_to_rows") transformations.push({ id: "seriesToRows", options: {} });
  else if (transform === "timeseries_to_columns") transformations.push({ id: "joinByField", options: { byField: "Time", mode: "outer" } });
  else if (transform === "table") transformations.push({ id: "merge", options: {} });
  else findings.push(t("the table's transformation {0} is not supported", transform));
  return { ...raw, type: "table", options: { showHeader: flag(raw, "showHeader", true) }, transformations, fieldConfig: { defaults: { custom: {} }, overrides } };
}

/** `$__cell` and `$__cell_3` of old links. */
function oldCells(url: string): string {
  return url.replace(/\$__cell_(\d+)/g, "${__data.fields[$1]}").replace(/\$\{?__cell\}?/g, "${__value.raw}");
}

function pie(raw: Fields): Fields {
  return {
    ...raw,
    type: "piechart",
    options: { pieType: text(raw, "pieType", "pie"), reduceOptions: { calcs: [CALCS[text(raw, "valueName", "current")] ?? "lastNotNull"] }, legend: { showLegend: flag(part(raw, "legend"), "show", true), placement: text(raw, "legendType") === "Right side" ? "right" : "bottom", values: flag(part(raw, "legend"), "percentage") ? ["percent"] : [] } },
    fieldConfig: { defaults: { unit: text(raw, "format", "short") }, overrides: aliasColors(part(raw, "aliasColors")) },
  };
}

function oldHeatmap(raw: Fields): Fields {
  const axis = part(raw, "yAxis");
  const color = part(raw, "color");
  return {
    ...raw,
    options: {
      calculate: text(raw, "dataFormat", "timeseries") === "timeseries",
      color: { mode: text(color, "mode") === "opacity" ? "opacity" : "scheme", scheme: text(color, "colorScheme").replace(/^interpolate/, ""), fill: text(color, "cardColor") },
      yAxis: { unit: text(axis, "format", "short"), decimals: axis["decimals"] },
      legend: { show: flag(part(raw, "legend"), "show") },
      tooltip: { show: flag(part(raw, "tooltip"), "show", true) },
    },
  };
}
