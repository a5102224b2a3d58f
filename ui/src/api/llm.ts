// The face of the language model's budget and cost. Not the gateway itself, and not recorded metrics (prometheus.ts).
import { numberIn, textIn } from "./fields";
import { ApiError, isRecord, NoData, request } from "./request";

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
  if (!isRecord(body)) throw new ApiError("shape", "/api/llm/budget answered without a budget");
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
    if (error instanceof ApiError && error.status === 404) throw new NoData(`This server has no ${path}.`);
    throw error;
  }
}

export interface CostFigure {
  /** As the server named it, underscores as blanks. */
  name: string;
  value: number;
  usd: boolean;
}

/** What the server counts itself; nothing where it does not. */
export async function llmCost(signal?: AbortSignal): Promise<CostFigure[]> {
  return parseCost(await whereThere("/api/llm/cost", signal));
}

/** Every figure at the top of the answer. What the server does not know is null there and stays away here. */
export function parseCost(body: unknown): CostFigure[] {
  if (!isRecord(body)) throw new ApiError("shape", "/api/llm/cost answered without figures");
  return Object.entries(body).flatMap(([key, value]): CostFigure[] => {
    if (typeof value !== "number" || !Number.isFinite(value)) return [];
    const usd = /(^|_)usd(_|$)/.test(key);
    return [{ name: key.replace(/_usd(?=_|$)/, "").replaceAll("_", " "), value, usd }];
  });
}
