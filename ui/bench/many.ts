// A page of its own for the bench: one time series panel, with as many series and points as it is told. Not a part of the product.
import { mount, unmount } from "svelte";
import "../src/app/tokens.css";
import "../src/app/base.css";
import { type Field, field, type Frame } from "../src/dashboards/fields/frame";
import { readBoard } from "../src/dashboards/model/read";
import TimeSeriesPanel from "../src/dashboards/panels/timeseries/TimeSeriesPanel.svelte";
import type { PanelData } from "../src/dashboards/view/data";

const STEP_MS = 1000;
let pictures = 0;
const Plain = Worker;
window.Worker = class extends Plain {
  constructor(...given: ConstructorParameters<typeof Plain>) {
    super(...given);
    this.addEventListener("message", ({ data }) => (pictures += "bitmap" in (data as object) ? 1 : 0));
  }
};

function data(series: number, points: number): PanelData {
  const board = readBoard({ title: "Bench", panels: [{ id: 1, type: "timeseries", title: "Many", options: { legend: { calcs: [] } } }] });
  const panel = board.sections[0]?.panels[0];
  if (!panel) throw new Error("BUG: the board has no panel");
  const end = 1_700_000_000_000;
  const frames = Array.from({ length: series }, (_, at): Frame => {
    const times = Array.from({ length: points }, (_, row) => end - (points - row) * STEP_MS);
    const values = times.map((time) => at + Math.sin(time / 97_000 + at) * 20 + (time % 977 === 0 ? 40 : 0));
    const made = (name: string, type: Field["type"], list: unknown[]): Field => ({ ...field(name, type, list, "A", {}, `series ${at}`), config: { custom: {} } });
    return { refId: "A", name: `series ${at}`, fields: [made("Time", "time", times), made("Value", "number", values)] };
  });
  const scope = { values: new Map(), times: { range: { from: 0, to: 0 }, intervalMs: STEP_MS, scrapeMs: STEP_MS }, board: { uid: "b", title: "Bench" } };
  return { key: "1", panel, frames, range: { from: end - points * STEP_MS, to: end }, intervalMs: STEP_MS, board, scope, annotations: [], exemplars: [], zoom: () => undefined, ask: () => undefined, sync: undefined };
}

let prepared: PanelData | undefined;
let shown: Record<string, unknown> | undefined;
Object.assign(window, {
  prepare: (series: number, points: number) => void (prepared = data(series, points)),
  /** Draws what was prepared; done when the picture is on the canvas. */
  show: async (): Promise<void> => {
    const before = pictures;
    const target = document.getElementById("app");
    if (!target || !prepared) throw new Error("BUG: nothing was prepared");
    if (shown) void unmount(shown);
    shown = mount(TimeSeriesPanel, { target, props: { data: prepared } });
    while (pictures === before) await new Promise((resolve) => setTimeout(resolve, 50));
    await new Promise<void>((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve())));
  },
});
