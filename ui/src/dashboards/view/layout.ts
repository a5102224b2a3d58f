// Where each panel stands: sections below each other, folded or not, rows and panels repeated for the values of a variable. Not drawing.
import { COLUMNS, PANELS_MAX } from "../model/read";
import type { Board, GridPos, Panel } from "../model/types";
import type { Value } from "../variables/interpolate";
import { t } from "../../words/t";

export interface Placed {
  /** Its own on this page: the panel's id, and which repetition it is. */
  key: string;
  panel: Panel;
  pos: GridPos;
  /** Values that hold only inside this repetition. */
  local: ReadonlyMap<string, Value>;
}
export interface PlacedRow {
  key: string;
  /** Nothing for what stands above the first row. */
  title: string | undefined;
  id: number | undefined;
  y: number;
  collapsed: boolean;
  local: ReadonlyMap<string, Value>;
  panels: Placed[];
  count: number;
}
export interface Layout {
  rows: PlacedRow[];
  height: number;
  findings: string[];
}

/** A variable with more values than this repeats no further. */
export const REPEATS_MAX = 60;

/** What is told apart over the whole board, and what is left of its limit. */
interface Drawn {
  seen: Map<string, number>;
  left: number;
}

export function laidOut(board: Board, values: ReadonlyMap<string, Value>, isCollapsed: (key: string, given: boolean) => boolean): Layout {
  const findings: string[] = [];
  const rows: PlacedRow[] = [];
  const drawn: Drawn = { seen: new Map(), left: PANELS_MAX };
  let y = 0;
  board.sections.forEach((section, index) => {
    for (const [at, local] of repeats(section.repeat, values, findings).entries()) {
      if (rows.length >= PANELS_MAX || (drawn.left <= 0 && section.panels.length > 0)) {
        drawn.left = -1;
        break;
      }
      const key = ownKey(`row-${section.id ?? index}${at === 0 ? "" : `-${at}`}`, drawn);
      const titled = section.id !== undefined || section.title !== "";
      const collapsed = titled && isCollapsed(key, section.collapsed);
      const row: PlacedRow = { key, title: titled ? section.title : undefined, id: section.id, y, collapsed, local, panels: [], count: section.panels.length };
      if (titled) y += 1;
      // Folded ones count too, so that opening a row changes no other panel's key.
      const { panels, height } = placed(section.panels, y, local, values, at, collapsed ? [] : findings, drawn);
      if (!collapsed) {
        row.panels = panels;
        y += height;
      }
      rows.push(row);
    }
  });
  if (drawn.left < 0) findings.push(t("only the first {0} panels are shown, repeated ones and those of folded rows among them", PANELS_MAX));
  return { rows, height: y, findings: [...new Set(findings)] };
}

/** Rows and panels without an id of their own would be one. */
function ownKey(key: string, { seen }: Drawn): string {
  const times = seen.get(key) ?? 0;
  seen.set(key, times + 1);
  return times === 0 ? key : `${key}~${times}`;
}

function repeats(name: string, values: ReadonlyMap<string, Value>, findings: string[]): ReadonlyMap<string, Value>[] {
  const value = name === "" ? undefined : values.get(name);
  if (!value) {
    if (name !== "") findings.push(t("what is repeated for ${0} is shown once: there is no such variable", name));
    return [new Map()];
  }
  if (value.values.length > REPEATS_MAX) findings.push(t("${0} has {1} values; the first {2} are shown", name, value.values.length, REPEATS_MAX));
  const shown = value.values.slice(0, REPEATS_MAX);
  // All values without names cannot be told apart, so one stands for all.
  if (shown.length === 0) return [new Map()];
  return shown.map((it, at) => new Map([[name, { values: [it], texts: [value.texts.length === value.values.length ? (value.texts[at] ?? it) : it], allText: undefined, several: false }]]));
}

function placed(panels: readonly Panel[], top: number, outer: ReadonlyMap<string, Value>, values: ReadonlyMap<string, Value>, rowAt: number, findings: string[], drawn: Drawn): { panels: Placed[]; height: number } {
  const first = panels.reduce((least, it) => Math.min(least, it.pos.y), Number.POSITIVE_INFINITY);
  const found: Placed[] = [];
  /** Heights that repetitions add below where they stand. */
  const pushes: { from: number; by: number }[] = [];
  const shift = (y: number): number => pushes.reduce((sum, it) => sum + (y >= it.from ? it.by : 0), 0);
  let height = 0;
  for (const panel of panels) {
    const y = panel.pos.y - first;
    const local = repeats(panel.repeat, new Map([...values, ...outer]), findings);
    const base = top + y + shift(y);
    const across = panel.repeatDirection === "h" && panel.repeat !== "";
    const perRow = across ? Math.min(local.length, panel.maxPerRow) : 1;
    const wide = across ? Math.floor(COLUMNS / perRow) : panel.pos.w;
    const room = Math.max(0, drawn.left);
    drawn.left = room - local.length;
    local.splice(room);
    if (local.length === 0) break;
    local.forEach((own, at) => {
      const pos = across ? { x: (at % perRow) * wide, y: base + Math.floor(at / perRow) * panel.pos.h, w: wide, h: panel.pos.h } : { ...panel.pos, y: base + at * panel.pos.h };
      const suffix = `${rowAt === 0 ? "" : `-r${rowAt}`}${at === 0 ? "" : `-${at}`}`;
      found.push({ key: ownKey(`${panel.id}${suffix}`, drawn), panel, pos, local: new Map([...outer, ...own]) });
      height = Math.max(height, pos.y + pos.h - top);
    });
    const more = (Math.ceil(local.length / perRow) - 1) * panel.pos.h;
    if (more > 0) pushes.push({ from: y + panel.pos.h, by: more });
  }
  return { panels: found, height };
}
