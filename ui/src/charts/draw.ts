// One time chart on a canvas, by uPlot. Loaded lazily, because the first figures need no drawing.
// Not the legend, the table or the words around it: TimeChart.svelte.
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import "./draw.css";
import { axisLabel, type Unit } from "../units/format";
import { type Aligned, type Column, stacked } from "./align";

export interface Spec {
  labels: string[];
  /** CSS colours, resolved. */
  colors: string[];
  ink: string;
  grid: string;
  data: Aligned;
  unit: Unit;
  stack: boolean;
  /** Starts the axis at zero. */
  zero: boolean;
  top: number | undefined;
  height: number;
  onCursor: (row: number | null) => void;
}
export interface Drawing {
  update(spec: Spec): void;
  destroy(): void;
}

const FONT = "12px system-ui, sans-serif";

export function draw(host: HTMLElement, first: Spec): Drawing {
  let spec = first;
  let plot = build(host, spec);
  const observer = new ResizeObserver(() => {
    plot.setSize({ width: host.clientWidth, height: spec.height });
  });
  observer.observe(host);
  return {
    update(next) {
      const same = lookOf(next) === lookOf(spec);
      spec = next;
      if (same) {
        plot.setData(dataOf(spec));
        return;
      }
      plot.destroy();
      plot = build(host, spec);
    },
    destroy() {
      observer.disconnect();
      plot.destroy();
    },
  };
}

/** Everything but the data: while it is the same, the plot can be kept. */
function lookOf({ labels, colors, ink, unit, stack, zero, top, height }: Spec): string {
  return JSON.stringify([labels, colors, ink, unit, stack, zero, top, height]);
}

function dataOf({ data, stack }: Spec): uPlot.AlignedData {
  const columns: Column[] = stack ? stacked(data.columns) : data.columns;
  return [data.times, ...columns];
}

function build(host: HTMLElement, spec: Spec): uPlot {
  const axis = { stroke: spec.ink, font: FONT, ticks: { show: false }, grid: { stroke: spec.grid, width: 1 } };
  const options: uPlot.Options = {
    width: Math.max(host.clientWidth, 100),
    height: spec.height,
    legend: { show: false },
    padding: [8, 8, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    scales: { x: { time: true }, y: { range: (_plot, least, most) => rangeOf(spec, least, most) } },
    axes: [
      { ...axis, grid: { show: false }, size: timeAxisSize, space: 72, values: TIME_VALUES },
      {
        ...axis,
        size: 62,
        space: 24,
        values: (_plot, splits) => splits.map((it) => axisLabel(it, spec.unit)),
        ...(spec.unit === "bytes" ? { incrs: POWERS_OF_TWO } : {}),
      },
    ],
    series: [{}, ...spec.labels.map((label, index) => seriesOf(spec, label, index))],
    bands: spec.stack ? spec.labels.slice(1).map((_, index) => ({ series: [index + 2, index + 1] as [number, number] })) : [],
    hooks: { setCursor: [(plot) => spec.onCursor(plot.cursor.idx ?? null)] },
  };
  return new uPlot(options, dataOf(spec), host);
}

function seriesOf(spec: Spec, label: string, index: number): uPlot.Series {
  const color = spec.colors[index] ?? spec.ink;
  const fill = spec.stack ? withAlpha(color, 0.28) : spec.labels.length === 1 ? withAlpha(color, 0.12) : "";
  return { label, stroke: color, width: 1.5, points: { show: pointsAlone }, spanGaps: false, ...(fill ? { fill } : {}) };
}

/** A single sample between two holes has no line: only then are points drawn. */
const pointsAlone: uPlot.Series.Points.Show = (plot, seriesIndex) => {
  const column = plot.data[seriesIndex] ?? [];
  let known = 0;
  for (const value of column) if (value !== null && value !== undefined) known += 1;
  return known === 1;
};

function rangeOf({ zero, top }: Spec, least: number | null, most: number | null): [number, number] {
  const low = least ?? 0;
  const high = most ?? 1;
  if (top !== undefined) return [Math.min(0, low), Math.max(top, high)];
  if (!zero) return uPlot.rangeNum(low, high, 0.1, true) as [number, number];
  if (high <= 0 && low >= 0) return [0, 1];
  return [Math.min(0, low * 1.08), Math.max(0, high * 1.08)];
}

/** Labels of two lines, which carry the day, need more room below. */
function timeAxisSize(_plot: uPlot, values: string[] | null): number {
  return values?.some((it) => it?.includes("\n")) ? 44 : 28;
}

const POWERS_OF_TWO = Array.from({ length: 60 }, (_, power) => 2 ** power);

/** 24-hour times; the day under the first label of each day when a chart spans several. */
const TIME_VALUES: uPlot.Axis.Values = [
  [3600 * 24, "{D} {MMM}", null, null, null, null, null, null, 1],
  [3600, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
  [60, "{HH}:{mm}", null, null, null, null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1],
];

/** The computed form of a colour is rgb(…), or color(srgb …) in newer engines. */
function withAlpha(color: string, alpha: number): string {
  const rgb = /^rgb\((\d+),\s*(\d+),\s*(\d+)\)$/.exec(color);
  return rgb ? `rgba(${rgb[1]}, ${rgb[2]}, ${rgb[3]}, ${alpha})` : color.replace(/\)$/, ` / ${alpha})`);
}
