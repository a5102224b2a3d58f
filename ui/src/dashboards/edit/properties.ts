// What an override can set, as the form offers it; each name is Grafana's. Not what it does (fields/config.ts).
import { CALCS } from "../fields/reduce";
import { UNIT_IDS } from "../fields/units";
import type { Fields } from "../model/types";
import { type Choices, named, type Spec, spec } from "./form";
import { t } from "../../words/t";

const DASHES: Choices = [[{ fill: "solid" }, t("solid")], [{ fill: "dash", dash: [10, 10] }, t("dashes")], [{ fill: "dot", dash: [0, 10] }, t("dots")]];
export const SCALES: Choices = [[{ type: "linear" }, t("linear")], [{ type: "log", log: 10 }, t("log")], [{ type: "log", log: 2 }, t("log of 2")], [{ type: "symlog", log: 10 }, t("symlog")]];
export const STACKS: Choices = [[{ mode: "none", group: "A" }, t("none")], [{ mode: "normal", group: "A" }, t("normal")], [{ mode: "percent", group: "A" }, t("percent")]];
export const THRESHOLD_STYLES: Choices = ([["off", t("off")], ["line", t("as lines")], ["dashed", t("dashed")], ["area", t("as areas")], ["line+area", t("as lines and areas")], ["dashed+area", t("dashed, and as areas")]] as const).map(([mode, words]) => [{ mode }, words] as const);
export const STYLES: Choices = [["line", t("as lines")], ["bars", t("as bars")], ["points", t("as points")]];
const HIDING: Choices = [[{ viz: false, legend: false, tooltip: false }, t("nowhere")], [{ viz: true, legend: false, tooltip: false }, t("in the chart")], [{ viz: false, legend: true, tooltip: false }, t("in the legend")], [{ viz: true, legend: true, tooltip: true }, t("everywhere")]];
const CELLS: Choices = (["auto", "color-text", "color-background", "gauge", "sparkline", "json-view"] as const).map((type) => [{ type }, t(type)] as const);

/** Names, words, and what each takes; thresholds and mappings have forms of their own. */
const KNOWN: readonly (readonly [id: string, words: string, kind?: Spec["kind"], offers?: readonly string[]])[] = [
  ["displayName", t("Name")],
  ["unit", t("Unit"), "text", UNIT_IDS],
  ["decimals", t("Decimals"), "number"],
  ["min", t("Least"), "number"],
  ["max", t("Most"), "number"],
  ["noValue", t("Words for no value")],
  ["color", t("Colour"), "json"],
  ["thresholds", t("Thresholds"), "json"],
  ["mappings", t("Mappings"), "json"],
  ["links", t("Links"), "json"],
  ["description", t("Description")],
  ["custom.drawStyle", t("Style"), STYLES],
  ["custom.lineInterpolation", t("Way between points"), named("linear smooth stepBefore stepAfter")],
  ["custom.lineWidth", t("Width of the line"), "number"],
  ["custom.lineStyle", t("Dashes"), DASHES],
  ["custom.fillOpacity", t("Fill, %"), "number"],
  ["custom.gradientMode", t("Gradient"), named("none opacity hue scheme")],
  ["custom.fillBelowTo", t("Filled down to")],
  ["custom.showPoints", t("Points"), named("auto always never")],
  ["custom.pointSize", t("Size of points"), "number"],
  ["custom.spanNulls", t("Joined over gaps"), "flag"],
  ["custom.stacking", t("Stack"), STACKS],
  ["custom.transform", t("Turned"), [["", t("not")], ["negative-Y", t("downwards")]]],
  ["custom.scaleDistribution", t("Scale"), SCALES],
  ["custom.axisPlacement", t("Axis"), named("auto left right hidden")],
  ["custom.axisLabel", t("Words at the axis")],
  ["custom.axisSoftMin", t("Axis from, or less"), "number"],
  ["custom.axisSoftMax", t("Axis to, or more"), "number"],
  ["custom.thresholdsStyle", t("Thresholds drawn"), THRESHOLD_STYLES],
  ["custom.hideFrom", t("Hidden"), HIDING],
  ["custom.width", t("Width of the column"), "number"],
  ["custom.align", t("Aligned"), named("auto left center right")],
  ["custom.cellOptions", t("Cell"), CELLS],
  ["custom.hidden", t("Column hidden"), "flag"],
  ["custom.filterable", t("Column can be filtered"), "flag"],
];

export const PROPERTIES: Choices = KNOWN.map(([id, words]) => [id, words] as const);
/** An override's value stands under `value`; what is not in the table is JSON. */
export function propertySpec(id: string): Spec {
  const [, words = id, kind = KNOWN.some(([it]) => it === id) ? "text" : "json", offers] = KNOWN.find(([it]) => it === id) ?? [];
  return spec("value", words, kind, undefined, offers);
}

/** What a property has before anybody chose. */
export function firstValue(id: string): unknown {
  const { kind } = propertySpec(id);
  if (id === "color") return { mode: "fixed", fixedColor: "blue" };
  if (id === "thresholds") return { mode: "absolute", steps: [{ color: "green", value: null }, { color: "red", value: 80 }] };
  if (id === "mappings" || id === "links") return [];
  return kind === "flag" ? true : kind === "number" ? 0 : typeof kind === "object" ? kind[0]?.[0] : "";
}

/** What an override fits, and what each way to say it takes. */
export const MATCHERS: Choices = [["byName", t("name")], ["byRegexp", t("pattern of names")], ["byType", t("type")], ["byFrameRefID", t("query")], ["byNames", t("several names")], ["byValue", t("value")]];
export function matcherSpecs(matcher: Fields, names: readonly string[], queries: readonly string[]): Spec[] {
  switch (matcher["id"]) {
    case "byName":
      return [spec("options", t("Name"), "text", undefined, names)];
    case "byRegexp":
      return [spec("options", t("Pattern"), "text", "/^cpu/")];
    case "byType":
      return [spec("options", t("Type"), named("number string time boolean other"))];
    case "byFrameRefID":
      return [spec("options", t("Query"), queries.map((it) => [it, it]))];
    case "byValue":
      return [spec("options.reducer", t("Figure"), Object.entries(CALCS)), spec("options.op", t("Is"), [">=", ">", "<=", "<", "==", "!="].map((it) => [it, it] as const)), spec("options.value", t("Value"), "number")];
    default:
      return [spec("options", t("Which"), "json")];
  }
}
/** Options of one way mean nothing in another. */
export function firstOptions(id: string, names: readonly string[], queries: readonly string[]): unknown {
  const made: Record<string, unknown> = { byName: names[0] ?? "", byRegexp: "/.*/", byType: "number", byFrameRefID: queries[0] ?? "A", byNames: { mode: "include", names: names.slice(0, 1) }, byValue: { reducer: "lastNotNull", op: ">=", value: 0 } };
  return made[id];
}
