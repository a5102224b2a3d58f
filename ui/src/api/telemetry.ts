// Stage latencies of the watched pipeline as the server sums them up over the last five minutes. Not their history (PromQL).
import { numberIn, recordIn } from "./fields";
import { ApiError, isRecord, request } from "./request";
import { t } from "../words/t";

export const STAGES = ["watch", "detect", "batch", "analyze"] as const;
export interface StageLatency {
  stage: string;
  /** Milliseconds. */
  avg: number | null;
  p50: number | null;
  p95: number | null;
  p99: number | null;
  samples: number | null;
}

/** Only the stages that report. */
export async function stageLatencies(signal?: AbortSignal): Promise<StageLatency[]> {
  return parseLatencies(await request("/api/system/telemetry", { signal }));
}

export function parseLatencies(body: unknown): StageLatency[] {
  if (!isRecord(body)) throw new ApiError("shape", t("/api/system/telemetry answered without figures"));
  const latencies = recordIn(body, "latencies");
  return STAGES.flatMap((stage): StageLatency[] => {
    const fields = latencies[stage];
    if (!isRecord(fields)) return [];
    const of = (key: string): number | null => numberIn(fields, key);
    return [{ stage, avg: of("avg_ms"), p50: of("p50_ms"), p95: of("p95_ms"), p99: of("p99_ms"), samples: of("sample_count") }];
  });
}
