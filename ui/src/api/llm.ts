// The face of the language model's budget and cost. Not the gateway itself, and not recorded metrics (prometheus.ts).
import { numberIn, recordIn, recordsIn, textIn } from "./fields";
import { ApiError, isRecord, NoData, request } from "./request";
import { t } from "../words/t";

export interface ContextBudget {
  contextWindow: number | null;
  maxOutput: number | null;
  available: number | null;
  warningRatio: number | null;
  truncation: boolean | null;
  encoding: string | null;
}

export async function contextBudget(signal?: AbortSignal): Promise<ContextBudget> {
  return parseBudget(await whereThere("/api/llm/budget", signal));
}

export function parseBudget(body: unknown): ContextBudget {
  if (!isRecord(body)) throw new ApiError("shape", t("/api/llm/budget answered without a budget"));
  const truncation = body["truncation_enabled"];
  return {
    contextWindow: numberIn(body, "context_window"),
    maxOutput: numberIn(body, "max_output_tokens"),
    available: numberIn(body, "available_for_prompt"),
    warningRatio: numberIn(body, "warning_ratio"),
    truncation: typeof truncation === "boolean" ? truncation : null,
    encoding: textIn(body, "encoding"),
  };
}

/** Asks for what not every server has: its absence is no failure. */
async function whereThere(path: string, signal?: AbortSignal): Promise<unknown> {
  try {
    return await request(path, { signal });
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) throw new NoData(t("This server has no {0}.", path));
    throw error;
  }
}

/** Sums of exchanges with language models. */
export interface CostLine {
  name: string;
  exchanges: number | null;
  failed: number | null;
  /** As upstreams told them and, where they told nothing, as we counted them. */
  inputTokens: number | null;
  outputTokens: number | null;
  /** Whether some of these tokens were counted by us. */
  estimated: boolean;
  usd: number | null;
}
export interface CostPeriod extends CostLine {
  budgetUsd: number | null;
  /** The share of the budget that is spent. */
  utilization: number | null;
}
export const COST_PARTS = ["models", "upstreams", "cameras", "callers", "days", "months"] as const;
export type CostPart = (typeof COST_PARTS)[number];
export interface LlmCosts {
  today: CostPeriod;
  month: CostPeriod;
  ever: CostLine;
  parts: Record<CostPart, CostLine[]>;
  upstreams: { name: string; breaker: string }[];
  turns: { limit: number | null; running: number | null; waiting: number | null };
}

/** What went through the gateway. A server without one has no such path, or knows no upstream. */
export async function llmCosts(signal?: AbortSignal): Promise<LlmCosts> {
  const costs = parseCosts(await whereThere("/api/llm/cost", signal));
  if (costs.upstreams.length === 0 && !costs.ever.exchanges) {
    throw new NoData(t("Not configured: no gateway stands before the language models."));
  }
  return costs;
}

export function parseCosts(body: unknown): LlmCosts {
  if (!isRecord(body)) throw new ApiError("shape", t("/api/llm/cost answered without sums"));
  const turns = recordIn(body, "turns");
  return {
    today: period(recordIn(body, "today")),
    month: period(recordIn(body, "month")),
    ever: line(recordIn(body, "ever")),
    parts: Object.fromEntries(COST_PARTS.map((part) => [part, recordsIn(body, part).map(line)])) as Record<CostPart, CostLine[]>,
    upstreams: recordsIn(body, "upstream_states").map((it) => ({ name: textIn(it, "name") ?? "", breaker: textIn(it, "circuit_breaker") ?? "" })),
    turns: { limit: numberIn(turns, "limit"), running: numberIn(turns, "running"), waiting: numberIn(turns, "waiting") },
  };
}

function line(fields: Record<string, unknown>): CostLine {
  const tokens = (way: string): number | null => {
    const told = numberIn(fields, `${way}_tokens`);
    const counted = numberIn(fields, `estimated_${way}_tokens`);
    return told === null && counted === null ? null : (told ?? 0) + (counted ?? 0);
  };
  return {
    name: textIn(fields, "name") ?? "",
    exchanges: numberIn(fields, "exchanges"),
    failed: numberIn(fields, "failed"),
    inputTokens: tokens("input"),
    outputTokens: tokens("output"),
    estimated: (numberIn(fields, "estimated_input_tokens") ?? 0) + (numberIn(fields, "estimated_output_tokens") ?? 0) > 0,
    usd: numberIn(fields, "cost_usd"),
  };
}

function period(fields: Record<string, unknown>): CostPeriod {
  return { ...line(fields), budgetUsd: numberIn(fields, "budget_usd"), utilization: numberIn(fields, "budget_utilization") };
}
