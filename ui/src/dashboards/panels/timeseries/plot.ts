// Draws a chart over time on a canvas with uPlot: lines, bars and points, several axes, thresholds, annotations. Loaded lazily. Not the
// figures (series.ts) and not legend and tooltip (TimeSeriesPanel.svelte).
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import "../../../charts/draw.css";
import type { Exemplar } from "../../../charts/exemplars";
import { css as cssOf } from "../../fields/colors";
import { stepsOf } from "../../fields/display";
import { words } from "../../fields/units";
import { num, part, text } from "../../model/values";
import type { Annotation } from "../../view/data";
import type { Range } from "../../variables/time";
import { nearestTo, Painter, reduced, type Reply } from "./many";
import type { Chart, Line, Scale } from "./series";

export interface Look {
  chart: Chart;
  range: Range;
  utc: boolean;
  off: ReadonlySet<number>;
  ink: string;
  grid: string;
  /** A colour of CSS as a canvas takes it. */
  resolve: (color: string) => string;
  annotations: readonly Annotation[];
  exemplars: readonly Exemplar[];
  sync: string | undefined;
  /** Whether to tell what stands under the cross-hair of another chart. */
  tellAll: boolean;
  /** The line under the pointer where a worker draws, if there is one. */
  onNear: (near: { index: number; time: number; value: number } | undefined, left: number, top: number) => void;
  onCursor: (row: number | null, left: number, top: number, near: number | null) => void;
  onZoom: (range: Range) => void;
  /** A stretch drawn with the key Shift held. */
  onAsk: (range: Range) => void;
  /** Where the exemplars stand, in pixels from the left and top of the host. */
  onPlaced: (spots: readonly Spot[]) => void;
}
export interface Spot {
  exemplar: Exemplar;
  left: number;
  top: number;
}
export interface Plot {
  update(look: Look): void;
  destroy(): void;
}

const FONT = "11px system-ui, sans-serif";
/** Times are in seconds, as uPlot wants them. */
const SECOND = 1000;

export function plot(host: HTMLElement, first: Look): Plot {
  let look = first;
  const crowd = new Crowd(host, () => look, () => made);
  crowd.feed();
  let made = build(host, () => look, crowd);
  const observer = new ResizeObserver(() => {
    crowd.feed();
    made.setSize({ width: Math.max(60, host.clientWidth), height: Math.max(50, host.clientHeight) });
  });
  observer.observe(host);
  return {
    update(next) {
      const same = shapeOf(next) === shapeOf(look);
      look = next;
      crowd.feed();
      if (same) {
        made.setData(dataOf(next, crowd), false);
        made.setScale("x", { min: next.range.from / SECOND, max: next.range.to / SECOND });
        return;
      }
      made.destroy();
      made = build(host, () => look, crowd);
    },
    destroy() {
      observer.disconnect();
      made.destroy();
      crowd.end();
    },
  };
}

/** What a worker draws of a chart with very many points: asked for again whenever what is seen of it changes. */
class Crowd {
  extent: [number, number] = [0, 1];
  #painter: Painter | undefined;
  #loaded: unknown[] = [];
  #columns = 1;
  #picture: Reply | undefined;
  #asked = "";
  #version = 0;

  constructor(
    readonly host: HTMLElement,
    readonly now: () => Look,
    readonly made: () => uPlot,
  ) {}

  /** Once for each chart, range, width and theme. */
  feed(): void {
    const { chart, range, resolve, ink } = this.now();
    const columns = Math.max(1, Math.round(this.host.clientWidth * devicePixelRatio));
    const wanted = [chart, range.from, range.to, columns, ink];
    if (!chart.many || wanted.every((it, at) => it === this.#loaded[at])) return;
    this.#loaded = wanted;
    this.#columns = columns;
    this.#version += 1;
    this.#painter ??= new Painter((reply) => {
      this.#picture = reply;
      this.made().redraw(false);
    });
    const { load, extent } = reduced(chart.lines, range, columns, chart.gap, resolve);
    this.extent = extent;
    this.#painter.load(load);
  }
  draw(made: uPlot): void {
    const { chart, off } = this.now();
    const [scale] = chart.scales;
    const { min, max } = made.scales[scale?.key ?? ""] ?? {};
    if (!chart.many || typeof min !== "number" || typeof max !== "number") return;
    const { ctx, bbox } = made;
    const wanted = { low: min, high: max, log: scale?.log !== undefined, width: Math.round(bbox.width), height: Math.round(bbox.height), line: devicePixelRatio, columns: this.#columns, off: [...off] };
    const key = JSON.stringify([wanted, this.#version]);
    if (this.#picture?.key === key) ctx.drawImage(this.#picture.bitmap, Math.round(bbox.left), Math.round(bbox.top));
    else if (this.#asked !== key) {
      this.#asked = key;
      this.#painter?.paint({ ...wanted, key });
    }
  }
  point(made: uPlot): void {
    const { chart, off, onNear } = this.now();
    const { left = -1, top = -1 } = made.cursor;
    const key = chart.scales[0]?.key ?? "y";
    const seen = left >= 0 && made.over.matches(":hover");
    onNear(seen ? nearestTo(chart.lines, made.posToVal(left, "x") * SECOND, chart.gap, off, (value) => Math.abs(made.valToPos(value, key) - top)) : undefined, left, top);
  }
  end(): void {
    this.#painter?.end();
  }
}

/** Everything but the data and the range: while it is the same the plot is kept. */
function shapeOf({ chart, off, ink, utc }: Look): string {
  return JSON.stringify([chart.many, chart.lines.slice(0, chart.many ? 1 : undefined).map((it) => [it.name, it.color, it.custom, it.scale, it.below]), chart.scales, [...off], ink, utc, chart.lines[0]?.field.config["thresholds"]]);
}

function dataOf({ chart, off, range }: Look, { extent }: Crowd): uPlot.AlignedData {
  if (chart.many) return [[range.from / SECOND, range.to / SECOND], extent];
  return [chart.times.map((it) => it / SECOND), ...chart.lines.map((it, at) => (off.has(at) ? it.drawn.map(() => null) : it.drawn))] as uPlot.AlignedData;
}

function build(host: HTMLElement, now: () => Look, crowd: Crowd): uPlot {
  const { chart, ink, grid, utc } = now();
  const scales: uPlot.Scales = { x: { time: true, range: () => [now().range.from / SECOND, now().range.to / SECOND] } };
  for (const it of chart.scales) scales[it.key] = scaleOf(it);
  let shift = false;
  const options: uPlot.Options = {
    width: Math.max(60, host.clientWidth),
    height: Math.max(50, host.clientHeight),
    legend: { show: false },
    padding: [8, 8, 0, 4],
    ...(utc ? { tzDate: (at: number) => uPlot.tzDate(new Date(at * SECOND), "Etc/UTC") } : {}),
    cursor: { y: false, drag: { x: true, y: false, setScale: false }, points: { size: 6, show: !chart.many }, ...(now().sync ? { sync: { key: now().sync ?? "" } } : {}), focus: { prox: 30 } },
    focus: { alpha: 1 },
    scales,
    axes: [
      { stroke: ink, font: FONT, ticks: { show: false }, grid: { stroke: grid, width: 1 }, size: timeAxisSize, space: 64, values: TIMES },
      ...chart.scales.filter((it) => it.placement !== "hidden").map((it, at) => axisOf(it, at, ink, grid)),
    ],
    series: [{}, ...(chart.many ? [{ scale: chart.scales[0]?.key ?? "y", paths: () => null, points: { show: false } }] : chart.lines.map((it) => seriesOf(it, now)))],
    bands: chart.many ? [] : chart.lines.flatMap((it, at) => bandOf(it, at, chart)),
    hooks: {
      ready: [(made) => made.over.addEventListener("mousedown", (event) => (shift = event.shiftKey))],
      drawClear: [(made) => drawThresholds(made, now(), true)],
      draw: [(made) => crowd.draw(made), (made) => drawThresholds(made, now(), false), (made) => drawAnnotations(made, now()), (made) => now().onPlaced(spotsOf(made, now()))],
      setCursor: [(made) => chart.many ? crowd.point(made) : now().onCursor(now().tellAll || made.over.matches(":hover") ? (made.cursor.idx ?? null) : null, made.cursor.left ?? 0, made.cursor.top ?? 0, nearest(made))],
      setSelect: [
        (made) => {
          const [from, to] = [made.posToVal(made.select.left, "x"), made.posToVal(made.select.left + made.select.width, "x")];
          const range = { from: Math.round(from * SECOND), to: Math.round(to * SECOND) };
          if (made.select.width > 4) (shift ? now().onAsk : now().onZoom)(range);
          made.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
    },
  };
  return new uPlot(options, dataOf(now(), crowd), host);
}

/** The line whose point is nearest to the pointer. */
function nearest(made: uPlot): number | null {
  const row = made.cursor.idx;
  const top = made.cursor.top ?? -1;
  if (row === null || row === undefined || top < 0) return null;
  let [found, distance] = [null as number | null, Number.POSITIVE_INFINITY];
  made.series.forEach((series, at) => {
    const value = at === 0 ? null : made.data[at]?.[row];
    if (value === null || value === undefined) return;
    const away = Math.abs(made.valToPos(value, series.scale ?? "y") - top);
    if (away < distance) [found, distance] = [at - 1, away];
  });
  return found;
}

function scaleOf(it: Scale): uPlot.Scale {
  const range = (_: uPlot, least: number | null, most: number | null): uPlot.Range.MinMax => {
    let [low, high] = [least ?? 0, most ?? 1];
    if (it.softMin !== undefined) low = Math.min(low, it.softMin);
    if (it.softMax !== undefined) high = Math.max(high, it.softMax);
    if (it.log !== undefined) {
      const [a, b] = uPlot.rangeLog(Math.max(low, 1e-12), Math.max(high, 1e-11), it.log === 10 ? 10 : 2, false);
      return [it.min !== undefined && it.min > 0 ? it.min : a, it.max ?? b];
    }
    if (it.centered) high = Math.max(Math.abs(low), Math.abs(high));
    if (it.centered) low = -high;
    // Figures that are near zero stand on it; far from it the range follows them.
    const [a = 0, b = 1] = low === high ? [Math.min(0, low), low === 0 ? 1 : Math.max(0, high * 1.2)] : uPlot.rangeNum(low, high, { min: { pad: 0.1, soft: 0, mode: 3 }, max: { pad: 0.1, soft: 0, mode: 3 } });
    const from = it.min ?? a ?? 0;
    const to = it.max ?? b ?? 1;
    return from < to ? [from, to] : [from, from + 1];
  };
  return it.log !== undefined ? { distr: 3, log: it.log === 10 ? 10 : 2, range } : it.symlog ? { distr: 4, range } : { range };
}

const BINARY = new Set(["bytes", "bits", "kbytes", "mbytes", "gbytes", "tbytes", "binBps", "binbps", "KiBs", "MiBs", "GiBs"]);
const POWERS_OF_TWO = Array.from({ length: 80 }, (_, power) => 2 ** (power - 10));

function axisOf(it: Scale, at: number, ink: string, grid: string): uPlot.Axis {
  const label = it.label === "" ? {} : { label: it.label, labelSize: 18, labelFont: FONT, labelGap: 0 };
  return {
    scale: it.key,
    side: it.placement === "right" ? 1 : 3,
    stroke: ink,
    font: FONT,
    ticks: { show: false },
    grid: { show: it.grid && at === 0, stroke: grid, width: 1 },
    space: 26,
    gap: 4,
    size: (_plot, values) => 12 + (values ?? []).reduce((most, text) => Math.max(most, String(text ?? "").length), 2) * 6.2,
    values: (_plot, splits) => splits.map((value) => (value === null ? "" : words(value, it.unit, it.decimals === undefined || it.decimals > 3 ? undefined : it.decimals))),
    ...(BINARY.has(it.unit) && it.log === undefined ? { incrs: POWERS_OF_TWO } : {}),
    ...label,
  };
}

function alphaOf(resolve: Look["resolve"], color: string, share: number): string {
  return resolve(`color-mix(in srgb, ${color} ${Math.round(share * 100)}%, transparent)`);
}

function seriesOf(line: Line, now: () => Look): uPlot.Series {
  const { custom, color } = line;
  const { resolve } = now();
  const style = text(custom, "drawStyle", "line");
  const own = text(part(custom, "lineColor"), "") || color;
  const opacity = (num(custom, "fillOpacity") ?? (style === "bars" ? 80 : 0)) / 100;
  const gradient = text(custom, "gradientMode", "none");
  const width = style === "points" ? 0 : (num(custom, "lineWidth") ?? 1);
  const points = text(custom, "showPoints", "auto");
  const gaps = custom["spanNulls"];
  const dashes = part(custom, "lineStyle");
  const dash = Array.isArray(dashes["dash"]) && text(dashes, "fill") !== "solid" ? dashes["dash"].map(Number) : text(dashes, "fill") === "dot" ? [0, 8] : text(dashes, "fill") === "dash" ? [10, 10] : undefined;
  const fill = opacity === 0 ? undefined : gradient === "none" ? alphaOf(resolve, own, opacity) : (made: uPlot): CanvasGradient | string => {
    const box = made.bbox;
    if (!Number.isFinite(box.top) || box.height <= 0) return alphaOf(resolve, own, opacity);
    const made2d = made.ctx.createLinearGradient(0, box.top, 0, box.top + box.height);
    made2d.addColorStop(0, alphaOf(resolve, own, opacity));
    made2d.addColorStop(1, alphaOf(resolve, own, gradient === "opacity" ? opacity * 0.15 : opacity));
    return made2d;
  };
  const bars = uPlot.paths.bars?.({ size: [num(custom, "barWidthFactor") ?? 0.6, num(custom, "barMaxWidth") ?? 100], align: (num(custom, "barAlignment") ?? 0) as -1 | 0 | 1 });
  const paths = { stepAfter: uPlot.paths.stepped?.({ align: 1 }), stepBefore: uPlot.paths.stepped?.({ align: -1 }), smooth: uPlot.paths.spline?.() }[text(custom, "lineInterpolation", "linear")];
  const chosen = style === "bars" ? bars : style === "points" ? () => null : paths;
  return {
    label: line.name,
    scale: line.scale,
    stroke: resolve(own),
    width,
    spanGaps: gaps === true,
    ...(typeof gaps === "number" ? { gaps: (_made, _index, from, _to, nulls) => nulls.filter(([a, b]) => Math.abs((now().chart.times[b] ?? 0) - (now().chart.times[a] ?? 0)) > gaps && from >= 0) } : {}),
    ...(dash ? { dash } : {}),
    ...(fill === undefined ? {} : { fill }),
    ...(chosen ? { paths: chosen as uPlot.Series.PathBuilder } : {}),
    points: { show: style === "points" || points === "always" || (points === "auto" && style === "line" ? pointsFew : false), size: num(custom, "pointSize") ?? 5, fill: resolve(own) },
  };
}

/** Points stand apart only where there are few, or where a line cannot show one. */
const pointsFew: uPlot.Series.Points.Show = (made, at) => {
  let known = 0;
  for (const it of made.data[at] ?? []) if (it !== null && it !== undefined) known += 1;
  return known > 0 && known < made.width / 40;
};

function bandOf(line: Line, at: number, { lines }: Chart): uPlot.Band[] {
  const to = text(line.custom, "fillBelowTo");
  const other = to === "" ? line.below : lines.findIndex((it) => it.name === to);
  return other < 0 ? [] : [{ series: [at + 1, other + 1] as [number, number] }];
}

function drawThresholds(made: uPlot, { chart, resolve }: Look, areas: boolean): void {
  const done = new Set<string>();
  for (const { field, custom, scale } of chart.lines) {
    const mode = text(part(custom, "thresholdsStyle"), "mode", "off");
    const { percentage, steps } = stepsOf(field.config);
    const key = `${scale} ${mode} ${JSON.stringify(steps)}`;
    const drawn = areas ? mode.includes("area") : mode.includes("line") || mode.startsWith("dashed");
    if (mode === "off" || done.has(key) || !drawn) continue;
    done.add(key);
    const { min = 0, max = 1 } = made.scales[scale] ?? {};
    const place = (value: number): number => made.valToPos(percentage ? (min ?? 0) + ((max ?? 1) - (min ?? 0)) * (value / 100) : value, scale, true);
    const { ctx, bbox } = made;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    steps.forEach((step, at) => {
      if (step.color === "transparent") return;
      const next = steps[at + 1];
      if (areas) {
        const bottom = step.value === null ? bbox.top + bbox.height : place(step.value);
        const top = next?.value === null || next?.value === undefined ? bbox.top : place(next.value);
        ctx.fillStyle = alphaOf(resolve, cssOf(step.color), 0.11);
        ctx.fillRect(bbox.left, top, bbox.width, bottom - top);
      } else if (step.value !== null) {
        const y = Math.round(place(step.value));
        ctx.strokeStyle = resolve(cssOf(step.color));
        ctx.lineWidth = 2 * devicePixelRatio;
        if (mode.startsWith("dashed")) ctx.setLineDash([10, 10]);
        ctx.beginPath();
        ctx.moveTo(bbox.left, y);
        ctx.lineTo(bbox.left + bbox.width, y);
        ctx.stroke();
      }
    });
    ctx.restore();
  }
}

/** Each exemplar stands at its own value on the first axis; one beyond its ends at the end, so that it is there at all. */
function spotsOf(made: uPlot, { exemplars, chart }: Look): Spot[] {
  const key = chart.scales[0]?.key;
  if (key === undefined) return [];
  const { left, top, width, height } = { left: made.over.offsetLeft, top: made.over.offsetTop, width: made.over.clientWidth, height: made.over.clientHeight };
  return exemplars.flatMap((exemplar) => {
    const x = made.valToPos(exemplar.time / SECOND, "x");
    if (!(x >= 0 && x <= width)) return [];
    const y = made.valToPos(exemplar.value, key);
    return [{ exemplar, left: left + x, top: top + Math.min(height, Math.max(0, Number.isNaN(y) ? height : y)) }];
  });
}

function drawAnnotations(made: uPlot, { annotations, resolve }: Look): void {
  const { ctx, bbox } = made;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const it of annotations) {
    const [from, to] = [made.valToPos(it.from / SECOND, "x", true), made.valToPos(it.to / SECOND, "x", true)];
    if (to < bbox.left || from > bbox.left + bbox.width) continue;
    const color = cssOf(it.color);
    if (to - from > 1) {
      ctx.fillStyle = alphaOf(resolve, color, 0.14);
      ctx.fillRect(from, bbox.top, to - from, bbox.height);
    }
    ctx.strokeStyle = resolve(color);
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([4, 4]);
    ctx.beginPath();
    ctx.moveTo(Math.round(from) + 0.5, bbox.top);
    ctx.lineTo(Math.round(from) + 0.5, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

/** Labels of two lines, which carry the day, need more room below. */
function timeAxisSize(_made: uPlot, values: string[] | null): number {
  return values?.some((it) => it?.includes("\n")) ? 38 : 24;
}

const TIMES: uPlot.Axis.Values = [
  [3600 * 24 * 28, "{MMM} {YYYY}", null, null, null, null, null, null, 1],
  [3600 * 24, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [3600, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
  [60, "{HH}:{mm}", null, null, null, null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1],
];
