// Round times for an axis, with their words. Not drawing.
import { language } from "../../../words/t";
import type { Range } from "../../variables/time";

const STEPS_MS = [1000, 5000, 15_000, 30_000, 60_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 10_800_000, 21_600_000, 43_200_000, 86_400_000, 172_800_000, 604_800_000, 2_592_000_000];

export function timeTicks(range: Range, most: number, utc: boolean): { at: number; text: string }[] {
  const wide = range.to - range.from;
  const step = STEPS_MS.find((it) => wide / it <= Math.max(1, most)) ?? wide;
  // Days begin where the reader's do.
  const offset = utc ? 0 : new Date(range.from).getTimezoneOffset() * 60_000;
  const first = Math.ceil((range.from - offset) / step) * step + offset;
  const found: { at: number; text: string }[] = [];
  for (let at = first; at <= range.to && found.length < 50; at += step) found.push({ at: (at - range.from) / wide, text: wordsOf(new Date(at), step, utc) });
  return found;
}

function wordsOf(date: Date, step: number, utc: boolean): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const [hours, minutes, seconds] = utc ? [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()] : [date.getHours(), date.getMinutes(), date.getSeconds()];
  if (step >= 86_400_000 || (hours === 0 && minutes === 0 && step >= 3_600_000)) return date.toLocaleDateString(language, { day: "numeric", month: "short", ...(utc ? { timeZone: "UTC" } : {}) });
  return step < 60_000 ? `${two(hours)}:${two(minutes)}:${two(seconds)}` : `${two(hours)}:${two(minutes)}`;
}
