// The queues that the page knows, with their depth where one is recorded. A missing depth stays missing, never zero.
import type { VectorItem } from "../../api/prometheus";
import { t } from "../../words/t";

export interface Queue {
  name: string;
  metric: string;
  depth: number | undefined;
}

const QUEUES = [
  { name: t("detection"), metric: "hsi_detection_queue_depth" },
  { name: t("analysis"), metric: "hsi_analysis_queue_depth" },
] as const;

export function depths(items: readonly VectorItem[]): Queue[] {
  return QUEUES.map((queue) => ({ ...queue, depth: items.find((it) => it.labels["__name__"] === queue.metric)?.value }));
}
