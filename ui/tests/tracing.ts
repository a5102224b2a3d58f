// A scripted server of Jaeger's face: services, their operations, traces with everything that spans can have, one of 10,000 spans, and
// who calls whom. It answers searches by service, operation, tags, lengths, times and limit, as the real one is to. Not the real one.
import type { Handler, Reply } from "./mock.ts";

type Fields = Record<string, unknown>;
const EVIL = '<img src=x onerror="document.title=1"> <b>not bold</b>';
const hex = (number: number, digits: number): string => number.toString(16).padStart(digits, "0");
const tag = (key: string, value: unknown, type = typeof value === "number" ? "int64" : typeof value === "boolean" ? "bool" : "string"): Fields => ({ key, type, value });

interface SpanOf {
  id: string;
  parent?: string;
  name: string;
  process: string;
  start: number;
  duration: number;
  tags?: Fields[];
  logs?: Fields[];
  references?: Fields[];
  warnings?: string[];
}
interface TraceOf {
  traceID: string;
  spans: Fields[];
  processes: Record<string, Fields>;
  warnings: null;
}

function traceOf(traceID: string, services: readonly string[], spans: readonly SpanOf[]): TraceOf {
  return {
    traceID,
    processes: Object.fromEntries(services.map((it, at) => [`p${at + 1}`, { serviceName: it, tags: [tag("host.name", `host-${at + 1}`), tag("telemetry.sdk.language", "python")] }])),
    warnings: null,
    spans: spans.map(({ id, parent, name, process, start, duration, tags = [], logs = [], references = [], warnings }) => ({
      traceID,
      spanID: id,
      operationName: name,
      references: [...(parent === undefined ? [] : [{ refType: "CHILD_OF", traceID, spanID: parent }]), ...references],
      startTime: start,
      duration,
      tags,
      logs,
      processID: process,
      warnings: warnings ?? null,
    })),
  };
}

export const MANY_ID = hex(0xb16, 32);
export const ODD_ID = hex(0x0dd, 32);
export const MANY = 10_000;

/** A request that makes 10,000 spans: batches of calls to the database, the deepest one 60 deep. */
export function many(endUs: number): TraceOf {
  const start = endUs - 60_000_000;
  const spans: SpanOf[] = [{ id: hex(1, 16), name: "POST /api/batch", process: "p1", start, duration: 50_000_000, tags: [tag("http.status_code", 200)] }];
  for (let at = 2; at <= MANY; at++) {
    // Every hundredth begins a chain of sixty; the others stand below the batch before them.
    const chain = (at - 2) % 100;
    const parent = chain === 0 ? 1 : chain < 60 ? at - 1 : at - chain;
    const batch = Math.floor((at - 2) / 100);
    const begin = start + batch * 500_000 + chain * 4000;
    spans.push({
      id: hex(at, 16),
      parent: hex(parent, 16),
      name: chain === 0 ? `batch ${batch}` : `step ${chain}`,
      process: `p${1 + (chain % 4)}`,
      start: begin,
      duration: chain < 60 ? 480_000 - chain * 7000 : 3000,
      tags: [tag("batch", batch), tag("db.statement", `select * from detections where id = ${at}`), ...(at % 977 === 0 ? [tag("error", true)] : [])],
    });
  }
  return traceOf(MANY_ID, ["nemotron-backend", "postgres", "redis", "yolo26"], spans);
}

/** A trace in which everything is odd that can be. */
export function odd(endUs: number): TraceOf {
  const start = endUs - 5_000_000;
  const long = "x".repeat(9000);
  return traceOf(ODD_ID, ["frontend", "nemotron-backend", "yolo26"], [
    { id: hex(1, 16), name: "GET /events", process: "p1", start, duration: 900_000, tags: [tag("http.method", "GET"), tag("note", EVIL)] },
    {
      id: hex(2, 16),
      parent: hex(1, 16),
      name: EVIL,
      process: "p2",
      start: start + 100_000,
      duration: 700_000,
      tags: [tag("error", true), tag("otel.status_description", "model is gone\u0007\u202e"), tag("prompt", long)],
      logs: [
        { timestamp: start + 300_000, fields: [tag("event", "exception"), tag("exception.message", "no GPU"), tag("exception.stacktrace", "Traceback:\n  line 1\n  line 2")] },
        { timestamp: start + 200_000, fields: [tag("event", "retry")] },
      ],
      warnings: ["the clock was set back"],
    },
    // Its machine's clock is an hour behind.
    { id: hex(3, 16), parent: hex(2, 16), name: "detect", process: "p3", start: start - 3_600_000_000, duration: 200_000 },
    { id: hex(4, 16), parent: hex(0xdead, 16), name: "orphan", process: "p2", start: start + 400_000, duration: 10_000 },
    {
      id: hex(5, 16),
      name: "publish",
      process: "p2",
      start: start + 750_000,
      duration: 20_000,
      references: [
        { refType: "FOLLOWS_FROM", traceID: ODD_ID, spanID: hex(2, 16) },
        { refType: "FOLLOWS_FROM", traceID: MANY_ID, spanID: hex(5, 16) },
      ],
    },
  ]);
}

export const usualId = (at: number): string => hex(0xabc000 + at, 32);

/** A usual trace through five services; every seventh has an error, every fifth asks the cache twice. */
export function usual(at: number, endUs: number): TraceOf {
  const length = 40_000 + ((at * 7919) % 97) ** 2 * 90;
  const start = endUs - 20_000_000 - at * 37_000_000;
  const bad = at % 7 === 3;
  const part = (share: number): number => Math.round(length * share);
  const spans: SpanOf[] = [
    { id: hex(at * 100 + 1, 16), name: at % 2 === 0 ? "POST /api/detections" : "GET /api/events", process: "p1", start, duration: length, tags: [tag("http.status_code", bad ? 500 : 200), tag("span.kind", "server")] },
    { id: hex(at * 100 + 2, 16), parent: hex(at * 100 + 1, 16), name: "redis GET", process: "p2", start: start + part(0.03), duration: part(0.05) },
    { id: hex(at * 100 + 3, 16), parent: hex(at * 100 + 1, 16), name: "detect", process: "p3", start: start + part(0.1), duration: part(0.5), tags: bad ? [tag("error", true)] : [] },
    { id: hex(at * 100 + 4, 16), parent: hex(at * 100 + 3, 16), name: "infer", process: "p3", start: start + part(0.12), duration: part(0.44), logs: [{ timestamp: start + part(0.3), fields: [tag("event", "batch ready")] }] },
    { id: hex(at * 100 + 5, 16), parent: hex(at * 100 + 1, 16), name: "llm_inference", process: "p4", start: start + part(0.62), duration: part(0.2) },
    { id: hex(at * 100 + 6, 16), parent: hex(at * 100 + 1, 16), name: "INSERT events", process: "p5", start: start + part(0.83), duration: part(0.14), tags: [tag("db.system", "postgresql")] },
  ];
  if (at % 5 === 0) spans.push({ id: hex(at * 100 + 7, 16), parent: hex(at * 100 + 1, 16), name: "redis GET", process: "p2", start: start + part(0.97), duration: part(0.02) });
  return traceOf(usualId(at), ["nemotron-backend", "redis", "yolo26", "llm", "postgres"], spans);
}

const CALLS: readonly [string, string, number][] = [
  ["frontend", "nemotron-backend", 8123],
  ["nemotron-backend", "redis", 20_412],
  ["nemotron-backend", "postgres", 9131],
  ["nemotron-backend", "yolo26", 4102],
  ["nemotron-backend", "llm", 991],
  ["yolo26", "redis", 612],
  ["file-watcher", "redis", 5120],
  ["llm", "nemotron-backend", 12],
  ["nemotron-backend", "nemotron-backend", 40],
];

function failed(status: number, msg: string): Reply {
  return { status, body: { data: null, total: 0, limit: 0, offset: 0, errors: [{ code: status, msg }] } };
}
function ready(data: unknown[]): Reply {
  return { body: { data, total: data.length, limit: 0, offset: 0, errors: null } };
}

const UNITS: Record<string, number> = { us: 1, ms: 1000, s: 1e6 };
function microseconds(text: string | null): number | undefined {
  const found = /^([\d.]+)(us|ms|s)$/.exec(text ?? "");
  return found ? Number(found[1]) * (UNITS[found[2] ?? ""] ?? 0) : undefined;
}

export class Tracing {
  readonly endUs = Date.now() * 1000;
  traces: TraceOf[] = [many(this.endUs), odd(this.endUs), ...Array.from({ length: 60 }, (_, at) => usual(at, this.endUs))];
  calls = CALLS;

  readonly handler: Handler = ({ path, params }) => {
    if (!path.startsWith("/jaeger/api/")) return undefined;
    const [, service] = /^\/jaeger\/api\/services\/([^/]+)\/operations$/.exec(path) ?? [];
    if (service !== undefined) return ready([...new Set(this.#spans(decodeURIComponent(service)).map((it) => it["operationName"]))]);
    const [, id] = /^\/jaeger\/api\/traces\/([^/]+)$/.exec(path) ?? [];
    if (id !== undefined) {
      const found = this.traces.find((it) => it.traceID === id.padStart(32, "0"));
      return found ? ready([found]) : failed(404, "trace not found");
    }
    switch (path) {
      case "/jaeger/api/services":
        return ready([...new Set(this.traces.flatMap((it) => Object.values(it.processes).map((process) => process["serviceName"])))]);
      case "/jaeger/api/traces":
        return this.#found(params);
      case "/jaeger/api/dependencies":
        return ready(this.calls.map(([parent, child, callCount]) => ({ parent, child, callCount })));
      default:
        return undefined;
    }
  };

  #spans(service: string): Fields[] {
    return this.traces.flatMap((it) => it.spans.filter((span) => it.processes[String(span["processID"])]?.["serviceName"] === service));
  }

  #found(params: URLSearchParams): Reply {
    const [least, most] = [microseconds(params.get("minDuration")) ?? 0, microseconds(params.get("maxDuration")) ?? Infinity];
    if (params.get("tags")?.includes("refused")) return failed(400, "tags that are refused here");
    const wanted = Object.entries(JSON.parse(params.get("tags") ?? "{}") as Record<string, string>);
    const fits = (it: TraceOf, span: Fields): boolean =>
      it.processes[String(span["processID"])]?.["serviceName"] === params.get("service") &&
      (params.get("operation") ?? span["operationName"]) === span["operationName"] &&
      Number(span["duration"]) >= least &&
      Number(span["duration"]) <= most &&
      Number(span["startTime"]) >= Number(params.get("start")) &&
      Number(span["startTime"]) <= Number(params.get("end")) &&
      wanted.every(([key, value]) => (span["tags"] as Fields[]).some((tag) => tag["key"] === key && String(tag["value"]) === value));
    const found = this.traces.filter((it) => it.spans.some((span) => fits(it, span)));
    return ready(found.slice(0, Number(params.get("limit") ?? 20)));
  }
}
