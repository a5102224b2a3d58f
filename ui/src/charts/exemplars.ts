// Exemplars of a query's series that name a trace: the way from a chart to what stands behind one of its points. Not their drawing.
import { ask, type LabelSet, sampleValue } from "../api/prometheus";
import { ApiError, isRecord } from "../api/request";
import { t } from "../words/t";

export interface Exemplar {
  trace: string;
  series: LabelSet;
  /** Seconds since 1970. */
  time: number;
  value: number;
}

/** The names under which programs write the id of a trace. */
const TRACE_NAMES = ["trace_id", "traceID", "traceId"];
/** So many can be told apart; the newest are kept. */
const EXEMPLARS_MAX = 200;

export async function queryExemplars(expr: string, { start, end }: { start: number; end: number }, signal?: AbortSignal): Promise<Exemplar[]> {
  return parseExemplars(await ask("/api/v1/query_exemplars", { query: expr, start, end }, signal));
}

export function parseExemplars(body: unknown): Exemplar[] {
  const data = isRecord(body) ? body["data"] : undefined;
  if (!Array.isArray(data)) throw new ApiError("shape", t("the answer has no list of exemplars"));
  const found = data.flatMap((item: unknown): Exemplar[] => {
    if (!isRecord(item) || !Array.isArray(item["exemplars"])) return [];
    const series = textsOf(item["seriesLabels"]);
    return item["exemplars"].flatMap((one: unknown) => exemplarOf(one, series));
  });
  return found.sort((a, b) => b.time - a.time).slice(0, EXEMPLARS_MAX);
}

function exemplarOf(one: unknown, series: LabelSet): Exemplar[] {
  if (!isRecord(one)) return [];
  const labels = textsOf(one["labels"]);
  const trace = TRACE_NAMES.map((name) => labels[name] ?? "").find((id) => /^[0-9a-fA-F]{1,32}$/.test(id));
  const time = Number(one["timestamp"]);
  return trace === undefined || !Number.isFinite(time) ? [] : [{ trace, series, time, value: sampleValue(one["value"]) }];
}

function textsOf(value: unknown): LabelSet {
  return isRecord(value) ? Object.fromEntries(Object.entries(value).map(([key, text]) => [key, String(text)])) : {};
}

/** Where a moment lies in a range, as a share of it; nothing outside of it. */
export function shareOf(time: number, { start, end }: { start: number; end: number }): number | undefined {
  const share = (time - start) / (end - start);
  return share >= 0 && share <= 1 ? share : undefined;
}
