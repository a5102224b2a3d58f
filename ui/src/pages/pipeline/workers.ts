// Workers out of recorded metrics: the state's number in words, and what else is reported of the same worker.
// A number that is not known stays a number.
import type { VectorItem } from "../../api/prometheus";
import type { StateWords } from "../../panels/services/states";
import { t } from "../../words/t";

export const WORKERS =
  '{__name__=~"hsi_worker_status|hsi_worker_restarts_total|hsi_worker_crashes_total|hsi_pipeline_worker_state|hsi_pipeline_worker_consecutive_failures|hsi_pipeline_worker_uptime_seconds"}';

export interface Worker {
  name: string;
  state: StateWords;
  restarts: number | undefined;
  crashes: number | undefined;
  failures: number | undefined;
  /** Nothing while it does not run. */
  uptimeSeconds: number | undefined;
}

/** hsi_worker_status: 0 to 4. */
const SUPERVISED: readonly StateWords[] = [
  { word: t("stopped"), tone: "neutral" },
  { word: t("running"), tone: "ok" },
  { word: t("crashed"), tone: "critical" },
  { word: t("restarting"), tone: "warning" },
  { word: t("failed"), tone: "critical" },
];
/** hsi_pipeline_worker_state: 0 to 3. */
const PIPELINE: readonly StateWords[] = [
  { word: t("stopped"), tone: "neutral" },
  { word: t("running"), tone: "ok" },
  { word: t("restarting"), tone: "warning" },
  { word: t("failed"), tone: "critical" },
];

export function workerState(metric: "hsi_worker_status" | "hsi_pipeline_worker_state", value: number): StateWords {
  const words = metric === "hsi_worker_status" ? SUPERVISED : PIPELINE;
  return words[value] ?? { word: t("unknown state {0}", value), tone: "neutral" };
}

export function workers(items: readonly VectorItem[]): Worker[] {
  const names = [...new Set(items.map((it) => it.labels["worker_name"] ?? ""))].filter((it) => it !== "").sort();
  return names.map((name) => {
    const of = (metric: string): number | undefined =>
      items.find((it) => it.labels["worker_name"] === name && it.labels["__name__"] === metric)?.value;
    const [status, state, uptime] = [of("hsi_worker_status"), of("hsi_pipeline_worker_state"), of("hsi_pipeline_worker_uptime_seconds")];
    return {
      name,
      state:
        status !== undefined
          ? workerState("hsi_worker_status", status)
          : state !== undefined
            ? workerState("hsi_pipeline_worker_state", state)
            : { word: t("no state reported"), tone: "neutral" },
      restarts: of("hsi_worker_restarts_total"),
      crashes: of("hsi_worker_crashes_total"),
      failures: of("hsi_pipeline_worker_consecutive_failures"),
      uptimeSeconds: uptime === undefined || uptime < 0 ? undefined : uptime,
    };
  });
}
