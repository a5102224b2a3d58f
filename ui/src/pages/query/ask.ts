// What the query page keeps in the address, and the step that fits a range. Not the requests and not the drawing.
import { t } from "../../words/t";

export interface Preset {
  name: string;
  seconds: number;
  words: string;
}
export const PRESETS: readonly Preset[] = [
  { name: "15m", seconds: 900, words: t("15 minutes") },
  { name: "1h", seconds: 3600, words: t("1 hour") },
  { name: "6h", seconds: 21_600, words: t("6 hours") },
  { name: "24h", seconds: 86_400, words: t("24 hours") },
  { name: "7d", seconds: 604_800, words: t("7 days") },
];
const DEFAULT_PRESET: Preset = { name: "1h", seconds: 3600, words: t("1 hour") };

const POINTS_MAX = 300;
const STEPS = [1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 86_400];

export function presetOf(name: string | null): Preset {
  return PRESETS.find((it) => it.name === name) ?? DEFAULT_PRESET;
}

/** The smallest round step that keeps a chart under its number of points. */
export function stepFor(seconds: number): number {
  const least = seconds / POINTS_MAX;
  return STEPS.find((it) => it >= least) ?? Math.ceil(least / 86_400) * 86_400;
}

export function addressOf(expr: string, preset: Preset): string {
  return `/query?${new URLSearchParams({ expr, range: preset.name }).toString()}`;
}
