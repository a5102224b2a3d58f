// The face of Pyroscope: which profiles there are, flame graphs of one question or of two, and of the samples of a span. Not the drawing.
import { isRecord, request } from "./request";
import { recordIn, recordsIn, textIn } from "./fields";

const ROOT = "/pyroscope";
const QUERIER = `${ROOT}/querier.v1.QuerierService`;
/** Bars of a flame graph are not asked for beyond these: nobody sees more. */
const NODES_MAX = 8192;

export interface Series {
  service: string;
  type: string;
}
export interface Flame {
  names: string[];
  /** Levels of bars, four numbers each, or seven where two are compared. */
  levels: number[][];
  total: number;
  /** All values of each side, where two are compared. */
  sides: [number, number] | undefined;
}
export interface Rendered {
  flame: Flame;
  /** Seconds since 1970, and values. */
  points: [number, number][];
  stepSeconds: number;
}
export interface Ask {
  query: string;
  fromMs: number;
  untilMs: number;
}

/** Services with their types; a server that keeps no profiles has no such address: 404. */
export async function profiledServices(signal?: AbortSignal): Promise<Series[]> {
  const body = await request(`${QUERIER}/Series`, { method: "POST", json: { labelNames: ["service_name", "__profile_type__"] }, signal });
  return recordsIn(isRecord(body) ? body : {}, "labelsSet").flatMap((set): Series[] => {
    const labels = new Map(recordsIn(set, "labels").map((it) => [textIn(it, "name"), textIn(it, "value")]));
    const service = labels.get("service_name");
    const type = labels.get("__profile_type__");
    return service && type ? [{ service, type }] : [];
  });
}

export async function render({ query, fromMs, untilMs }: Ask, signal?: AbortSignal): Promise<Rendered> {
  const body = await request(`${ROOT}/render`, { params: { query, from: Math.round(fromMs), until: Math.round(untilMs), format: "json", maxNodes: NODES_MAX }, signal });
  const fields = isRecord(body) ? body : {};
  const timeline = recordIn(fields, "timeline");
  const stepSeconds = Number(timeline["durationDelta"]) || 15;
  const start = Number(timeline["startTime"]) || 0;
  const samples = Array.isArray(timeline["samples"]) ? timeline["samples"] : [];
  return { flame: flameOf(recordIn(fields, "flamebearer"), undefined), points: samples.map((value, at) => [start + at * stepSeconds, Number(value) || 0]), stepSeconds };
}

export async function renderDiff(left: Ask, right: Ask, signal?: AbortSignal): Promise<Flame> {
  const side = (name: string, ask: Ask): Record<string, string | number> => ({ [`${name}Query`]: ask.query, [`${name}From`]: Math.round(ask.fromMs), [`${name}Until`]: Math.round(ask.untilMs) });
  const body = await request(`${ROOT}/render-diff`, { params: { ...side("left", left), ...side("right", right), maxNodes: NODES_MAX }, signal });
  const fields = isRecord(body) ? body : {};
  return flameOf(recordIn(fields, "flamebearer"), [Number(fields["leftTicks"]) || 0, Number(fields["rightTicks"]) || 0]);
}

/** The samples that were taken in a span. */
export async function spanFlame(type: string, selector: string, span: string, fromMs: number, untilMs: number, signal?: AbortSignal): Promise<Flame> {
  const json = { profileTypeID: type, labelSelector: selector, spanSelector: [span], start: Math.round(fromMs), end: Math.round(untilMs), maxNodes: NODES_MAX };
  const body = await request(`${QUERIER}/SelectMergeSpanProfile`, { method: "POST", json, signal });
  return flameOf(recordIn(isRecord(body) ? body : {}, "flamegraph"), undefined);
}

/** Numbers come as numbers, or, as 64-bit ones, as text; levels as lists, or as objects with a list. */
export function flameOf(fields: Record<string, unknown>, sides: [number, number] | undefined): Flame {
  const levels = Array.isArray(fields["levels"]) ? fields["levels"] : [];
  const numbers = (level: unknown): number[] => {
    const list = isRecord(level) ? level["values"] : level;
    return Array.isArray(list) ? list.map((it) => Number(it) || 0) : [];
  };
  const names = Array.isArray(fields["names"]) ? fields["names"].map(String) : [];
  return { names, levels: levels.map(numbers), total: Number(fields["numTicks"] ?? fields["total"]) || 0, sides };
}
