// How notifications fared: which series tell of it, rows out of them, and what was given up. Not the drawing.
import { type DeadNotification, deadNotifications, receiverNames } from "../../api/alerts";
import { queryVector, type VectorItem } from "../../api/prometheus";

export const HOURS = 24;
/** How much a counter grew. One that appeared within the time was nothing before, so its first value counts as well. */
function grown(metric: string, by: string): string {
  const first = `first_over_time(${metric}[${HOURS}h]) unless ${metric} offset ${HOURS}h`;
  // Both parts of a series have its labels; another label keeps them apart until they are added.
  return `sum by (${by}) (increase(${metric}[${HOURS}h]) or label_replace(${first}, "part", "first", "", ""))`;
}
const TRIES = grown("alertmanager_notifications_total", "integration");
const FAILED = grown("alertmanager_notifications_failed_total", "integration, reason");
const WAITING = "sum(watchfire_alert_notifications_queued)";

export interface DeliveryRow {
  integration: string;
  tries: number;
  /** Failed, and tried again. */
  later: number;
  /** The other side will never take it. */
  refused: number;
}

export function deliveryRows(tries: readonly VectorItem[], failed: readonly VectorItem[]): DeliveryRow[] {
  const of = (integration: string, reason: string): number =>
    Math.round(failed.find((it) => it.labels["integration"] === integration && it.labels["reason"] === reason)?.value ?? 0);
  return tries
    .map((it) => {
      const integration = it.labels["integration"] ?? "";
      return { integration, tries: Math.round(it.value), later: of(integration, "later"), refused: of(integration, "refused") };
    })
    .filter((it) => it.tries > 0)
    .sort((a, b) => a.integration.localeCompare(b.integration));
}

/** What each kind of receiver was told in that time. */
export async function tries(signal: AbortSignal): Promise<DeliveryRow[]> {
  return deliveryRows(...(await Promise.all([queryVector(TRIES, signal), queryVector(FAILED, signal)])));
}

export interface Deliveries {
  dead: { total: number; letters: DeadNotification[] };
  receivers: string[];
  /** Decided, and not delivered yet; undefined when nobody reports it. */
  waiting: number | undefined;
}

export async function deliveries(signal: AbortSignal): Promise<Deliveries> {
  const [dead, receivers, waiting] = await Promise.all([deadNotifications(signal), receiverNames(signal), queryVector(WAITING, signal)]);
  return { dead, receivers, waiting: waiting[0]?.value };
}
