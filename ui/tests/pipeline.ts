// What a server answers that watches a busy AI pipeline: queues, workers, stages, tokens, cost, and native histograms.
// Not recorded data; dead letters and services have files of their own.
import { series, type Shape, wave } from "./answers.ts";
import type { Handler } from "./mock.ts";

const one = (at: (time: number) => number, labels: Record<string, string> = {}): Shape => ({ labels, at });
const stages = [["detect", 0.24], ["batch", 2.1], ["analyze", 7.4]] as const;
const worker = (name: string, metric: string, value: number): Shape => one(() => value, { __name__: metric, worker_name: name });

const RULES: readonly [RegExp, Shape[]][] = [
  [/detection\|analysis/, [one((t) => Math.round(wave(t, 1500, 0, 14)), { __name__: "hsi_detection_queue_depth" }), one((t) => Math.round(wave(t, 2300, 1, 6)), { __name__: "hsi_analysis_queue_depth" })]],
  [/hsi_dlq_depth/, [one((t) => Math.floor(wave(t, 5000, 2, 5)), { queue_name: "dlq:detection_queue" }), one(() => 0, { queue_name: "dlq:analysis_queue" })]],
  [/increase\(hsi_queue_overflow_total/, [one(() => 2.02, { queue_name: "detection_queue" })]],
  [/increase\(hsi_queue_items_moved_to_dlq_total/, [one(() => 17.1, { queue_name: "detection_queue" })]],
  [/increase\(hsi_queue_items_rejected_total/, [one(() => 0, { queue_name: "analysis_queue" })]],
  [/hsi_stage_duration_seconds_bucket/, stages.map(([stage, mean]) => one((t) => wave(t, 1700, mean, mean * 1.8), { stage }))],
  [/hsi_worker_status/, [
    worker("detection_worker", "hsi_worker_status", 1), worker("detection_worker", "hsi_worker_restarts_total", 0),
    worker("detection_worker", "hsi_pipeline_worker_uptime_seconds", 93_784),
    worker("analysis_worker", "hsi_worker_status", 3), worker("analysis_worker", "hsi_worker_restarts_total", 4),
    worker("analysis_worker", "hsi_worker_crashes_total", 4), worker("analysis_worker", "hsi_pipeline_worker_consecutive_failures", 2),
    worker("batch_timeout", "hsi_worker_status", 2), worker("file_watcher", "hsi_worker_status", 0), worker("metrics", "hsi_worker_status", 4),
    worker("cleanup", "hsi_pipeline_worker_state", 1),
  ]],
  [/hsi_worker_\(active/, [["active", 6], ["busy", 2], ["idle", 4]].map(([word, count]) => one(() => Number(count), { __name__: `hsi_worker_${word}_count` }))],
  [/^sum\(rate\(hsi_nemotron_tokens_input/, [one((t) => wave(t, 1400, 120, 900))]],
  [/^sum\(rate\(hsi_nemotron_tokens_output/, [one((t) => wave(t, 1400, 10, 70))]],
  [/^sum\(increase\(hsi_nemotron_tokens_input/, [one(() => 1_840_212.4)]],
  [/^sum\(increase\(hsi_nemotron_tokens_output/, [one(() => 96_120.2)]],
  [/hsi_nemotron_tokens_per_second/, [one(() => 41.7)]],
  [/hsi_llm_context_utilization_ratio/, [one(() => 0.83, { model: "nemotron" })]],
  [/quantile\(0\.5.*hsi_llm_context/, [one((t) => wave(t, 2000, 31, 52))]],
  [/quantile\(0\.95.*hsi_llm_context/, [one((t) => wave(t, 2000, 68, 91))]],
  [/hsi_prompts_truncated_total/, [one(() => 3)]],
  [/hsi_prompts_high_utilization_total/, [one(() => 12)]],
  [/hsi_daily_cost_usd/, [one((t) => (t % 86_400) / 40_000)]],
  [/hsi_monthly_cost_usd/, [one(() => 41.236)]],
  [/hsi_cost_per_event_usd/, [one(() => 0.0123)]],
  [/hsi_budget_utilization_ratio/, [one(() => 0.42, { period: "daily" }), one(() => 1.08, { period: "monthly" })]],
  [/hsi_estimated_cost_usd_total/, [one(() => 1.27, { service: "nemotron" }), one(() => 0.311, { service: "yolo26" })]],
  [/watchfire_gpu_memory_pressure/, [one((t) => Math.round(wave(t, 3000, 0, 1.4)), { gpu_name: "NVIDIA RTX A5500", gpu: "0" })]],
  [/gateway_turns/, [["limit", 4, 4], ["running", 0, 4], ["waiting", 0, 2]].map(([name, low, high]) => one((t) => Math.round(wave(t, 1100, Number(low), Number(high))), { __name__: `watchfire_gateway_turns_${name}` }))],
  [/gateway_refused/, [one(() => 2)]],
  [/gateway_retries/, [one(() => 5)]],
  [/watchfire_storage_bytes/, [one((t) => (340 + ((t / 600) % 60)) * 2 ** 20, { kind: "metrics" }), one((t) => wave(t, 7200, 8, 40) * 2 ** 20, { kind: "wal" }), one(() => 131_072, { kind: "state" })]],
];

const spent = (name: string, exchanges: number, usd: number, estimated = 0): Record<string, unknown> => ({
  name, exchanges, failed: exchanges > 500 ? 3 : 0, partial: 0, input_tokens: exchanges * 2100, output_tokens: exchanges * 110,
  estimated_input_tokens: estimated, estimated_output_tokens: 0, cost_usd: usd, seconds: exchanges * 1.4,
});
export const COSTS = {
  today: { ...spent("2025-12-30", 212, 0.3412), budget_usd: 1, budget_utilization: 0.3412 },
  month: { ...spent("2025-12", 9120, 41.24), budget_usd: 38, budget_utilization: 1.085 },
  ever: spent("ever", 48_000, 212.5),
  days: [spent("2025-12-30", 212, 0.3412), spent("2025-12-29", 801, 1.27)],
  months: [spent("2025-12", 9120, 41.24)],
  models: [spent("nemotron-3-nano-30b", 9000, 41.1), spent("mini-4b", 120, 0.14, 4000)],
  upstreams: [spent("local", 9120, 41.24)],
  cameras: [spent("front_door", 6100, 27.5), spent("garage", 3020, 13.74)],
  callers: [spent("nemotron-backend", 9120, 41.24)],
  upstream_states: [{ name: "local", circuit_breaker: "closed" }, { name: "cloud", circuit_breaker: "open" }],
  turns: { limit: 4, running: 2, waiting: 1 },
  under_way: 2,
};

const native: Handler = ({ path }) => {
  switch (path) {
    case "/api/llm/budget":
      return {
        body: {
          context_window: 131_072, max_output_tokens: 1536, available_for_prompt: 129_536, warning_threshold: 103_628,
          warning_ratio: 0.8, truncation_enabled: true, encoding: "cl100k_base",
        },
      };
    case "/api/llm/cost":
      return { body: COSTS };
    case "/api/system/telemetry":
      return {
        body: {
          queues: { detection_queue: 7, analysis_queue: 3 },
          latencies: Object.fromEntries(
            ["watch", "detect", "batch", "analyze"].map((name) => {
              const mean = (stages.find(([it]) => it === name)?.[1] ?? 0) * 1000;
              return [name, mean === 0 ? null : { avg_ms: mean, min_ms: null, max_ms: null, p50_ms: mean * 0.9, p95_ms: mean * 1.7, p99_ms: null, sample_count: 412 }];
            }),
          ),
          timestamp: "2025-12-30T10:15:00Z",
        },
      };
    default:
      return undefined;
  }
};

export const pipeline: Handler[] = [series((expr) => RULES.find(([rule]) => rule.test(expr))?.[1]), native];

/** Answers every query with one series of native histograms. */
export const histograms: Handler = ({ path, params }) => {
  const success = (resultType: string, result: unknown) => ({ body: { status: "success", data: { resultType, result } } });
  const at = (time: number) => {
    const counts = Array.from({ length: 8 }, (_, row) => Math.max(0, Math.round(wave(time + row * 300, 1800, -20, 40 - Math.abs(row - 3) * 8))));
    const buckets = counts.map((count, row) => [0, String(2 ** (row - 4)), String(2 ** (row - 3)), String(count)]);
    const total = counts.reduce((sum, it) => sum + it, 0);
    return { count: String(total), sum: String(total * 0.7), buckets };
  };
  const metric = { __name__: "latency", job: "api" };
  if (path === "/api/v1/query") return success("vector", [{ metric, histogram: [Date.now() / 1000, at(Date.now() / 1000)] }]);
  if (path !== "/api/v1/query_range") return undefined;
  const [start, end, step] = ["start", "end", "step"].map((it) => Number(params.get(it))) as [number, number, number];
  const times = Array.from({ length: Math.floor((end - start) / step) + 1 }, (_, row) => start + row * step);
  return success("matrix", [{ metric, histograms: times.map((time) => [time, at(time)]) }]);
};
