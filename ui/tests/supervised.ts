// What a server answers that supervises services in every state; restarts and maintenance are remembered. Not supervision.
import type { Handler } from "./mock.ts";

const HOUR_MS = 3_600_000;
const ago = (hours: number): string => new Date(Date.now() - hours * HOUR_MS).toISOString();

type Fields = Record<string, unknown>;
function service(name: string, status: string | null, more: Fields = {}): Fields {
  return {
    name,
    status,
    since: status === null ? null : ago(26),
    message: status === "healthy" ? "" : "Health check failed",
    check: { kind: "http", target: `http://localhost:8090/health`, interval_seconds: 15, timeout_seconds: 5 },
    last_check: status === null ? null : { at: ago(0.002), duration_ms: 12, outcome: status === "healthy" ? "healthy" : "failed" },
    next_check: ago(-0.003),
    last_error: status === "healthy" || status === null ? null : "connection refused",
    consecutive_failures: status === "healthy" ? 0 : 3,
    failures_needed: 2,
    restart: `docker restart ${name}`,
    attempts: 0,
    max_retries: 3,
    backoff_base_seconds: 5,
    restarts: 0,
    restarts_recent: 0,
    restarts_max: 3,
    next_restart: null,
    withheld: null,
    depends_on: [],
    maintenance: null,
    ...more,
  };
}

export class Supervision {
  readonly changes: string[] = [];
  readonly services: Fields[] = [
    service("clip", "failed", { attempts: 3, restarts: 11, message: "gave up after 3 restarts" }),
    service("florence", "unhealthy", {
      maintenance: { kind: "one_off", until: ago(-2), reason: "new model weights", by: "ada" },
      withheld: { reason: "maintenance", message: "not restarted during maintenance" },
    }),
    service("nemotron", "restarting", { attempts: 1, restarts: 4, next_check: null, message: "restart 1 of 3" }),
    service("redis", "healthy", { restart: null, check: { kind: "redis", target: "127.0.0.1:6379", interval_seconds: 15, timeout_seconds: 5 } }),
    service("rtdetr", "healthy", { restarts: 2, depends_on: ["redis"] }),
    service("yolo26", "restart_failed", { attempts: 2, restarts: 6, next_restart: ago(-0.005) }),
    service("enrichment", null, { message: "not checked yet" }),
  ];

  readonly handler: Handler = ({ method, path, body }) => {
    if (!path.startsWith("/api/system/services")) return undefined;
    const [, , , , name, what] = path.split("/");
    if (name === undefined) return { body: { services: this.services, timestamp: ago(0) } };
    if (method !== "GET") this.changes.push(`${method} ${path}${body === "" ? "" : ` ${body}`}`);
    const found = this.services.find((it) => it["name"] === name);
    if (name === "audit") return { body: { records: [{ timestamp: ago(1), who: "ada", via: "session", action: "restart", service: "rtdetr", how: "docker restart rtdetr", outcome: "done", detail: null }], count: 1 } };
    if (!found) return { status: 404, body: { error: { code: "not_found", message: "there is no such service" } } };
    if (what === "history") return { body: { service: name, events: events(name), count: 3 } };
    if (what === "restart") {
      found["status"] = "restarting";
      return { status: 202, body: { service: name, status: "restarting" } };
    }
    if (method === "DELETE") {
      found["maintenance"] = null;
      return { status: 204, body: "" };
    }
    const { reason } = JSON.parse(body);
    found["maintenance"] = { kind: "one_off", until: ago(-1), reason, by: "ada" };
    return { body: found["maintenance"] };
  };
}

function events(service: string): Fields[] {
  return [
    { timestamp: ago(2), service, event_type: "recovery", status: "healthy", message: "Service recovered", detail: null },
    { timestamp: ago(2.01), service, event_type: "restart", status: "restarting", message: "restart 1 of 3", detail: null },
    { timestamp: ago(2.02), service, event_type: "failure", status: "unhealthy", message: "Health check failed", detail: "connection refused" },
  ];
}
