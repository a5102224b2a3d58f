// What a household with trouble answers: cameras, watched programs, a full disk, waiting jobs. Not alerts and dead letters (alerting.ts, deadLetters.ts).
import { series, STORAGE } from "./answers.ts";
import type { Handler } from "./mock.ts";

const camera = (camera_id: string, value: number) => ({ labels: { camera_id }, at: () => value });
/** One camera is off since 40 minutes, one stands still since 25, one target is down since longer than was looked. */
export const trouble = series((expr) => {
  const ago = (minutes: number) => (time: number) => time - minutes * 60;
  if (expr.startsWith("min by (camera_id) (camera_connection_status)")) return [camera("front_door", 0), camera("garage", 1), camera("yard", 1)];
  if (expr.startsWith("max by (camera_id) (camera_frozen) > 0")) return [camera("garage", 1)];
  if (expr.includes("max_over_time(timestamp(camera_connection_status"))
    return [{ labels: { camera_id: "front_door" }, at: ago(40) }, { labels: { camera_id: "garage" }, at: ago(25) }, { labels: { camera_id: "yard" }, at: ago(0) }];
  const up = (job: string, value: number) => ({ labels: { job, instance: `${job}:1` }, at: () => value });
  if (expr.startsWith("max by (job, instance) (up)")) return [up("backend", 0), up("node", 1)];
  if (expr.includes("max_over_time(timestamp(up == 1)")) return [{ labels: { job: "node", instance: "node:1" }, at: ago(0) }];
  return undefined;
});
export const fullDisk: Handler = ({ path }) => (path === "/api/system/storage/stats" ? { body: { ...STORAGE, disk_usage_percent: 96.2, disk_free_bytes: 18 * 2 ** 30 } } : undefined);
export const waiting: Handler = ({ path }) => (path === "/api/queues" ? { body: [{ name: "detection_queue", waiting: 4, retrying: 1, leased: 2 }] } : undefined);
