// What a panel's file asks for that this page does not do, in words: its type, units, calculations, overrides, options. A panel says so
// rather than looking as if nothing were missing.
import { matcherIsKnown } from "../fields/config";
import { rampIsKnown } from "../fields/colors";
import type { Frame } from "../fields/frame";
import { calcIsKnown } from "../fields/reduce";
import { unitIsKnown } from "../fields/units";
import type { Fields, Panel } from "../model/types";
import { at, part, text, texts } from "../model/values";
import { t } from "../../words/t";

/** Options that a panel type carries out, or that change nothing which can be seen here. */
const GRAPH = "legend tooltip timezone orientation dataLinks alertThreshold graph annotations";
const REDUCED = "reduceOptions orientation text textMode colorMode graphMode justifyMode showPercentChange percentChangeColorMode wideLayout namePlacement valueMode displayMode showUnfilled minVizHeight minVizWidth maxVizHeight sizing showThresholdLabels showThresholdMarkers legend fieldOptions effects barShape barWidthFactor endpointMarker segmentCount segmentSpacing shape sparkline textMode neutral";
const OPTIONS: Record<string, string> = {
  timeseries: GRAPH,
  stat: REDUCED,
  gauge: REDUCED,
  bargauge: REDUCED,
  barchart: `${GRAPH} barRadius barWidth groupWidth fullHighlight showValue stacking xField xTickLabelRotation xTickLabelMaxLength xTickLabelSpacing colorByField text barChart`,
  piechart: `${GRAPH} pieType displayLabels reduceOptions sort`,
  table: "showHeader showTypeIcons sortBy frameIndex cellHeight footer enablePagination disableKeyboardEvents fieldOptions maxRowHeight",
  text: "content mode code",
  heatmap: `${GRAPH} calculate calculation cellGap cellRadius cellValues color exemplars filterValues rowsFrame showValue yAxis selectionMode`,
  histogram: `${GRAPH} bucketCount bucketOffset bucketSize combine fillOpacity`,
  "state-timeline": `${GRAPH} alignValue mergeValues rowHeight showValue perPage`,
  "status-history": `${GRAPH} alignValue colWidth rowHeight showValue perPage`,
  logs: "showTime showLabels showCommonLabels wrapLogMessage prettifyLogMessage enableLogDetails sortOrder dedupStrategy showLogContextToggle enableInfiniteScrolling syntaxHighlighting fontSize detailsMode showControls controlsStorageKey isFilterLabelActive displayedFields onClickFilterLabel noInteractions timestampResolution unwrappedColumns",
};
const CUSTOM: Record<string, string> = {
  timeseries: "axisBorderShow axisCenteredZero axisColorMode axisGridShow axisLabel axisPlacement axisSoftMax axisSoftMin axisWidth barAlignment barMaxWidth barWidthFactor drawStyle fillBelowTo fillColor fillOpacity gradientMode hideFrom insertNulls lineColor lineInterpolation lineStyle lineWidth pointColor pointSize pointSymbol scaleDistribution showPoints spanNulls stacking thresholdsStyle transform prefix postfix",
  barchart: "axisBorderShow axisCenteredZero axisColorMode axisGridShow axisLabel axisPlacement axisSoftMax axisSoftMin axisWidth fillOpacity gradientMode hideFrom lineWidth scaleDistribution thresholdsStyle",
  "state-timeline": "axisPlacement fillOpacity hideFrom insertNulls lineWidth spanNulls",
  "status-history": "axisPlacement fillOpacity hideFrom lineWidth",
  piechart: "hideFrom",
  histogram: "fillOpacity gradientMode hideFrom lineWidth stacking",
  table: "align width minWidth cellOptions displayMode filterable hidden inspect hideFrom footer wrapText wrapHeaderText",
};
const PROPERTIES: ReadonlySet<string> = new Set(["displayName", "unit", "decimals", "min", "max", "noValue", "mappings", "thresholds", "color", "links", "description", "actions", "filterable", "fieldMinMax"]);
const COLOR_MODES: ReadonlySet<string> = new Set(["thresholds", "fixed", "shades", "palette-classic", "palette-classic-by-name", ""]);

/** Options whose values differ in what is done of them: the path, and the values that are. */
const VALUES: readonly [types: string, path: string, known: string, word: string][] = [
  ["table", "custom.cellOptions.type", "auto color-text color-background color-background-solid gauge json-view sparkline data-links pill markdown", t("the kind of cell")],
  ["table", "custom.displayMode", "auto color-text color-background color-background-solid gauge basic gradient-gauge lcd-gauge json-view", t("the kind of cell")],
  ["logs", "options.dedupStrategy", "none", t("removing repeated lines:")],
  ["timeseries", "custom.drawStyle", "line bars points", t("the style")],
  ["timeseries", "custom.scaleDistribution.type", "linear log symlog", t("the scale")],
  ["barchart", "custom.scaleDistribution.type", "linear", t("the scale")],
  ["barchart", "custom.thresholdsStyle.mode", "off", t("drawing thresholds as")],
  ["text", "options.mode", "markdown html code", t("the mode")],
];

export function lacks(panel: Panel, frames: readonly Frame[]): string[] {
  const found: string[] = [];
  const { options, defaults, type } = panel;
  configLacks(defaults, type, found);
  for (const { matcher, properties } of panel.overrides) {
    if (!matcherIsKnown(matcher.id)) found.push(t("overrides for fields by {0} are not supported", matcher.id));
    for (const { id, value } of properties) propertyLacks(id, value, type, found);
  }
  const known = OPTIONS[type];
  if (known !== undefined) {
    const names = new Set(known.split(" "));
    for (const key of Object.keys(options)) if (!names.has(key)) found.push(t("the option {0} is not supported", key));
  }
  for (const calc of [...texts(part(options, "reduceOptions"), "calcs"), ...texts(part(options, "legend"), "calcs")]) if (!calcIsKnown(calc)) found.push(t("the calculation {0} is not supported", calc));
  for (const [of, path, values, word] of VALUES) {
    const value = of === type ? at({ options, custom: part(defaults, "custom") }, path) : undefined;
    if (typeof value === "string" && value !== "" && !values.split(" ").includes(value)) found.push(t("{0} {1} is not supported", word, value));
  }
  if (type === "text" && text(options, "mode") === "html") found.push(t("HTML is shown as its text: tags are left out"));
  if (type === "timeseries" && text(part(defaults, "custom"), "gradientMode") === "scheme") found.push(t("lines have one colour each, by their last value, not one that changes along them"));
  if (frames.some((it) => it.fields.length > 200)) found.push(t("tables show their first 200 columns"));
  return found;
}

function configLacks(config: Fields, type: string, found: string[]): void {
  for (const [key, value] of Object.entries(config)) if (key !== "custom") propertyLacks(key, value, type, found);
  for (const [key, value] of Object.entries(part(config, "custom"))) propertyLacks(`custom.${key}`, value, type, found);
}

function propertyLacks(id: string, value: unknown, type: string, found: string[]): void {
  const [first = "", second = ""] = id.split(".");
  if (first === "custom") {
    const names = CUSTOM[type];
    if (names !== undefined && !names.split(" ").includes(second)) found.push(t("the field option {0} is not supported", second));
    return;
  }
  if (!PROPERTIES.has(first)) found.push(t("the field option {0} is not supported", id));
  if (id === "unit" && typeof value === "string" && !unitIsKnown(value)) found.push(t("the unit {0} is not known: it stands behind the plain number", value));
  if (id === "color") {
    const mode = text((typeof value === "object" && value !== null ? value : {}) as Fields, "mode");
    if (!COLOR_MODES.has(mode) && !rampIsKnown(mode)) found.push(t("the colour scheme {0} is not supported", mode));
  }
  if (id === "actions" && Array.isArray(value) && value.length > 0) found.push(t("actions are not supported: a dashboard only reads"));
}
