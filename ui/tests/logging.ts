// Logs as a scripted server has them: lines of a few streams, answered in Loki's shapes and in Elasticsearch's. It reads no LogQL:
// what a question selects is what a test says it does.
import type { Asked, Handler, Reply } from "./mock.ts";

export interface StubLine {
  ns: bigint;
  stream: Record<string, string>;
  line: string;
  metadata?: Record<string, string>;
  level: string;
}
const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const BACKEND = { container: "backend", host: "atlas", service_name: "backend" };
const WORKER = { container: "worker", host: "atlas", service_name: "worker" };
export const NASTY = [
  "<img src=x onerror=\"window.pwned=1\"><script>window.pwned=1</script>",
  "\u001b[31mred\u001b[0m and \u001b]0;title\u0007bell \u0007 nul \u0000 bidi \u202eevil",
  `long ${"0123456789".repeat(2000)} end`,
] as const;

/** Lines of the last half hour, newest first: `count` of them, evenly. */
export function lines(count: number, now = Date.now(), seconds = 1800): StubLine[] {
  const step = (BigInt(seconds) * 1_000_000_000n) / BigInt(count);
  const newest = BigInt(now - 2000) * 1_000_000n;
  return Array.from({ length: count }, (_, at) => ({ ns: newest - BigInt(at) * step, ...said(count - 1 - at) }));
}

function said(number: number): Omit<StubLine, "ns"> {
  const id = `line ${number}`;
  switch (number % 7) {
    case 0:
      return { stream: BACKEND, level: "error", line: `{"level":"error","msg":"${id}: inference failed","camera":{"name":"porch"},"status":502}`, metadata: { trace_id: TRACE } };
    case 3:
      return { stream: WORKER, level: "warn", line: `level=warn msg="${id}: queue is long" depth=${number} queue=detection` };
    case 5:
      return { stream: WORKER, level: "debug", line: `DEBUG ${id}: took ${number % 90} ms` };
    default:
      return { stream: BACKEND, level: "info", line: `INFO ${id}: GET /api/cameras 200` };
  }
}

export class Logging {
  /** Newest first. */
  constructor(
    readonly all: StubLine[],
    readonly traces = false,
  ) {}

  readonly handler: Handler = (asked) => this.#answer(asked);

  #answer(asked: Asked): Reply | undefined {
    const { path, params } = asked;
    const data = (it: unknown): Reply => ({ body: { status: "success", data: it } });
    switch (path) {
      case "/loki/api/v1/labels":
        return data(this.all.length === 0 ? [] : ["container", "host", "service_name"]);
      case "/loki/api/v1/series":
        return data([...new Set(this.all.slice(0, 1000).map((it) => JSON.stringify(it.stream)))].map((it) => JSON.parse(it) as unknown));
      case "/loki/api/v1/detected_fields":
        return { body: { fields: [{ label: "status", type: "int", cardinality: 3, parsers: ["json"] }, { label: "trace_id", type: "string", cardinality: 1, parsers: null }] } };
      case "/loki/api/v1/patterns":
        return data([{ pattern: "INFO line <_>: GET /api/cameras <_>", samples: [[1, 40], [2, 17]] }]);
      case "/loki/api/v1/query":
        return data({ resultType: "vector", result: this.#counts(params) });
      case "/loki/api/v1/query_range":
        return this.#range(params);
      case "/elasticsearch/_search":
        return this.#search(params);
      case "/api/system/storage/stats":
        return this.traces ? { body: { signals: { traces: { series: 3, samples: 90 } } } } : undefined;
      default:
        return undefined;
    }
  }

  #counts(params: URLSearchParams): unknown[] {
    const name = /sum by \((\w+)\)/.exec(params.get("query") ?? "")?.[1] ?? "";
    const counts = new Map<string, number>();
    for (const it of this.all) {
      const value = it.stream[name] ?? it.metadata?.[name];
      if (value !== undefined) counts.set(value, (counts.get(value) ?? 0) + 1);
    }
    return [...counts].map(([value, count]) => ({ metric: { [name]: value }, value: [1, String(count)] }));
  }

  #range(params: URLSearchParams): Reply {
    const query = params.get("query") ?? "";
    if (query.includes("|= oops")) return { status: 400, body: "parse error at line 1, col 24: syntax error: unexpected IDENTIFIER" };
    if (/^sum by .*\| json \[/.test(query)) return { status: 400, body: `pipeline error: 'JSONParserErr' for series: '{${"x".repeat(400)}}'` };
    if (query.startsWith("sum by (detected_level)")) return { body: { status: "success", data: { resultType: "matrix", result: this.#levels(params) } } };
    if (!query.startsWith("{")) return { body: { status: "success", data: { resultType: "matrix", result: this.#rate(params) } } };
    const [start, end] = [BigInt(params.get("start") ?? 0), BigInt(params.get("end") ?? 0)];
    const limit = Number(params.get("limit"));
    let found = this.all.filter((it) => it.ns >= start && it.ns < end && (!query.includes("worker") || it.stream === WORKER));
    if (query.includes("nothing")) found = [];
    if (params.get("direction") === "forward") found = found.reverse();
    return { body: { status: "success", data: { resultType: "streams", encodingFlags: ["categorize-labels"], result: grouped(found.slice(0, limit)) } } };
  }

  #levels(params: URLSearchParams): unknown[] {
    const step = Number.parseInt(params.get("step") ?? "1", 10);
    const start = Number(BigInt(params.get("start") ?? 0) / 1_000_000_000n);
    const counts = new Map<string, Map<number, number>>();
    for (const { ns, level } of this.all) {
      const seconds = Number(ns / 1_000_000n) / 1000;
      const time = start + Math.ceil((seconds - start) / step) * step;
      const of = counts.get(level) ?? new Map<number, number>();
      counts.set(level, of.set(time, (of.get(time) ?? 0) + 1));
    }
    return [...counts].map(([level, of]) => ({ metric: { detected_level: level }, values: [...of].map(([time, count]) => [time, String(count)]) }));
  }

  #rate(params: URLSearchParams): unknown[] {
    const [start, end] = [Number(params.get("start")) / 1e9, Number(params.get("end")) / 1e9];
    const step = Number.parseInt(params.get("step") ?? "1", 10);
    const values = Array.from({ length: Math.floor((end - start) / step) + 1 }, (_, at) => [start + at * step, String(at % 5)]);
    return [{ metric: { container: "backend" }, values }];
  }

  #search(params: URLSearchParams): Reply {
    const size = Number(params.get("size"));
    const hits = this.all.slice(0, size).map(({ ns, line, stream, level }, at) => ({
      _id: String(at),
      _source: { "@timestamp": new Date(Number(ns / 1_000_000n)).toISOString(), message: line, container: { name: stream["container"] }, level },
    }));
    return { body: { took: 1, timed_out: false, hits: { total: { value: this.all.length, relation: "eq" }, hits } } };
  }
}

function grouped(found: readonly StubLine[]): unknown[] {
  const streams = new Map<string, { stream: Record<string, string>; values: unknown[] }>();
  for (const { stream, ns, line, metadata } of found) {
    const key = JSON.stringify(stream);
    const of = streams.get(key) ?? { stream, values: [] };
    streams.set(key, of);
    of.values.push([ns.toString(), line, metadata ? { structuredMetadata: metadata } : {}]);
  }
  return [...streams.values()];
}

/** A message of a tail, whose labels are one set. */
export function tailOf(texts: readonly string[], now = Date.now()): unknown {
  const values = texts.map((text, at) => [(BigInt(now) * 1_000_000n + BigInt(at)).toString(), text]);
  return { streams: [{ stream: { ...BACKEND, trace_id: TRACE }, values }], dropped_entries: null };
}
