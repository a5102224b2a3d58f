// Answers about the AI pipeline into values: dead letters, services, budget, cost, latencies, cleanup. Not the network.
import { expect, test } from "vitest";
import { jobLine, queueWords, shown, span } from "../pages/dlq/words";
import { breakerWords, pressureWords } from "../pages/pipeline/gateway";
import { overflowRows } from "../pages/pipeline/queues";
import { workers, workerState } from "../pages/pipeline/workers";
import { kindOf, parseJob, parseOutcome, parsePage, parseStats } from "./dlq";
import { parseBudget, parseCosts } from "./llm";
import { parseHistory, parseServices } from "./services";
import { parseCleanup, parseStorageDetails } from "./storage";
import { parseLatencies } from "./telemetry";

test("counts of dead letters are read from the documented keys", () => {
  const documented = parseStats({ detection_queue_count: 3, analysis_queue_count: 1, total_count: 4 });
  expect(documented.queues.map((it) => [it.name, it.count, it.overflow])).toEqual([["dlq:detection_queue", 3, false], ["dlq:analysis_queue", 1, false]]);
  expect([documented.total, documented.overflow, documented.backend]).toEqual([4, 0, null]);
  const whole = parseStats({
    detection_queue_count: 3,
    total_count: 3,
    overflow_count: 2,
    queues: [{ queue_name: "dlq:detection_queue", count: 3, requeueing: true }, { queue_name: "dlq:overflow:detection_queue", count: 2 }],
    backend: "redis",
  });
  expect(whole).toEqual({
    queues: [
      { name: "dlq:detection_queue", count: 3, overflow: false, origin: "detection_queue", requeueing: true },
      { name: "dlq:overflow:detection_queue", count: 2, overflow: true, origin: "detection_queue", requeueing: false },
    ],
    total: 3,
    overflow: 2,
    backend: "redis",
  });
  expect(() => parseStats([])).toThrow("without counts");
});

test("a dead job keeps what is known beside the documented keys, and nothing that is empty", () => {
  const page = parsePage({
    jobs: [{ original_job: { camera_id: "a" }, error: "x", attempt_count: 3, first_failed_at: "t1", last_failed_at: "t2", queue_name: "q", stack_trace: null, context: {} }],
    queue_name: "dlq:q",
    start: 20,
    limit: 1,
    total: 40,
  });
  expect([page.start, page.total]).toEqual([20, 40]);
  expect(page.jobs).toEqual([
    { id: null, job: { camera_id: "a" }, error: "x", attempts: 3, firstFailed: "t1", lastFailed: "t2", more: [["queue_name", "q"]] },
  ]);
  expect(parseJob({ attempt_count: "many" })).toMatchObject({ attempts: null, error: "", firstFailed: null });
  expect(() => parsePage({})).toThrow("without jobs");
});

test("nothing done is no success", () => {
  expect(parseOutcome({ success: true, message: "Cleared 2 jobs" }).message).toBe("Cleared 2 jobs");
  expect(() => parseOutcome({ success: false, message: "No jobs to requeue" })).toThrow("No jobs to requeue");
});

test("queues and jobs have words", () => {
  expect(kindOf("dlq:overflow:a")).toEqual({ overflow: true, origin: "a" });
  expect(queueWords(kindOf("dlq:a"))).toBe("failed too often in a");
  expect(jobLine({ a: "b", n: 1 })).toBe("a: b · n: 1");
  expect(jobLine("x".repeat(500))).toHaveLength(160);
  expect([jobLine(null), jobLine([1]), shown({ a: 1 }), span(20, 5, 25), span(0, 0, 0)]).toEqual(["no payload", "[1]", '{\n  "a": 1\n}', "21–25 of 25", "none of 0"]);
});

test("services are read with care", () => {
  const [service] = parseServices({ services: [{ name: "a", status: null, restart: null, maintenance: { kind: "recurring", until: "t" }, withheld: { reason: "x", message: "why" } }] });
  expect(service).toMatchObject({ state: "unknown", restart: null, attempts: null, withheld: "why", maintenance: { until: "t", recurring: true, by: null } });
  expect(parseHistory({ events: [{ timestamp: "t", event_type: "failure", status: "failed", message: "m" }] })).toEqual([
    { at: "t", kind: "failure", state: "failed", message: "m", detail: null },
  ]);
  expect(() => parseServices({})).toThrow("without services");
});

test("budget, cost and latencies never make up a figure", () => {
  expect(parseBudget({ context_window: 4096 })).toMatchObject({ contextWindow: 4096, available: null, truncation: null });
  const costs = parseCosts({
    today: { name: "2025-12-30", cost_usd: 1.5, input_tokens: 7, estimated_input_tokens: 2, budget_usd: null },
    models: [{ name: "m", exchanges: 3, failed: 1 }],
    upstream_states: [{ name: "u", circuit_breaker: "half_open" }],
    turns: { limit: 4, running: 1 },
  });
  expect(costs.today).toMatchObject({ usd: 1.5, inputTokens: 9, outputTokens: null, estimated: true, budgetUsd: null, utilization: null });
  expect(costs.parts.models).toMatchObject([{ name: "m", exchanges: 3, usd: null, estimated: false }]);
  expect([costs.upstreams, costs.turns]).toEqual([[{ name: "u", breaker: "half_open" }], { limit: 4, running: 1, waiting: null }]);
  expect(parseLatencies({ latencies: null })).toEqual([]);
  expect(parseLatencies({ latencies: { detect: { avg_ms: 3, p99_ms: null, sample_count: 2 }, watch: null } })).toEqual([
    { stage: "detect", avg: 3, p50: null, p95: null, p99: null, samples: 2 },
  ]);
  expect(parseStorageDetails({ signals: { logs: {} } }).signals[0]).toMatchObject({ name: "logs", samples: null, retentionSeconds: null });
  expect(parseCleanup({ segments_deleted: 0, held: true })).toMatchObject({ segments: 0, bytes: null, held: true });
});

test("states of workers are words, and numbers that are not known stay numbers", () => {
  expect([0, 1, 2, 3, 4].map((it) => workerState("hsi_worker_status", it).word)).toEqual(["stopped", "running", "crashed", "restarting", "failed"]);
  expect([0, 1, 2, 3].map((it) => workerState("hsi_pipeline_worker_state", it).word)).toEqual(["stopped", "running", "restarting", "failed"]);
  expect(workerState("hsi_worker_status", 7).word).toBe("unknown state 7");
  const item = (metric: string, value: number) => ({ labels: { __name__: metric, worker_name: "w" }, time: 0, value, text: "" });
  expect(workers([item("hsi_pipeline_worker_uptime_seconds", -1), item("hsi_worker_restarts_total", 2)])).toMatchObject([
    { name: "w", state: { word: "no state reported" }, restarts: 2, crashes: undefined, uptimeSeconds: undefined },
  ]);
});

test("rows of overflow keep what nobody reports missing", () => {
  expect(overflowRows([new Map([["a", 1]]), new Map([["b", 0]])])).toEqual([
    { queue: "a", values: [1, undefined] },
    { queue: "b", values: [undefined, 0] },
  ]);
  expect([0, 1, 2, 9].map((it) => pressureWords(it).word)).toEqual(["NORMAL", "WARNING", "CRITICAL", "unknown level 9"]);
  expect(["closed", "open", "half_open", "ajar"].map((it) => breakerWords(it).tone)).toEqual(["ok", "critical", "warning", "neutral"]);
});
