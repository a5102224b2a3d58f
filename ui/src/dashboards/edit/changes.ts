// Changes to a dashboard's JSON: panels added, moved, resized, changed, taken out. Each gives new JSON and leaves what it does not mean
// as it was. Not the looks, and not keeping (history.ts).
import { COLUMNS, posIn } from "../model/read";
import type { Fields, GridPos } from "../model/types";
import { num, part, parts, text } from "../model/values";
import { t } from "../../words/t";

/** Panels of old files stand in rows; the newer form has one list, which changes need. */
export function listed(raw: Fields): Fields {
  if (Array.isArray(raw["panels"])) return raw;
  const panels: Fields[] = [];
  let y = 0;
  let id = maxId(parts(raw, "rows").flatMap((it) => parts(it, "panels")));
  for (const row of parts(raw, "rows")) {
    const named = row["showTitle"] === true || row["collapse"] === true;
    const high = Math.max(3, Math.round((Number.parseFloat(text(row, "height", "250")) || 250) / 38));
    const inner: Fields[] = [];
    let [x, top] = [0, named ? 1 : 0];
    for (const it of parts(row, "panels")) {
      const { span, ...rest } = it;
      const w = Math.min(COLUMNS, Math.max(1, Math.round((Number(span) || 4) * 2)));
      if (x + w > COLUMNS) [x, top] = [0, top + high];
      inner.push({ ...rest, gridPos: { x, y: y + top, w, h: high } });
      x += w;
    }
    const collapsed = row["collapse"] === true;
    if (named) panels.push({ type: "row", id: (id += 1), title: text(row, "title"), collapsed, panels: collapsed ? inner : [], ...(row["repeat"] ? { repeat: row["repeat"] } : {}), gridPos: { x: 0, y, w: COLUMNS, h: 1 } });
    if (!collapsed) panels.push(...inner);
    y += collapsed ? 1 : top + (inner.length > 0 ? high : 0);
  }
  const { rows: _, ...rest } = raw;
  return { ...rest, panels, schemaVersion: Math.max(16, num(raw, "schemaVersion") ?? 16) };
}

function maxId(panels: readonly Fields[]): number {
  return panels.reduce((most, it) => Math.max(most, num(it, "id") ?? 0, maxId(parts(it, "panels"))), 0);
}

export function panelIn(raw: Fields, id: number): Fields | undefined {
  for (const it of parts(raw, "panels")) {
    if (num(it, "id") === id) return it;
    const inner = parts(it, "panels").find((other) => num(other, "id") === id);
    if (inner) return inner;
  }
  return undefined;
}

export function withPanel(raw: Fields, id: number, change: (panel: Fields) => Fields | undefined): Fields {
  const through = (list: Fields[]): Fields[] =>
    list.flatMap((it): Fields[] => {
      if (num(it, "id") === id) return [change(it)].filter((next): next is Fields => next !== undefined);
      return text(it, "type") === "row" && Array.isArray(it["panels"]) ? [{ ...it, panels: through(parts(it, "panels")) }] : [it];
    });
  const whole = listed(raw);
  return { ...whole, panels: through(parts(whole, "panels")) };
}

export function withoutPanel(raw: Fields, id: number): Fields {
  return compacted(withPanel(raw, id, () => undefined));
}

export function withNewPanel(raw: Fields, panel: Fields): { raw: Fields; id: number } {
  const whole = listed(raw);
  const panels = parts(whole, "panels");
  const id = maxId(panels) + 1;
  // New ones stand on top, where they are seen.
  const pos = { x: 0, y: 0, w: 12, h: 8, ...part(panel, "gridPos") };
  const below = panels.map((it) => ({ ...it, gridPos: { ...part(it, "gridPos"), ...posIn(it), y: posIn(it).y + pos.h } }));
  return { raw: { ...whole, panels: [{ ...panel, id, gridPos: pos }, ...below] }, id };
}

export function withCopy(raw: Fields, id: number): Fields {
  const panel = panelIn(listed(raw), id);
  if (!panel) return raw;
  const whole = listed(raw);
  const panels = parts(whole, "panels");
  const pos = posIn(panel);
  const beside = pos.x + pos.w * 2 <= COLUMNS;
  const copy = { ...structuredClone(panel), id: maxId(panels) + 1, gridPos: { ...pos, x: beside ? pos.x + pos.w : pos.x, y: beside ? pos.y : pos.y + pos.h } };
  return settled({ ...whole, panels: [...panels, copy] }, copy.id);
}

export function placedAt(raw: Fields, id: number, pos: GridPos): Fields {
  const w = Math.min(COLUMNS, Math.max(1, pos.w));
  const next = { x: Math.min(COLUMNS - w, Math.max(0, pos.x)), y: Math.max(0, pos.y), w, h: Math.min(100, Math.max(2, pos.h)) };
  return settled(withPanel(raw, id, (it) => ({ ...it, gridPos: { ...part(it, "gridPos"), ...next } })), id);
}

interface Box extends GridPos {
  at: number;
}

/** What the moved panel covers goes down, then everything rises as far as it can, within its row. */
function settled(raw: Fields, first: number): Fields {
  const panels = parts(raw, "panels");
  const boxes = panels.map((it, at): Box => ({ ...posIn(it), at }));
  const moved = panels.findIndex((it) => num(it, "id") === first);
  const own = boxes[moved];
  if (own) push(boxes, own);
  return risen(raw, panels, boxes, moved);
}

function push(boxes: Box[], by: Box): void {
  for (const it of boxes) {
    if (it === by || !covers(it, by)) continue;
    it.y = by.y + by.h;
    push(boxes, it);
  }
}

export function covers(a: GridPos, b: GridPos): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

export function compacted(raw: Fields): Fields {
  const panels = parts(raw, "panels");
  return risen(raw, panels, panels.map((it, at): Box => ({ ...posIn(it), at })), -1);
}

function risen(raw: Fields, panels: Fields[], boxes: Box[], moved: number): Fields {
  const done: Box[] = [];
  const ordered = [...boxes].sort((a, b) => a.y - b.y || Number(b.at === moved) - Number(a.at === moved) || a.x - b.x);
  for (const it of ordered) {
    // A row's line reaches over the whole width, so nothing passes it.
    const isRow = text(panels[it.at] ?? {}, "type") === "row";
    if (isRow) [it.x, it.w, it.h] = [0, COLUMNS, 1];
    let y = 0;
    for (const other of done) if (other.x < it.x + it.w && it.x < other.x + other.w) y = Math.max(y, other.y + other.h);
    it.y = y;
    done.push(it);
  }
  const next = panels.map((panel, at) => {
    const box = boxes[at];
    return box ? { ...panel, gridPos: { ...part(panel, "gridPos"), x: box.x, y: box.y, w: box.w, h: box.h } } : panel;
  });
  return { ...raw, panels: next };
}

/** The JSON as it is saved or exported: without what this page put in, and, for other servers, without what is only here. */
export function exported(raw: Fields, elsewhere: boolean): Fields {
  const clean = (it: Fields): Fields => {
    const { __findings: _, ...rest } = it;
    return Array.isArray(rest["panels"]) ? { ...rest, panels: parts(rest, "panels").map(clean) } : rest;
  };
  const whole = clean(raw);
  return elsewhere ? { ...whole, id: null } : whole;
}

export function newPanel(type: string): Fields {
  return { type, title: t("New panel"), gridPos: { x: 0, y: 0, w: 12, h: 8 }, targets: type === "text" ? [] : [{ refId: "A", expr: "", datasource: { type: "prometheus" } }], fieldConfig: { defaults: { unit: "short", custom: {} }, overrides: [] }, options: type === "text" ? { mode: "markdown", content: "# Words" } : {} };
}

export function newBoard(title: string): Fields {
  return { title, tags: [], timezone: "browser", schemaVersion: 39, editable: true, time: { from: "now-6h", to: "now" }, refresh: "", panels: [], templating: { list: [] }, annotations: { list: [] }, links: [] };
}
