// A scripted server for dashboards: a store with versions, folders, data sources, and answers to queries whose series are waves of known
// height. Batched or one by one. Not the server itself.
import { series, type Shape, wave } from "./answers.ts";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Asked, Handler, Reply } from "./mock.ts";

type Fields = Record<string, unknown>;

export function boardFile(name: string): Fields {
  return JSON.parse(readFileSync(join(import.meta.dirname, "boards", `${name}.json`), "utf8")) as Fields;
}

interface Kept {
  raw: Fields;
  folder: string;
  versions: { version: number; raw: Fields; message: string; created: string }[];
}

/** Series for an expression: tests may put theirs in front. */
export type Known = (expr: string) => Shape[] | undefined;

const SOURCES = [
  { uid: "watchfire-prometheus", name: "Prometheus", type: "prometheus", isDefault: true },
  { uid: "watchfire-loki", name: "Loki", type: "loki", isDefault: false },
  { uid: "watchfire-tempo", name: "Tempo", type: "tempo", isDefault: false },
  { uid: "watchfire-pyroscope", name: "Pyroscope", type: "grafana-pyroscope-datasource", isDefault: false },
];

export class Boarding {
  readonly boards = new Map<string, Kept>();
  readonly batches: { from: number; to: number; queries: Fields[] }[] = [];
  readonly saves: Fields[] = [];
  batched = true;
  failing = new Map<string, string>();
  known: Known = ordinary;
  lines: (expr: string) => Fields[] | undefined = logLines;
  values: Record<string, string[]> = { instance: ["db-1:9100", "web-1:9100", "web-2:9100"], job: ["node", "web"], device: ["eth0", "eth1", "lo"], __name__: ["node_load1", "node_load5", "up"] };

  constructor(...names: string[]) {
    for (const name of names) this.put(boardFile(name), "Examples");
  }

  put(raw: Fields, folder = ""): void {
    const uid = String(raw["uid"]);
    this.boards.set(uid, { raw: { ...raw, version: 1 }, folder, versions: [{ version: 1, raw: { ...raw, version: 1 }, message: "", created: "2026-03-01T09:00:00Z" }] });
  }

  handler: Handler = (asked) => this.#boards(asked) ?? this.#data(asked);

  #boards({ method, path, body }: Asked): Reply | undefined {
    const uid = /^\/api\/dashboards\/uid\/([^/]+)(?:\/(versions|restore))?(?:\/(\d+))?$/.exec(path);
    const kept = uid ? this.boards.get(decodeURIComponent(uid[1] ?? "")) : undefined;
    if (path === "/api/search") return { body: [...this.boards].map(([key, it]) => ({ uid: key, title: it.raw["title"], tags: it.raw["tags"] ?? [], type: "dash-db", url: `/d/${key}/board`, folderTitle: it.folder || undefined, folderUid: it.folder.toLowerCase() || undefined, isStarred: false })) };
    if (path === "/api/folders") return { body: [{ uid: "examples", title: "Examples" }] };
    if (path === "/api/datasources") return { body: SOURCES };
    if (path === "/api/dashboards/db" && method === "POST") return this.#save(JSON.parse(body) as Fields);
    if (uid && !kept) return { status: 404, body: { message: "Dashboard not found" } };
    if (!uid || !kept) return undefined;
    if (uid[2] === "versions" && uid[3] !== undefined) return { body: { version: Number(uid[3]), data: kept.versions.find((it) => it.version === Number(uid[3]))?.raw } };
    if (uid[2] === "versions") return { body: { versions: [...kept.versions].reverse().map(({ raw: _, ...it }) => ({ ...it, createdBy: "ada" })) } };
    if (uid[2] === "restore") return this.#restore(kept, Number((JSON.parse(body) as Fields)["version"]));
    if (method === "DELETE") {
      this.boards.delete(String(kept.raw["uid"]));
      return { body: { title: kept.raw["title"], message: "deleted" } };
    }
    return { body: { dashboard: kept.raw, meta: { folderTitle: kept.folder, folderUid: kept.folder.toLowerCase(), canSave: true, provisioned: false, version: kept.raw["version"], slug: "board" } } };
  }

  #save(asked: Fields): Reply {
    this.saves.push(asked);
    const raw = asked["dashboard"] as Fields;
    const uid = String(raw["uid"] || `made-${this.boards.size}`);
    const before = this.boards.get(uid);
    const now = Number(before?.raw["version"] ?? 0);
    if (before && asked["overwrite"] !== true && raw["version"] !== now) return { status: 412, body: { message: "The dashboard has been changed by someone else", status: "version-mismatch" } };
    const next = { ...raw, uid, version: now + 1 };
    const version = { version: now + 1, raw: next, message: String(asked["message"] ?? ""), created: "2026-03-01T10:00:00Z" };
    this.boards.set(uid, { raw: next, folder: asked["folderUid"] === "examples" ? "Examples" : "", versions: [...(before?.versions ?? []), version] });
    return { body: { id: 1, uid, url: `/d/${uid}/board`, status: "success", version: now + 1, slug: "board" } };
  }

  #restore(kept: Kept, version: number): Reply {
    const found = kept.versions.find((it) => it.version === version);
    if (!found) return { status: 404, body: { message: "no such version" } };
    const next = { ...found.raw, version: Number(kept.raw["version"]) + 1 };
    kept.raw = next;
    kept.versions.push({ version: next.version, raw: next, message: `Restored from version ${version}`, created: "2026-03-01T11:00:00Z" });
    return { body: { status: "success", version: next.version } };
  }

  #data(asked: Asked): Reply | undefined {
    const { path, params, body } = asked;
    const value = /^\/(?:api|loki\/api)\/v1\/label\/([^/]+)\/values$/.exec(path);
    if (value) return { body: { status: "success", data: this.values[decodeURIComponent(value[1] ?? "")] ?? [] } };
    if (/^\/(?:api|loki\/api)\/v1\/labels$/.test(path)) return { body: { status: "success", data: Object.keys(this.values) } };
    if (path === "/api/dashboards/query") {
      if (!this.batched) return { status: 404, body: { message: "not found" } };
      const batch = JSON.parse(body) as { from: number; to: number; queries: Fields[] };
      this.batches.push(batch);
      return { body: { results: batch.queries.map((it) => this.#one(it, batch)) } };
    }
    if (path === "/api/v1/query" || path === "/api/v1/query_range") {
      const failure = this.failing.get(params.get("query") ?? "");
      if (failure !== undefined) return { status: 422, body: { status: "error", errorType: "execution", error: failure } };
      return series(this.known)(asked);
    }
    if (path === "/loki/api/v1/query_range" || path === "/loki/api/v1/query") {
      const streams = this.lines(params.get("query") ?? "");
      if (streams) return { body: { status: "success", data: { resultType: "streams", result: streams } } };
      const [start, end] = [Number(params.get("start")) / 1e9, Number(params.get("end")) / 1e9];
      const query = new URLSearchParams({ query: params.get("query") ?? "", start: String(start), end: String(end), step: (params.get("step") ?? "60").replace("s", "") });
      return series(this.known)({ ...asked, path: "/api/v1/query_range", params: query });
    }
    return undefined;
  }

  #one(query: Fields, { from, to }: { from: number; to: number }): Fields {
    const ref = query["ref"];
    const failure = this.failing.get(String(query["expr"]));
    if (failure !== undefined) return { ref, status: "error", error: failure };
    const params = new URLSearchParams({ query: String(query["expr"]), start: String(from / 1000), end: String(to / 1000), step: String(query["step"] ?? "15s").replace(/s$/, "") });
    const path = query["type"] === "instant" ? "/api/v1/query" : "/api/v1/query_range";
    const reply = series(this.known)({ method: "GET", path, params, body: "", cookie: "" });
    const data = (reply?.body as Fields | undefined)?.["data"];
    return data === undefined ? { ref, status: "success", data: { resultType: "matrix", result: [] } } : { ref, status: "success", data };
  }
}

const one = (at: (time: number) => number, labels: Record<string, string> = {}): Shape => ({ labels, at });
const INSTANCES = ["db-1:9100", "web-1:9100", "web-2:9100"];

/** What a house with three machines answers. */
export function ordinary(expr: string): Shape[] | undefined {
  if (/nothing_here/.test(expr)) return [];
  const fixed = /fixed_value\{v="(-?[\d.]+)"\}/.exec(expr);
  if (fixed) return [one(() => Number(fixed[1]))];
  if (/three_values/.test(expr)) return [30, 60, 90].map((value, at) => one(() => value, { name: ["low", "middle", "high"][at] ?? "" }));
  if (/_bucket/.test(expr)) return ["0.1", "0.5", "1", "5", "+Inf"].map((le, at) => one((t) => (at + 1) * 10 + wave(t, 900, 0, 5 * (at + 1)), { le }));
  if (/^changes/.test(expr)) return [one((t) => (Math.floor(t / 60) % 97 < 2 ? 1 : 0), { instance: "db-1" })];
  if (/state_of/.test(expr)) return ["gate", "yard"].map((camera, at) => one((t) => Math.floor(t / 1200 + at) % 3, { camera }));
  if (/^label_join|info|uname/.test(expr)) return INSTANCES.map((instance, at) => one(() => 1, { instance, nodename: instance.split(":")[0] ?? "", release: `6.1.${at}`, job: "node" }));
  if (/up\b/.test(expr)) return INSTANCES.map((instance, at) => one(() => (at === 2 ? 0 : 1), { __name__: "up", instance, job: "node" }));
  if (/mode|cpu/.test(expr)) return ["user", "system", "iowait", "idle"].map((mode, at) => one((t) => wave(t, 900 * (at + 1), 4, 22), { mode }));
  if (/bytes|memory/i.test(expr)) return INSTANCES.map((instance, at) => one((t) => wave(t, 2400, 3 + at, 6 + at) * 2 ** 30, { instance }));
  const wanted = /instance=~?"([^"]+)"/.exec(expr)?.[1];
  const pattern = wanted === undefined ? undefined : new RegExp(`^(?:${wanted.replace(/\\\\/g, "\\")})$`);
  return INSTANCES.filter((it) => pattern?.test(it) ?? true).map((instance, at) => one((t) => wave(t, 1100 + at * 300, 0.4 + at, 1.6 + at), { __name__: "some_metric", instance, job: "node" }));
}

export function logLines(expr: string): Fields[] | undefined {
  if (!expr.trimStart().startsWith("{")) return undefined;
  const now = Date.now();
  const levels = ["info", "warn", "error", "info", "debug"];
  const values = Array.from({ length: 40 }, (_, at) => [`${now - at * 7000}000000`, `level=${levels[at % 5]} msg="request ${at} done" took=${at * 3}ms`]);
  return [{ stream: { job: "web", instance: "web-1" }, values }];
}
