// Groups of processes, cameras' FFmpeg and containers as rows of figures, out of what was asked. Not the asking.
import type { VectorItem } from "../../api/prometheus";

/** Figures by the name that they were asked under. */
export type Figures = Record<string, readonly VectorItem[]>;

export interface Row {
  /** What the row is called, and the same beside others of that name. */
  name: string;
  key: string;
  /** What stands beside the name: other labels, an image. */
  beside: string;
  values: Record<string, number | undefined>;
}

const WINDOW = "1m30s";
const rate = (metric: string, more = ""): string => `rate(${metric}${more}[${WINDOW}])`;

/** What is asked for of groups of processes, by column. */
export const PROCESSES: Record<string, string> = {
  count: "namedprocess_namegroup_num_procs",
  cpu: `sum without (mode) (${rate("namedprocess_namegroup_cpu_seconds_total")}) * 100`,
  memory: 'sum without (memtype) (namedprocess_namegroup_memory_bytes{memtype="resident"})',
  files: "namedprocess_namegroup_open_filedesc",
  threads: "namedprocess_namegroup_num_threads",
  read: rate("namedprocess_namegroup_read_bytes_total"),
  written: rate("namedprocess_namegroup_write_bytes_total"),
  age: "time() - namedprocess_namegroup_oldest_start_time_seconds",
};

export const CAMERAS: Record<string, string> = {
  cpu: "max by (camera_id) (ffmpeg_process_cpu_percent)",
  memory: "max by (camera_id) (ffmpeg_process_memory_mb) * 1048576",
  age: "max by (camera_id) (ffmpeg_process_uptime_seconds)",
  restarts: "max by (camera_id) (ffmpeg_process_restarts_total)",
  connected: "max by (camera_id) (ffmpeg_progress_connected)",
  fps: 'max by (camera_id) (camera_fps{job="ffmpeg"})',
  speed: "max by (camera_id) (ffmpeg_progress_speed_ratio)",
  dropped: 'max by (camera_id) (increase(camera_frames_dropped_total{job="ffmpeg"}[1h]))',
};

export const CONTAINERS: Record<string, string> = {
  memory: "container_memory_working_set_bytes",
  limit: "container_spec_memory_limit_bytes",
  cpu: `sum without (cpu) (${rate("container_cpu_usage_seconds_total", '{name!=""}')}) * 100`,
  received: `sum without (interface) (${rate("container_network_receive_bytes_total")})`,
  sent: `sum without (interface) (${rate("container_network_transmit_bytes_total")})`,
  age: "time() - container_start_time_seconds",
  restarts: "container_restarts_total",
};

const HIDDEN = new Set(["__name__", "job", "instance", "groupname", "name", "image", "id", "camera_id"]);

/** One row for each set of labels that any figure has. `nameOf` and `besideOf` say what a row is called. */
export function rows(figures: Figures, nameOf: (labels: VectorItem["labels"]) => string, besideOf: (labels: VectorItem["labels"]) => string = others): Row[] {
  const found = new Map<string, Row>();
  for (const [column, items] of Object.entries(figures)) {
    for (const { labels, value } of items) {
      const name = nameOf(labels);
      // A container without a name is a group of the system's.
      if (name === "") continue;
      const key = Object.entries(labels)
        .filter(([label]) => label !== "__name__")
        .sort(([a], [b]) => a.localeCompare(b))
        .map((pair) => pair.join("="))
        .join(",");
      const row = found.get(key) ?? { name, key, beside: besideOf(labels), values: {} };
      row.values[column] = value;
      found.set(key, row);
    }
  }
  return [...found.values()].sort((a, b) => a.name.localeCompare(b.name) || a.key.localeCompare(b.key));
}

function others(labels: VectorItem["labels"]): string {
  return Object.entries(labels)
    .filter(([name]) => !HIDDEN.has(name))
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}

/** The share of a limit in percent; nothing where there is no limit. */
export function ofLimit(row: Row): number | undefined {
  const { memory, limit } = row.values;
  return memory !== undefined && limit !== undefined && limit > 0 ? (memory * 100) / limit : undefined;
}
