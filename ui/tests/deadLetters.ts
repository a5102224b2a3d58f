// A scripted server of dead letters that remembers: requeueing and clearing take jobs away, so that a test sees what was done.
// Not Watchfire: real.test.ts shows the same flows on the real one.
import type { Handler, Reply } from "./mock.ts";

interface Job {
  id: string;
  [key: string]: unknown;
}

export class DeadLetters {
  readonly queues = new Map<string, Job[]>();
  /** Bodies of requests that changed something, as "POST /path". */
  readonly changes: string[] = [];
  /** What lay in a queue when it was cleared. */
  readonly cleared = new Map<string, { queue: string; jobs: Job[]; restored: boolean }>();
  constructor(counts: Record<string, number> = { "dlq:detection_queue": 45, "dlq:analysis_queue": 1, "dlq:overflow:detection_queue": 2 }) {
    for (const [name, count] of Object.entries(counts)) this.queues.set(name, Array.from({ length: count }, (_, index) => job(name, index)));
  }

  get total(): number {
    return [...this.queues.values()].reduce((sum, it) => sum + it.length, 0);
  }

  readonly handler: Handler = ({ method, path, params }) => {
    if (!path.startsWith("/api/dlq/")) return undefined;
    if (method !== "GET") this.changes.push(`${method} ${path}${[...params].map(([key, value]) => `?${key}=${value}`).join("")}`);
    const [, , , verb = "", name = "", id = ""] = path.split("/").map(decodeURIComponent);
    if (verb === "undo") return this.#undo(method, name);
    if (verb === "audit") {
      const all = this.changes.map((what) => ({ at: "2025-12-30T10:15:00Z", who: "ada", via: "session", what: what.split(" ")[0], queue_name: what.split("/").at(-1), count: 1, note: "" }));
      return { body: all };
    }
    if (verb === "stats") return { body: this.#stats() };
    if (verb === "jobs" && id !== "") return this.#one(name, id);
    if (verb === "jobs") return this.#page(name, Number(params.get("start")), Number(params.get("limit")));
    if (verb === "requeue") return this.#requeue(name, params.get("id") ?? undefined);
    if (verb === "requeue-all") return this.#all(name);
    if (method === "DELETE") return this.#clear(verb);
    return undefined;
  };

  #stats(): unknown {
    const count = (name: string): number => this.queues.get(name)?.length ?? 0;
    const detection = count("dlq:detection_queue");
    const analysis = count("dlq:analysis_queue");
    return {
      detection_queue_count: detection,
      analysis_queue_count: analysis,
      total_count: [...this.queues].filter(([name]) => !name.includes("overflow")).reduce((sum, [, jobs]) => sum + jobs.length, 0),
      overflow_count: [...this.queues].filter(([name]) => name.includes("overflow")).reduce((sum, [, jobs]) => sum + jobs.length, 0),
      queues: [...this.queues].map(([name, jobs]) => ({
        queue_name: name,
        kind: name.includes("overflow") ? "overflow" : "failed",
        original_queue: name.split(":").at(-1),
        count: jobs.length,
        requeueing: false,
      })),
      backend: "embedded",
    };
  }

  #page(name: string, start: number, limit: number): Reply {
    const jobs = this.queues.get(name);
    if (!jobs) return { status: 422, body: { error: { code: "invalid_parameter", message: `no queue is called ${name}` } } };
    return { body: { jobs: jobs.slice(start, start + limit), queue_name: name, start, limit, total: jobs.length } };
  }

  #one(name: string, id: string): Reply {
    const found = this.queues.get(name)?.find((it) => it.id === id);
    return found ? { body: found } : { status: 404, body: { error: { code: "not_found", message: "there is no such job" } } };
  }

  #requeue(name: string, id: string | undefined): Reply {
    const jobs = this.queues.get(name) ?? [];
    const at = jobs.findIndex((it) => it.id === id);
    if (at < 0) return { status: 404, body: { error: { code: "not_found", message: "there is no such job" } } };
    jobs.splice(at, 1);
    return { body: { success: true, message: `Requeued 1 job from ${name}`, job: null } };
  }

  #all(name: string): Reply {
    const jobs = this.queues.get(name) ?? [];
    if (jobs.length === 0) return { body: { success: false, message: `No jobs to requeue from ${name}` } };
    const count = jobs.splice(0).length;
    return { body: { success: true, message: `Requeued ${count} jobs from ${name}` } };
  }

  #clear(name: string): Reply {
    const jobs = this.queues.get(name) ?? [];
    const gone = jobs.splice(0);
    const undo = `undo-${this.cleared.size + 1}`;
    this.cleared.set(undo, { queue: name, jobs: gone, restored: false });
    return { body: { success: true, message: `Cleared ${gone.length} jobs from ${name}`, queue_name: name, count: gone.length, undo } };
  }

  #undo(method: string, name: string): Reply {
    if (method === "GET") {
      const files = [...this.cleared].map(([file, it]) => ({ name: file, queue_name: it.queue, cleared_at: "2025-12-30T10:15:00Z", bytes: 100, restored: it.restored }));
      return { body: files };
    }
    const file = this.cleared.get(name);
    if (!file) return { status: 404, body: { error: { code: "not_found", message: "there is no such undo file" } } };
    file.restored = true;
    this.queues.get(file.queue)?.push(...file.jobs);
    return { body: { success: true, message: `Restored ${file.jobs.length} jobs to ${file.queue}`, queue_name: file.queue, count: file.jobs.length } };
  }
}

function job(queue: string, index: number): Job {
  const at = (seconds: number): string => new Date(Date.UTC(2025, 11, 30, 10, index, seconds)).toISOString().replace(".000", "");
  if (queue.includes("overflow")) {
    return {
      id: `o${index}`,
      original_job: { file_path: `/export/foscam/garage/image${index}.jpg`, camera_id: "garage" },
      error: "the queue was full",
      attempt_count: 0,
      first_failed_at: at(0),
      last_failed_at: at(0),
      queue_name: "detection_queue",
      dlq_name: queue,
      reason: "queue_overflow",
    };
  }
  return {
    id: `${queue.slice(4, 5)}${index}`,
    original_job: { file_path: `/export/foscam/front_door/image${String(index).padStart(3, "0")}.jpg`, camera_id: "front_door" },
    error: index % 3 === 0 ? "Connection timeout to RT-DETRv2" : `Nemotron answered 503: model is loading (try ${index})`,
    attempt_count: 3,
    first_failed_at: at(0),
    last_failed_at: at(30),
    queue_name: queue.slice(4),
    error_type: "TimeoutError",
    stack_trace: 'Traceback (most recent call last):\n  File "detector.py", line 88, in detect',
    http_status: 503,
    response_body: null,
    retry_delays: [1.1, 2.3],
    context: { detection_queue_depth: 12 },
  };
}
