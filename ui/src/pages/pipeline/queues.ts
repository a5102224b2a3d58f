// Which series tell of queues, and rows out of what happened when one was full. Not the drawing.
import { t } from "../../words/t";

export const QUEUE_DEPTHS = 'max by (__name__) ({__name__=~"hsi_(detection|analysis)_queue_depth"})';

const QUEUES: Record<string, string> = { detection: t("detection"), analysis: t("analysis") };
export function queueWord(metric: string): string {
  const name = metric.replace(/^hsi_|_queue_depth$/g, "");
  return QUEUES[name] ?? name;
}

export const OVERFLOW = [
  { metric: "hsi_queue_overflow_total", name: t("Times full") },
  { metric: "hsi_queue_items_moved_to_dlq_total", name: t("Moved to dead letters") },
  { metric: "hsi_queue_items_dropped_total", name: t("Dropped") },
  { metric: "hsi_queue_items_rejected_total", name: t("Refused") },
] as const;

export interface OverflowRow {
  queue: string;
  /** As OVERFLOW; what nobody reports stays missing. */
  values: (number | undefined)[];
}

export function overflowRows(columns: readonly ReadonlyMap<string, number>[]): OverflowRow[] {
  const queues = [...new Set(columns.flatMap((it) => [...it.keys()]))].sort();
  return queues.map((queue) => ({ queue, values: columns.map((it) => it.get(queue)) }));
}
