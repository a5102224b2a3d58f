// Reads Grafana's dashboard JSON of schema versions 8 to 42 into a board. Not the newer layout of version 2, which v2.ts turns into this
// first, and not panel types of old, which legacy.ts does.
import { isRecord } from "../../api/request";
import { modern } from "./legacy";
import type { AnnotationQuery, Board, Fields, GridPos, Link, Override, Panel, Section, SourceRef, Target, Transformation, Variable, VariableKind } from "./types";
import { flag, num, oneOrMore, part, parts, sourceRef, text, texts } from "./values";
import { classic, isV2 } from "./v2";
import { t } from "../../words/t";

export const COLUMNS = 24;
/** A file with more panels than this is no dashboard that somebody looks at. */
export const PANELS_MAX = 1000;
/** Every line of the grid costs the browser memory, whether something stands there or not. */
const Y_MAX = 100_000;
/** Rows of files before version 16 say their height in pixels; one row of the grid is so high with its gap. */
const ROW_PX = 38;
const KINDS: ReadonlySet<string> = new Set(["query", "custom", "constant", "interval", "datasource", "textbox", "adhoc", "switch"]);

/** What a person may have brought: the JSON of a dashboard, one wrapped by the API, or one in the shape of version 2. */
export function unwrapped(value: unknown): Fields {
  if (!isRecord(value)) throw new Error(t("this is no dashboard: its JSON is not an object"));
  const inner = isRecord(value["dashboard"]) && !Array.isArray(value["panels"]) ? value["dashboard"] : value;
  const named = text(part(inner, "metadata"), "name");
  const spec: Fields = isRecord(inner["spec"]) ? { ...inner["spec"], ...(named === "" ? {} : { uid: named }) } : inner;
  const board = withLibrary(isV2(inner) ? classic(inner) : spec);
  const known = ["panels", "rows", "templating", "schemaVersion", "title"].some((it) => it in board);
  if (!known) throw new Error(t("this is no dashboard: it has no panels, rows, title or schema version"));
  return board;
}

/** Panels of a library that the file brings along stand in their places. */
function withLibrary(board: Fields): Fields {
  const { __elements: library, ...rest } = board;
  if (!isRecord(library)) return board;
  const filled = (it: Fields): Fields => ({
    ...part(part(library, text(part(it, "libraryPanel"), "uid")), "model"),
    ...it,
    ...(Array.isArray(it["panels"]) ? { panels: parts(it, "panels").map(filled) } : {}),
  });
  return { ...rest, panels: parts(board, "panels").map(filled) };
}

export function readBoard(raw: Fields): Board {
  const findings: string[] = texts(raw, "__findings");
  const refresh = raw["refresh"];
  const board: Board = {
    uid: text(raw, "uid"),
    title: text(raw, "title", t("Dashboard without a title")),
    description: text(raw, "description"),
    tags: texts(raw, "tags"),
    utc: text(raw, "timezone") === "utc",
    from: text(part(raw, "time"), "from", "now-6h"),
    to: text(part(raw, "time"), "to", "now"),
    refresh: typeof refresh === "string" ? refresh : "",
    editable: flag(raw, "editable", true),
    tooltip: raw["sharedCrosshair"] === true || raw["graphTooltip"] === 1 ? "line" : raw["graphTooltip"] === 2 ? "all" : "own",
    variables: parts(part(raw, "templating"), "list").map((it) => variableIn(it, findings)),
    annotations: parts(part(raw, "annotations"), "list").map(annotationIn),
    links: parts(raw, "links").map(linkIn),
    sections: Array.isArray(raw["panels"]) ? sectionsIn(parts(raw, "panels"), findings) : oldRows(parts(raw, "rows"), findings),
    inputs: inputsIn(raw),
    findings,
  };
  const timezone = text(raw, "timezone");
  if (timezone !== "" && timezone !== "utc" && timezone !== "browser") findings.push(t("times are those of this browser, not of the time zone {0}", timezone));
  return board;
}

function sectionsIn(list: Fields[], findings: string[]): Section[] {
  const ordered = [...list].map((raw, index) => ({ raw, index, pos: posIn(raw) })).sort((a, b) => a.pos.y - b.pos.y || a.pos.x - b.pos.x || a.index - b.index);
  const sections: Section[] = [{ id: undefined, title: "", collapsed: false, repeat: "", panels: [] }];
  let left = PANELS_MAX;
  for (const { raw } of ordered) {
    if (text(raw, "type") === "row") {
      const inner = parts(raw, "panels").slice(0, Math.max(0, left));
      left -= inner.length;
      sections.push({ id: num(raw, "id"), title: text(raw, "title"), collapsed: flag(raw, "collapsed"), repeat: text(raw, "repeat"), panels: inner.map(readPanel) });
    } else if (left-- > 0) sections.at(-1)?.panels.push(readPanel(raw));
  }
  if (left < 0) findings.push(t("only the first {0} panels are shown", PANELS_MAX));
  return sections.filter((it) => it.id !== undefined || it.title !== "" || it.panels.length > 0);
}

/** Files before version 16 have rows with panels of a width from 1 to 12. */
function oldRows(rows: Fields[], findings: string[]): Section[] {
  const named = rows.some((it) => flag(it, "showTitle") || flag(it, "collapse"));
  let id = 1_000_000;
  const sections = rows.map((row): Section => {
    const high = Math.max(3, Math.round((Number.parseFloat(text(row, "height", "250")) || 250) / ROW_PX));
    let [x, y] = [0, 0];
    const panels = parts(row, "panels").map((raw) => {
      const w = Math.min(COLUMNS, Math.max(1, Math.round((num(raw, "span") ?? 4) * 2)));
      if (x + w > COLUMNS) [x, y] = [0, y + high];
      const panel = readPanel({ ...raw, gridPos: { x, y, w, h: high } });
      x += w;
      return panel;
    });
    id += 1;
    return { id: named ? id : undefined, title: named ? text(row, "title") : "", collapsed: flag(row, "collapse"), repeat: text(row, "repeat"), panels };
  });
  if (rows.length > 0) findings.push(t("this file has the form before version 16; saving it after a change to its panels writes the newer one"));
  return sections;
}

export function posIn(raw: Fields): GridPos {
  const pos = part(raw, "gridPos");
  const w = clamp(num(pos, "w") ?? 12, 1, COLUMNS);
  return { x: clamp(num(pos, "x") ?? 0, 0, COLUMNS - w), y: clamp(num(pos, "y") ?? 0, 0, Y_MAX), w, h: clamp(num(pos, "h") ?? 8, 1, 200) };
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, Math.round(value)));
}

export function readPanel(given: Fields): Panel {
  const findings: string[] = texts(given, "__findings");
  const raw = modern(given, findings);
  const config = part(raw, "fieldConfig");
  return {
    id: num(raw, "id") ?? 0,
    type: text(raw, "type"),
    title: text(raw, "title"),
    description: text(raw, "description"),
    pos: posIn(raw),
    transparent: flag(raw, "transparent"),
    source: sourceRef(raw["datasource"]),
    targets: withOwnNames(parts(raw, "targets").map(targetIn)),
    options: part(raw, "options"),
    defaults: part(config, "defaults"),
    overrides: parts(config, "overrides").flatMap(overrideIn),
    transformations: parts(raw, "transformations").map(transformationIn),
    links: parts(raw, "links").map(linkIn),
    repeat: text(raw, "repeat"),
    repeatDirection: text(raw, "repeatDirection") === "v" ? "v" : "h",
    maxPerRow: clamp(num(raw, "maxPerRow") ?? num(raw, "minSpan") ?? 4, 1, COLUMNS),
    interval: text(raw, "interval"),
    timeFrom: text(raw, "timeFrom"),
    timeShift: text(raw, "timeShift"),
    hideTimes: flag(raw, "hideTimeOverride"),
    maxDataPoints: num(raw, "maxDataPoints"),
    findings: [...findings, ...(isRecord(raw["libraryPanel"]) && !("options" in raw) ? [t("the library panel {0} is not in this file", text(part(raw, "libraryPanel"), "name"))] : [])],
  };
}

function targetIn(raw: Fields, index: number): Target {
  return { refId: text(raw, "refId") || String.fromCharCode(65 + (index % 26)), hide: flag(raw, "hide"), source: sourceRef(raw["datasource"]), raw };
}

/** Two targets of one name would take each other's answers. */
function withOwnNames(targets: Target[]): Target[] {
  const seen = new Set<string>();
  return targets.map((it) => {
    let refId = it.refId;
    for (let times = 2; seen.has(refId); times += 1) refId = `${it.refId}${times}`;
    seen.add(refId);
    return refId === it.refId ? it : { ...it, refId };
  });
}

function overrideIn(raw: Fields): Override[] {
  const matcher = part(raw, "matcher");
  const id = text(matcher, "id");
  return id === "" ? [] : [{ matcher: { id, options: matcher["options"] }, properties: parts(raw, "properties").map((it) => ({ id: text(it, "id"), value: it["value"] })) }];
}

function transformationIn(raw: Fields): Transformation {
  const filter = part(raw, "filter");
  return { id: text(raw, "id"), options: part(raw, "options"), disabled: flag(raw, "disabled"), filter: text(filter, "id") === "" ? undefined : { id: text(filter, "id"), options: filter["options"] } };
}

function linkIn(raw: Fields): Link {
  // Old links of panels name a dashboard; there is then no address but its name.
  const url = text(raw, "url") || (text(raw, "dashUri") ? `/dashboard/${text(raw, "dashUri")}` : "");
  return {
    title: text(raw, "title") || text(raw, "dashboard") || url,
    type: text(raw, "type") === "dashboards" ? "dashboards" : "link",
    url,
    tooltip: text(raw, "tooltip"),
    tags: texts(raw, "tags"),
    asDropdown: flag(raw, "asDropdown"),
    targetBlank: flag(raw, "targetBlank"),
    includeVars: flag(raw, "includeVars"),
    keepTime: flag(raw, "keepTime"),
  };
}

function variableIn(raw: Fields, findings: string[]): Variable {
  const type = text(raw, "type");
  const query = raw["query"];
  const current = part(raw, "current");
  const kind = KINDS.has(type) ? (type as VariableKind) : "unknown";
  if (kind === "unknown") findings.push(t("the variable {0} has the type {1}, which is not supported: it keeps its saved value", text(raw, "name"), type || "(none)"));
  return {
    kind,
    type,
    name: text(raw, "name"),
    label: text(raw, "label") || text(raw, "name"),
    hide: typeof raw["hide"] === "boolean" ? (raw["hide"] ? 2 : 0) : (num(raw, "hide") ?? 0),
    multi: flag(raw, "multi"),
    includeAll: flag(raw, "includeAll"),
    allValue: text(raw, "allValue"),
    regex: text(raw, "regex"),
    sort: num(raw, "sort") ?? 0,
    source: sourceRef(raw["datasource"]),
    query: typeof query === "string" ? query : isRecord(query) ? queryWords(query) : text(raw, "definition"),
    current: { value: oneOrMore(current["value"]), text: oneOrMore(current["text"]) },
    options: parts(raw, "options").map((it) => ({ value: text(it, "value"), text: text(it, "text") || text(it, "value") })),
    auto: flag(raw, "auto"),
    autoCount: num(raw, "auto_count") ?? 30,
    autoMin: text(raw, "auto_min", "10s"),
    raw,
  };
}

/** Questions of Loki's variables come in fields, those of Prometheus as text. */
function queryWords(query: Fields): string {
  const plain = text(query, "query");
  if (plain !== "") return plain;
  const [label, stream] = [text(query, "label"), text(query, "stream")];
  if ("label" in query || "stream" in query) return num(query, "type") === 0 || label === "" ? "label_names()" : `label_values(${stream === "" ? "" : `${stream}, `}${label})`;
  return text(query, "expr");
}

function annotationIn(raw: Fields): AnnotationQuery {
  const target = part(raw, "target");
  return {
    name: text(raw, "name"),
    enabled: flag(raw, "enable", true),
    color: text(raw, "iconColor"),
    source: sourceRef(raw["datasource"]),
    expr: text(raw, "expr") || text(target, "expr"),
    step: text(raw, "step"),
    titleFormat: text(raw, "titleFormat"),
    textFormat: text(raw, "textFormat"),
    tagKeys: text(raw, "tagKeys").split(",").map((it) => it.trim()).filter((it) => it !== ""),
    builtIn: raw["builtIn"] === 1 || raw["builtIn"] === true,
    tags: [...texts(raw, "tags"), ...texts(target, "tags")],
    anyTag: flag(raw, "matchAny") || flag(target, "matchAny"),
  };
}

function inputsIn(raw: Fields): Map<string, SourceRef | string> {
  return new Map(
    parts(raw, "__inputs").map((it): [string, SourceRef | string] => {
      const name = text(it, "name");
      return [name, text(it, "type") === "datasource" ? { type: text(it, "pluginId"), uid: name } : text(it, "value")];
    }),
  );
}

/** All panels, those of folded rows too. */
export function panelsOf(board: Board): Panel[] {
  return board.sections.flatMap((it) => it.panels);
}
