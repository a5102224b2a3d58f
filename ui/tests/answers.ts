// What a healthy machine with a GPU answers, for the scripted server. Figures are functions of time, so that charts have a shape.
// Not recorded data.
import type { Asked, Handler, Reply } from "./mock.ts";

export const GPU = {
  gpu_name: "NVIDIA RTX A5500",
  gpu_utilization: 45.0,
  memory_used: 8192,
  memory_total: 24_576,
  temperature: 62.0,
  power_usage: 125.5,
  power_limit: 230.0,
  inference_fps: null,
  recorded_at: "2025-12-30T10:15:00Z",
};
export const STORAGE = {
  disk_used_bytes: 234 * 2 ** 30,
  disk_total_bytes: 476 * 2 ** 30,
  disk_free_bytes: 242 * 2 ** 30,
  disk_usage_percent: 49.16,
  thumbnails: null,
  images: null,
  clips: null,
  events_count: 1208,
  detections_count: 48_211,
  gpu_stats_count: null,
  logs_count: null,
  timestamp: "2025-12-30T10:15:00Z",
  data_dir: "/var/lib/watchfire",
  total_bytes: 412 * 2 ** 20,
  size_max: 2 * 2 ** 30,
  failure: null,
  offline: null,
  log_bytes: 31 * 2 ** 20,
  state_bytes: 131_072,
  signals: {
    metrics: {
      series: 1284,
      samples: 9_120_000,
      segments: 42,
      segment_bytes: 380 * 2 ** 20,
      oldest: "2025-12-01T00:00:00Z",
      newest: "2025-12-30T10:15:00Z",
      retention_seconds: 30 * 86_400,
    },
  },
};
export const PREVIEW = {
  events_deleted: 0,
  space_reclaimed: 24 * 2 ** 20,
  retention_days: 30,
  retention_seconds: 30 * 86_400,
  dry_run: true,
  timestamp: "2025-12-30T10:15:00Z",
  segments_deleted: 3,
  samples_deleted: 1_200_000,
  keep_from: "2025-11-30T10:15:00Z",
  held: false,
};
export const NO_GPU = {
  gpu_name: "Mock GPU (No NVIDIA GPU Available)",
  gpu_utilization: null,
  memory_used: null,
  memory_total: null,
  temperature: null,
  power_usage: null,
};

export type Labels = Record<string, string>;
export type Shape = { labels: Labels; at: (time: number) => number };

const GIB = 2 ** 30;
export const wave = (time: number, period: number, from: number, to: number): number =>
  from + ((to - from) * (1 + Math.sin((time * 2 * Math.PI) / period) * 0.7 + Math.sin((time * 2 * Math.PI) / (period / 5.3)) * 0.3)) / 2;

function shapes(expr: string): Shape[] {
  const one = (at: (time: number) => number, labels: Labels = {}): Shape => ({ labels, at });
  const rules: [RegExp, Shape[]][] = [
    [/avg by \(mode\)/, cpu()],
    [/count\(count by \(cpu\)/, [one(() => 8)]],
    [/MemTotal_bytes.* - /, [one((t) => wave(t, 2400, 9, 14) * GIB)]],
    [/node_memory_\(/, memory()],
    [/node_filesystem_\(/, filesystems()],
    [/node_disk_read/, [one((t) => wave(t, 700, 2e5, 9e6))]],
    [/node_disk_written/, [one((t) => wave(t, 1100, 1e6, 2.4e7))]],
    [/^sum\(rate\(node_network_receive/, [one((t) => wave(t, 900, 1e5, 4e6))]],
    [/^sum\(rate\(node_network_transmit/, [one((t) => wave(t, 1300, 5e4, 9e5))]],
    [/^rate\(node_network_receive/, ["lo", "eth0", "docker0", "wlan0"].map((device, i) => one((t) => wave(t, 900, 10, 10 ** (6 - i)), { device }))],
    [/^rate\(node_network_transmit/, ["lo", "eth0", "docker0", "wlan0"].map((device, i) => one((t) => wave(t, 700, 10, 10 ** (5 - i)), { device }))],
    [/^node_boot_time_seconds/, [one((t) => t - 273_840, { __name__: "node_boot_time_seconds" })]],
    [/node_load\(/, ["1", "5", "15"].map((m) => one((t) => wave(t, Number(m) * 600, 1.2, 3.4), { __name__: `node_load${m}` }))],
    [/hwmon/, temperatures()],
    [/queue_depth/, []],
    [/process_resident/, [one(() => 38.4 * 2 ** 20, { __name__: "process_resident_memory_bytes" }), one((t) => t - 7440, { __name__: "process_start_time_seconds" })]],
    [/watchfire_storage_samples_appended/, [one((t) => wave(t, 600, 61, 64))]],
    [/^count by \(instance\)/, [one(() => 1, { instance: "localhost" })]],
    [/^up$/, [one(() => 1, { __name__: "up", job: "node", instance: "localhost" }), one(() => 0, { __name__: "up", job: "blackbox", instance: "10.0.0.7:9115" })]],
  ];
  return rules.find(([rule]) => rule.test(expr))?.[1] ?? [];
}

function cpu(): Shape[] {
  const mode = (mode: string, at: (time: number) => number): Shape => ({ labels: { mode }, at });
  const user = (t: number): number => wave(t, 1500, 8, 34);
  const system = (t: number): number => wave(t, 800, 3, 9);
  const iowait = (t: number): number => wave(t, 400, 0, 4);
  const softirq = (t: number): number => wave(t, 1900, 0.2, 1);
  return [
    mode("user", user),
    mode("system", system),
    mode("iowait", iowait),
    mode("softirq", softirq),
    mode("idle", (t) => 100 - user(t) - system(t) - iowait(t) - softirq(t)),
  ];
}

function memory(): Shape[] {
  const values: Labels = { MemTotal: "31.2", MemAvailable: "18.7", MemFree: "6.1", SwapTotal: "2", SwapFree: "1.6" };
  return Object.entries(values).map(([name, gib]) => ({ labels: { __name__: `node_memory_${name}_bytes` }, at: () => Number(gib) * GIB }));
}

function filesystems(): Shape[] {
  const disks: [string, string, string, number, number][] = [
    ["/dev/nvme0n1p2", "/", "ext4", 234, 71],
    ["/dev/nvme0n1p1", "/boot/efi", "vfat", 0.5, 0.49],
    ["/dev/sda1", "/srv/cameras", "xfs", 3726, 320],
    ["tmpfs", "/run", "tmpfs", 3, 2.9],
  ];
  return disks.flatMap(([device, mountpoint, fstype, size, free]) =>
    Object.entries({ size, free, avail: free * 0.97 }).map(([field, gib]) => ({
      labels: { __name__: `node_filesystem_${field}_bytes`, device, mountpoint, fstype },
      at: () => gib * GIB,
    })),
  );
}

function temperatures(): Shape[] {
  const sensor = (chip: string, name: string, base: number): Shape => ({
    labels: { __name__: "node_hwmon_temp_celsius", chip, sensor: name },
    at: (t) => wave(t, 1700, base, base + 9),
  });
  return [sensor("platform_coretemp_0", "temp1", 48), sensor("nvme_nvme0", "temp1", 41), sensor("platform_coretemp_0", "temp2", 45)];
}

const success = (data: unknown): Reply => ({ body: { status: "success", data } });

/** Answers queries whose series it knows, at one time and over a range. */
export function series(known: (expr: string) => Shape[] | undefined): Handler {
  return ({ path, params }) => {
    const found = path === "/api/v1/query" || path === "/api/v1/query_range" ? known(params.get("query") ?? "") : undefined;
    if (!found) return undefined;
    if (path === "/api/v1/query") {
      const now = Date.now() / 1000;
      return success({ resultType: "vector", result: found.map(({ labels, at }) => ({ metric: labels, value: [now, String(at(now))] })) });
    }
    const [start, end, step] = ["start", "end", "step"].map((it) => Number(params.get(it))) as [number, number, number];
    const times = Array.from({ length: Math.floor((end - start) / step) + 1 }, (_, row) => start + row * step);
    return success({ resultType: "matrix", result: found.map(({ labels, at }) => ({ metric: labels, values: times.map((t) => [t, String(at(t))]) })) });
  };
}

export function prometheus(asked: Asked): Reply | undefined {
  const { path, params } = asked;
  const expr = params.get("query") ?? "";
  if (path === "/api/v1/query" || path === "/api/v1/query_range") {
    if (expr.startsWith("sum(") && !expr.endsWith(")")) return parseError(expr);
    return series(shapes)(asked);
  }
  if (path === "/api/v1/query_exemplars") {
    const exemplar = { labels: { trace_id: "1234abcd5678ef901234abcd5678ef90" }, value: "0.25", timestamp: Date.now() / 1000 - 300 };
    return success(expr === "up" ? [{ seriesLabels: { __name__: "up" }, exemplars: [exemplar] }] : []);
  }
  if (path === "/api/v1/label/__name__/values") return success(["node_load1", "node_load15", "node_load5", "node_memory_MemTotal_bytes", "up"]);
  if (path === "/api/v1/targets") return success({ activeTargets: ["up", "up", "down"].map((health) => ({ health })), droppedTargets: [] });
  if (path === "/api/v1/status/tsdb") return success({ headStats: { numSeries: 1284 } });
  return undefined;
}

function parseError(expr: string): Reply {
  const error = `invalid parameter "query": 1:${expr.length + 1}: parse error: unclosed left parenthesis`;
  return { status: 400, body: { status: "error", errorType: "bad_data", error } };
}

export function native({ path }: Asked): Reply | undefined {
  switch (path) {
    case "/api/auth/session":
      return { body: { authenticated: true, user: null, level: "admin", auth_enabled: false, insecure: false } };
    case "/api/system/gpu":
      return { body: GPU };
    case "/api/system/gpu/history":
      return { body: gpuHistory() };
    case "/api/system/health":
      return {
        body: {
          status: "healthy",
          services: { database: "healthy", redis: "not_configured", rtdetr: "healthy", nemotron: "not_configured" },
          timestamp: "2025-12-30T10:15:00Z",
        },
      };
    case "/api/system/storage/stats":
      return { body: STORAGE };
    case "/api/system/cleanup/preview":
      return { body: PREVIEW };
    case "/api/system/telemetry":
      return { body: { queues: { detection_queue: null, analysis_queue: null }, latencies: null, timestamp: "2025-12-30T10:15:00Z" } };
    default:
      return undefined;
  }
}

function gpuHistory(): unknown[] {
  const now = Math.floor(Date.now() / 1000);
  return Array.from({ length: 361 }, (_, row) => {
    const time = now - (360 - row) * 5;
    return {
      ...GPU,
      gpu_utilization: Math.round(wave(time, 900, 12, 78)),
      memory_used: Math.round(wave(time, 1800, 7600, 9100)),
      recorded_at: new Date(time * 1000).toISOString(),
    };
  });
}

export const healthy: Handler[] = [native, prometheus];
