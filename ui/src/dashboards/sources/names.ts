// What variables ask for: names and values of labels, names of metrics, results of queries, from metrics or logs. Not what a variable
// makes of them.
import { query } from "../../api/prometheus";
import { ApiError, isRecord, request } from "../../api/request";
import { textsOf } from "./texts";
import type { Question } from "../variables/question";
import type { Range } from "../variables/time";
import { t } from "../../words/t";

const METRICS = "/api/v1";
const LOGS = "/loki/api/v1";

export async function namesFor(question: Question, kind: "prometheus" | "loki", range: Range, signal?: AbortSignal): Promise<string[]> {
  const root = kind === "loki" ? LOGS : METRICS;
  const moment = (ms: number): string => (kind === "loki" ? `${Math.round(ms)}000000` : String(ms / 1000));
  const times = { start: moment(range.from), end: moment(range.to) };
  const match = (selector: string): Record<string, string> => (selector === "" ? {} : kind === "loki" ? { query: selector } : { "match[]": selector });
  const ask = async (path: string, params: Record<string, string>): Promise<string[]> => textsOf(await request(root + path, { params, signal }));
  switch (question.kind) {
    case "labelNames":
      return ask("/labels", { ...times, ...match(question.match) });
    case "labelValues":
      return ask(`/label/${encodeURIComponent(question.label)}/values`, { ...times, ...match(question.match) });
    case "metrics": {
      const names = await ask("/label/__name__/values", times);
      const pattern = new RegExp(question.pattern || ".*");
      return names.filter((it) => pattern.test(it));
    }
    case "result":
      return results(question.expr, range, signal);
    case "series":
      // A selector alone asks for whole series, any other expression for its result.
      return isSelector(question.match) ? series(root, question.match, times, signal) : results(question.match, range, signal);
  }
}

function isSelector(text: string): boolean {
  return /^[a-zA-Z_:][\w:]*(\s*\{[^()]*\})?$|^\{[^()]*\}$/s.test(text);
}

/** As Grafana writes results for regular expressions: name, labels, value and time in milliseconds. */
async function results(expr: string, range: Range, signal?: AbortSignal): Promise<string[]> {
  const answer = await query(expr, signal, range.to / 1000);
  if (answer.type !== "vector") {
    if (answer.type === "matrix") throw new ApiError("shape", t("the question gives a range where a moment is needed"));
    return [`${answer.text} ${Math.round(answer.time * 1000)}`];
  }
  return answer.items.map(({ labels, text, time }) => `${seriesText(labels)} ${text} ${Math.round(time * 1000)}`);
}

async function series(root: string, match: string, times: Record<string, string>, signal?: AbortSignal): Promise<string[]> {
  const body = await request(`${root}/series`, { params: { ...times, "match[]": match }, signal });
  const data = isRecord(body) && Array.isArray(body["data"]) ? body["data"].filter(isRecord) : [];
  return data.map((it) => seriesText(Object.fromEntries(Object.entries(it).map(([key, value]) => [key, String(value)]))));
}

function seriesText({ __name__: name = "", ...labels }: Record<string, string>): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return `${name}{${pairs.join(",")}}`;
}
