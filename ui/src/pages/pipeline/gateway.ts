// Which series tell of the gateway before the language models, and of the pressure that it answers to. Not the drawing.
import type { VectorItem } from "../../api/prometheus";
import type { Tone } from "../../panels/services/states";

/** Gauges of the gateway, whatever it reports. */
export const GATEWAY = '{__name__=~"(watchfire|hsi)_(llm_)?gateway_.+",__name__!~".+_(total|bucket|sum|count)"}';
export const PRESSURE = "max by (gpu, gpu_name) (watchfire_gpu_memory_pressure)";

export interface GatewayFigure {
  name: string;
  labels: string;
  value: number;
}

export function gatewayFigures(items: readonly VectorItem[]): GatewayFigure[] {
  return items
    .map(({ labels, value }) => {
      const { __name__: metric = "", job: _job, instance: _instance, ...rest } = labels;
      return {
        name: metric.replace(/^(watchfire|hsi)_(llm_)?gateway_/, "").replaceAll("_", " "),
        labels: Object.values(rest).join(", "),
        value,
      };
    })
    .sort((a, b) => a.name.localeCompare(b.name) || a.labels.localeCompare(b.labels));
}

const PRESSURES: readonly { word: string; tone: Tone }[] = [
  { word: "NORMAL", tone: "ok" },
  { word: "WARNING", tone: "warning" },
  { word: "CRITICAL", tone: "critical" },
];

export function pressureWords(value: number): { word: string; tone: Tone } {
  return PRESSURES[value] ?? { word: `unknown level ${value}`, tone: "neutral" };
}
