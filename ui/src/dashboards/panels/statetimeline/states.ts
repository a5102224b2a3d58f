// Stretches of time in which a field has one state, or, for a history of states, one cell for each sample. Not the drawing.
import { display, type Display, limitsOf } from "../../fields/display";
import { hidden, timeField } from "../../fields/frame";
import { flag } from "../../model/values";
import type { PanelData } from "../../view/data";

export interface Stretch {
  from: number;
  to: number;
  shown: Display;
}
export interface StateRow {
  name: string;
  stretches: Stretch[];
}
/** Rows and stretches beyond these are not drawn. */
const ROWS_MAX = 100;
const STRETCHES_MAX = 600;

export function statesOf(data: PanelData, merge: boolean): { rows: StateRow[]; left: number } {
  const { range, intervalMs } = data;
  const all = data.frames.flatMap((frame) => {
    const time = timeField(frame);
    return time ? frame.fields.filter((it) => it !== time && !hidden(it, "viz")).map((field) => ({ time, field })) : [];
  });
  const rows = all.slice(0, ROWS_MAX).map(({ time, field }, index): StateRow => {
    const limits = limitsOf(field);
    const stretches: Stretch[] = [];
    let text: string | undefined;
    time.values.forEach((at, row) => {
      const value = field.values[row];
      if (value === null || value === undefined || (typeof value === "number" && Number.isNaN(value))) {
        text = undefined;
        return;
      }
      const shown = display(value, field, limits, index);
      const from = Math.max(range.from, Number(at));
      const next = time.values[row + 1];
      // A state lasts until the next sample, but not over an outage.
      const to = Math.min(range.to, next === undefined ? Number(at) + intervalMs : flag(data.panel.defaults, "spanNulls") || Number(next) - Number(at) <= intervalMs * 2.5 ? Number(next) : Number(at) + intervalMs);
      const last = stretches.at(-1);
      if (to <= range.from || from >= range.to) return;
      if (merge && last && text === shown.text && from - last.to < intervalMs) last.to = to;
      else stretches.push({ from, to, shown });
      text = shown.text;
    });
    return { name: field.title ?? field.name, stretches: stretches.slice(-STRETCHES_MAX) };
  });
  return { rows, left: all.length - rows.length };
}

/** The states that occur, for a legend. */
export function statesIn(rows: readonly StateRow[]): { text: string; color: string }[] {
  const found = new Map<string, string>();
  for (const { stretches } of rows) for (const { shown } of stretches) if (shown.mapped) found.set(shown.text, shown.color ?? "var(--neutral)");
  return [...found].slice(0, 30).map(([text, color]) => ({ text, color }));
}
