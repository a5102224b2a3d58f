// What is scraped, probed and looked at on a machine with a camera and two containers, for the scripted server. Not recorded data.
import { type Labels, series, type Shape } from "./answers.ts";
import type { Handler } from "./mock.ts";

const target = (pool: string, url: string, health: "up" | "down" | "unknown", lastError = ""): unknown => ({
  scrapePool: pool,
  scrapeUrl: url,
  globalUrl: url,
  health,
  lastError,
  lastScrape: health === "unknown" ? "0001-01-01T00:00:00Z" : new Date(Date.now() - 5_000).toISOString(),
  lastScrapeDuration: 0.021,
  scrapeInterval: "15s",
  scrapeTimeout: "10s",
  labels: { job: pool, instance: url.replace(/^https?:\/\/|\/.*$/g, "") },
  discoveredLabels: { __address__: url },
});
export const TARGETS = [
  target("node", "http://10.0.0.5:9100/metrics", "up"),
  target("node", "http://10.0.0.6:9100/metrics", "down", "cannot connect to 10.0.0.6:9100: connection refused"),
  target("cameras", "http://10.0.0.9:8080/a/very/long/path/that/does/not/end/for/quite/a/while/metrics", "unknown"),
];

const one = (value: number, labels: Labels): Shape => ({ labels, at: () => value });
const probe = (instance: string, values: Record<string, number>): Shape[] => Object.entries(values).map(([name, value]) => one(value, { __name__: name, job: "web", instance }));

/** What questions of the pages find, by how they begin. */
const KNOWN: [RegExp, () => Shape[]][] = [
  [
    /^\{__name__=~"probe_success/,
    () => [
      ...probe("https://shop.example", { probe_success: 1, probe_duration_seconds: 0.12, probe_http_status_code: 200, probe_ssl_earliest_cert_expiry: Date.now() / 1000 + 3 * 86_400 + 60 }),
      ...probe("http://door.local", { probe_success: 0, probe_duration_seconds: 0.5, probe_http_status_code: 503 }),
    ],
  ],
  [/^max\((scrape|probe)_duration_seconds/, () => [{ labels: {}, at: (t) => 0.02 + (t % 600) / 30_000 }]],
  [/^namedprocess_namegroup_num_procs/, () => [one(3, { groupname: "postgres", job: "processes" }), one(0, { groupname: "ffmpeg:front", job: "processes" })]],
  [/namedprocess_namegroup_cpu_seconds_total/, () => [one(12.4, { groupname: "postgres", job: "processes" })]],
  [/namedprocess_namegroup_memory_bytes/, () => [one(512 * 2 ** 20, { groupname: "postgres", job: "processes" })]],
  [/ffmpeg_progress_connected/, () => [one(1, { camera_id: "front" }), one(0, { camera_id: "garage" })]],
  [/camera_fps/, () => [one(24.9, { camera_id: "front" })]],
  [/ffmpeg_progress_speed_ratio/, () => [one(1.01, { camera_id: "front" })]],
  [/ffmpeg_process_restarts_total/, () => [one(2, { camera_id: "garage" })]],
  [/^container_memory_working_set_bytes/, () => [one(190 * 2 ** 20, { name: "db", image: "postgres:16", id: "/docker/a" }), one(20 * 2 ** 20, { name: "web", image: "nginx:1", id: "/docker/b" }), one(1, { id: "/system.slice" })]],
  [/^container_spec_memory_limit_bytes/, () => [one(200 * 2 ** 20, { name: "db", image: "postgres:16", id: "/docker/a" }), one(0, { name: "web", image: "nginx:1", id: "/docker/b" })]],
  [/container_cpu_usage_seconds_total/, () => [one(150, { name: "db", image: "postgres:16", id: "/docker/a" })]],
];

export const collected: Handler = (asked) => {
  if (asked.path === "/api/v1/targets") return { body: { status: "success", data: { activeTargets: TARGETS, droppedTargets: [] } } };
  return series((expr) => KNOWN.find(([rule]) => rule.test(expr))?.[1]())(asked);
};
