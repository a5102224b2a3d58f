// Dashboards in the shape of version 2 (elements and a layout) as the classic shape, which is all that the rest of this page knows.
// What has no place there is a finding. Not the way back: such a dashboard is saved in the classic shape.
import { isRecord } from "../../api/request";
import type { Fields } from "./types";
import { flag, num, part, parts, text, texts } from "./values";
import { t } from "../../words/t";

const HIDE: Record<string, number> = { dontHide: 0, hideLabel: 1, hideVariable: 2, inControlsMenu: 0 };
const SORTS = ["disabled", "alphabeticalAsc", "alphabeticalDesc", "numericalAsc", "numericalDesc", "alphabeticalCaseInsensitiveAsc", "alphabeticalCaseInsensitiveDesc", "naturalAsc", "naturalDesc"];
const AUTO_COLUMNS = 3;
const AUTO_HEIGHT = 9;

export function isV2(value: Fields): boolean {
  return /^dashboard\.grafana\.app\/v2/.test(text(value, "apiVersion")) || isRecord(value["elements"]) || isRecord(part(value, "spec")["elements"]);
}

export function classic(value: Fields): Fields {
  const spec = isRecord(value["spec"]) ? value["spec"] : value;
  const findings: string[] = [t("this file has the shape of version 2; it is saved and exported in the classic shape")];
  const time = part(spec, "timeSettings");
  const uid = text(part(value, "metadata"), "name");
  return {
    ...(uid === "" ? {} : { uid }),
    title: text(spec, "title"),
    description: text(spec, "description"),
    tags: texts(spec, "tags"),
    editable: flag(spec, "editable", true),
    timezone: text(time, "timezone"),
    time: { from: text(time, "from", "now-6h"), to: text(time, "to", "now") },
    refresh: text(time, "autoRefresh"),
    timepicker: { refresh_intervals: texts(time, "autoRefreshIntervals") },
    schemaVersion: 41,
    graphTooltip: { Off: 0, Crosshair: 1, Tooltip: 2 }[text(spec, "cursorSync")] ?? 0,
    links: parts(spec, "links"),
    templating: { list: parts(spec, "variables").map(variable) },
    annotations: { list: parts(spec, "annotations").map(annotation) },
    panels: panelsIn(spec, findings),
    __findings: findings,
  };
}

function source(query: Fields): Fields | undefined {
  const type = text(query, "group") || text(query, "kind");
  const uid = text(part(query, "datasource"), "name") || text(part(query, "datasource"), "uid");
  return type === "" && uid === "" ? undefined : { ...(type === "" || type === "DataQuery" ? {} : { type }), ...(uid === "" ? {} : { uid }) };
}

function variable(raw: Fields): Fields {
  const spec = part(raw, "spec");
  const type = text(raw, "kind").replace(/Variable$/, "").toLowerCase();
  const query = part(spec, "query");
  return {
    ...spec,
    type: type === "text" ? "textbox" : type,
    hide: HIDE[text(spec, "hide")] ?? 0,
    sort: Math.max(0, SORTS.indexOf(text(spec, "sort"))),
    ...(isRecord(spec["query"]) ? { query: part(query, "spec"), datasource: source(query) ?? spec["datasource"] } : {}),
    ...(type === "datasource" ? { query: text(spec, "pluginId") } : {}),
    ...(type === "switch" ? { current: { value: text(spec, "current") } } : {}),
  };
}

function annotation(raw: Fields): Fields {
  const spec = part(raw, "spec");
  const query = part(spec, "query");
  return { ...part(spec, "legacyOptions"), ...part(query, "spec"), name: text(spec, "name"), enable: flag(spec, "enable", true), hide: flag(spec, "hide"), iconColor: text(spec, "iconColor"), builtIn: flag(spec, "builtIn") ? 1 : 0, datasource: source(query) ?? spec["datasource"] };
}

function panel(element: Fields, name: string): Fields {
  if (text(element, "kind") === "LibraryPanel") {
    const library = part(part(element, "spec"), "libraryPanel");
    return { type: "library", title: text(part(element, "spec"), "title"), libraryPanel: { name, ...library } };
  }
  const spec = part(element, "spec");
  const group = part(part(spec, "data"), "spec");
  const viz = part(spec, "vizConfig");
  const config = part(viz, "spec");
  const options = part(group, "queryOptions");
  return {
    id: num(spec, "id"),
    title: text(spec, "title"),
    description: text(spec, "description"),
    transparent: flag(spec, "transparent"),
    links: parts(spec, "links"),
    type: text(viz, "group") || text(viz, "kind"),
    options: part(config, "options"),
    fieldConfig: part(config, "fieldConfig"),
    interval: text(options, "interval"),
    timeFrom: text(options, "timeFrom"),
    timeShift: text(options, "timeShift"),
    ...(num(options, "maxDataPoints") === undefined ? {} : { maxDataPoints: num(options, "maxDataPoints") }),
    transformations: parts(group, "transformations").map((it) => ({ ...part(it, "spec"), id: text(part(it, "spec"), "id") || text(it, "group") || text(it, "kind") })),
    targets: parts(group, "queries").map((it) => {
      const query = part(part(it, "spec"), "query");
      return { ...part(query, "spec"), refId: text(part(it, "spec"), "refId"), hide: flag(part(it, "spec"), "hidden"), datasource: source(query) ?? part(it, "spec")["datasource"] };
    }),
  };
}

/** Lays the items of a layout out on the grid from a height on; returns the height after them. */
function panelsIn(spec: Fields, findings: string[]): Fields[] {
  const elements = part(spec, "elements");
  const found: Fields[] = [];
  let rows = 0;
  const add = (name: string, gridPos: Fields, more: Fields = {}): void => {
    found.push({ ...panel(part(elements, name), name), ...more, gridPos });
  };
  const repeat = (item: Fields): Fields => {
    const it = part(item, "repeat");
    return text(it, "value") === "" ? {} : { repeat: text(it, "value"), repeatDirection: text(it, "direction") || "h", ...(num(it, "maxPerRow") ? { maxPerRow: num(it, "maxPerRow") } : {}) };
  };
  const lay = (layout: Fields, y: number): number => {
    const inner = part(layout, "spec");
    switch (text(layout, "kind")) {
      case "GridLayout": {
        let end = y;
        for (const item of parts(inner, "items").map((it) => part(it, "spec"))) {
          const high = num(item, "height") ?? 8;
          const top = y + (num(item, "y") ?? 0);
          add(text(part(item, "element"), "name"), { x: num(item, "x") ?? 0, y: top, w: num(item, "width") ?? 12, h: high }, repeat(item));
          end = Math.max(end, top + high);
        }
        return end;
      }
      case "AutoGridLayout": {
        const columns = Math.min(24, Math.max(1, num(inner, "maxColumnCount") ?? AUTO_COLUMNS));
        const items = parts(inner, "items").map((it) => part(it, "spec"));
        const wide = Math.max(1, Math.floor(24 / columns));
        items.forEach((item, at) => add(text(part(item, "element"), "name"), { x: (at % columns) * wide, y: y + Math.floor(at / columns) * AUTO_HEIGHT, w: wide, h: AUTO_HEIGHT }, repeat(item)));
        if (items.some((it) => isRecord(it["conditionalRendering"]))) findings.push(t("conditions under which panels are shown are not supported: all are shown"));
        return y + Math.ceil(items.length / columns) * AUTO_HEIGHT;
      }
      case "RowsLayout":
        return parts(inner, "rows").reduce((top, row) => asRow(part(row, "spec"), top), y);
      case "TabsLayout":
        findings.push(t("tabs are shown as rows, one below the other"));
        return parts(inner, "tabs").reduce((top, tab) => asRow(part(tab, "spec"), top), y);
      default:
        findings.push(t("the layout {0} is not supported", text(layout, "kind") || "(none)"));
        return y;
    }
  };
  const asRow = (row: Fields, y: number): number => {
    rows += 1;
    const collapsed = flag(row, "collapse");
    const head: Fields = { type: "row", id: 900_000 + rows, title: text(row, "title"), collapsed, gridPos: { x: 0, y, w: 24, h: 1 }, panels: [], ...repeat(row) };
    if (!collapsed) {
      found.push(head);
      return lay(part(row, "layout"), y + 1);
    }
    const before = found.length;
    lay(part(row, "layout"), y + 1);
    head["panels"] = found.splice(before).filter((it) => it["type"] !== "row");
    found.push(head);
    return y + 1;
  };
  lay(part(spec, "layout"), 0);
  return found;
}
