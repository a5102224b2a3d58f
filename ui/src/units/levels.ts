// Which figure is calm, a warning or critical. The limits of GPU memory are fixed by the server's contract.
// Not alerting: this only colours and names what is shown.
import { t } from "../words/t";

export type Level = "ok" | "warning" | "critical";
export type Pressure = "NORMAL" | "WARNING" | "CRITICAL";

/** From these percentages of GPU memory on, pressure is a warning, then critical. */
export const PRESSURE_WARNING_PERCENT = 85;
export const PRESSURE_CRITICAL_PERCENT = 95;
/** A GPU that is warmer than this is worth a warning. */
export const GPU_CELSIUS_WARNING = 85;
/** From these on the utilisation gauge says "busy", then "saturated". */
export const BUSY_PERCENT = 70;
export const SATURATED_PERCENT = 90;
/** From these on a filesystem is filling up, then full. */
export const DISK_WARNING_PERCENT = 80;
export const DISK_CRITICAL_PERCENT = 90;

export function pressure(percent: number): Pressure {
  if (percent >= PRESSURE_CRITICAL_PERCENT) return "CRITICAL";
  return percent >= PRESSURE_WARNING_PERCENT ? "WARNING" : "NORMAL";
}

export function pressureLevel(name: Pressure): Level {
  return name === "CRITICAL" ? "critical" : name === "WARNING" ? "warning" : "ok";
}

/** How busy a percentage is, in a colour and a word. */
export function load(percent: number): { level: Level; word: string } {
  if (percent >= SATURATED_PERCENT) return { level: "critical", word: t("saturated") };
  if (percent >= BUSY_PERCENT) return { level: "warning", word: t("busy") };
  return percent < 1 ? { level: "ok", word: t("idle") } : { level: "ok", word: t("working") };
}

export function diskLevel(percent: number): Level {
  if (percent >= DISK_CRITICAL_PERCENT) return "critical";
  return percent >= DISK_WARNING_PERCENT ? "warning" : "ok";
}

/** Part of a whole in percent; nothing when either is unknown or the whole is empty. */
export function percentOf(part: number | null | undefined, whole: number | null | undefined): number | null {
  if (part === null || part === undefined || !whole || whole <= 0) return null;
  return (part * 100) / whole;
}
