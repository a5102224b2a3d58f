// Numbers into words: bytes, percent, durations, times of day, as the reader's language writes them. One table, used by every panel and axis.
// Not the units of dashboards (dashboards/fields/units.ts); times are those of the reader's clock.
import { language, t } from "../words/t";

export type Unit = "percent" | "bytes" | "bytes_per_second" | "celsius" | "watts" | "seconds" | "latency" | "usd" | "number";

/** What stands where a value is unknown. Never a zero. */
export const UNKNOWN = "–";

const DECIMAL_COMMA = language === "de";
/** A percent sign as it follows a number. */
export const PERCENT = language === "de" ? "\u00a0%" : "%";

/** A number that was written with a decimal point and commas between thousands, as the reader writes it. */
export function local(text: string): string {
  return DECIMAL_COMMA ? text.replace(/[.,]/g, (it) => (it === "." ? "," : ".")) : text;
}

export function fixed(value: number, places: number): string {
  return local(value.toFixed(places));
}

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;
const DECIMAL = ["B", "kB", "MB", "GB", "TB", "PB"] as const;
const LARGE = ["", "k", "M", "G", "T", "P"] as const;

export function format(value: number | null | undefined, unit: Unit): string {
  if (value === null || value === undefined || Number.isNaN(value)) return UNKNOWN;
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  switch (unit) {
    case "percent":
      return `${digits(value, Math.abs(value) < 10 && !Number.isInteger(value) ? 1 : 0)}${PERCENT}`;
    case "bytes":
      return scaled(value, 1024, BINARY);
    case "bytes_per_second":
      return `${scaled(value, 1000, DECIMAL)}/s`;
    case "celsius":
      return `${digits(value, 0)} °C`;
    case "watts":
      return `${digits(value, Math.abs(value) < 100 ? 1 : 0)} W`;
    case "seconds":
      return duration(value);
    case "latency":
      return latency(value);
    case "usd":
      return usd(value);
    case "number":
      return number(value);
  }
}

/** A short time to three digits: "1.23 s", "320 ms". From a minute on it is a duration. */
function latency(seconds: number): string {
  const size = Math.abs(seconds);
  if (size >= 59.95 || size === 0) return duration(seconds);
  return size < 1 ? `${trimZeros((seconds * 1000).toPrecision(3))} ms` : `${trimZeros(seconds.toPrecision(3))} s`;
}

/** Cents, and more places where a sum is smaller than that. */
function usd(value: number): string {
  const size = Math.abs(value);
  const places = size === 0 || size >= 0.1 ? 2 : Math.min(8, 2 - Math.floor(Math.log10(size)));
  const text = size >= 1000 ? grouped(size) : fixed(size, places);
  return `${value < 0 ? "−" : ""}${DECIMAL_COMMA ? `${text}\u00a0$` : `$${text}`}`;
}

/** As `format`, without the zeros after the point that an axis does not need. */
export function axisLabel(value: number, unit: Unit): string {
  const text = format(value, unit);
  return DECIMAL_COMMA ? text.replace(/(,\d*?)0+(?!\d)/, "$1").replace(/,(?!\d)/, "") : text.replace(/(\.\d*?)0+(?!\d)/, "$1").replace(/\.(?!\d)/, "");
}

/** Whole numbers with separators, others with three significant digits, large ones with a letter. */
export function number(value: number): string {
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 100_000) return grouped(value);
  if (size >= 10_000) return scaled(value, 1000, LARGE);
  if (size === 0) return "0";
  if (size < 0.001) return local(value.toExponential(2));
  return trimZeros(value.toPrecision(3));
}

/** 8192 → "8,192". */
export function grouped(value: number): string {
  return local(
    Math.round(value)
      .toString()
      .replace(/\B(?=(\d{3})+(?!\d))/g, ","),
  );
}

const TIMES = { day: "d", hour: "h", minute: "min", second: "s" };

/** A length of time in its two largest parts: "3 d 4 h", "12 min", "8 s". */
export function duration(seconds: number, names: typeof TIMES = TIMES): string {
  if (seconds < 0) return `−${duration(-seconds, names)}`;
  if (seconds === 0) return `0 ${names.second}`;
  if (seconds < 1) return `${trimZeros((seconds * 1000).toPrecision(3))} ms`;
  const whole = Math.round(seconds);
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), names.day],
    [Math.floor(whole / 3600) % 24, names.hour],
    [Math.floor(whole / 60) % 60, names.minute],
    [whole % 60, names.second],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, name]) => `${count} ${name}`)
    .join(" ");
}

/** "3 min ago", "in 5 s", "now". */
export function ago(ms: number, nowMs: number): string {
  const seconds = Math.round((nowMs - ms) / 1000);
  if (seconds === 0) return t("now");
  return seconds > 0 ? t("{0} ago", duration(seconds)) : t("in {0}", duration(-seconds));
}

/** The time of day on the reader's clock: "09:05:03". */
export function clock(ms: number): string {
  const date = new Date(ms);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(":");
}

/** Date and time on the reader's clock: "2026-03-01 09:05:03". */
export function dateTime(ms: number): string {
  if (language !== "de") return plainTime(ms);
  const date = new Date(ms);
  return `${twoDigits(date.getDate())}.${twoDigits(date.getMonth() + 1)}.${date.getFullYear()} ${clock(ms)}`;
}

/** The same as fields of forms and queries take it, in every language. */
export function plainTime(ms: number): string {
  const date = new Date(ms);
  return `${date.getFullYear()}-${twoDigits(date.getMonth() + 1)}-${twoDigits(date.getDate())} ${clock(ms)}`;
}

/** Without the year and the seconds, for the marks of an axis. */
export function dayTime(ms: number): string {
  const text = dateTime(ms);
  return language === "de" ? `${text.slice(0, 6)}${text.slice(10, -3)}` : text.slice(5, -3);
}

function twoDigits(value: number): string {
  return value.toString().padStart(2, "0");
}

function scaled(value: number, base: number, names: readonly string[]): string {
  let size = value;
  let power = 0;
  // 999.5 would print as "1000", which belongs to the next name.
  while (Math.abs(size) >= base - 0.5 && power < names.length - 1) {
    size /= base;
    power += 1;
  }
  const places = power === 0 || Math.abs(size) >= 100 ? 0 : Math.abs(size) >= 10 ? 1 : 2;
  const name = names[power] ?? "";
  return `${digits(size, power === 0 && !Number.isInteger(size) ? 1 : places)}${name === "" ? "" : " "}${name}`;
}

function digits(value: number, places: number): string {
  const text = value.toFixed(places);
  // A tiny negative rounds to "-0", which reads like a fault.
  return local(Number(text) === 0 ? (0).toFixed(places) : text.replace("-", "−"));
}

function trimZeros(text: string): string {
  return local(text.includes(".") && !text.includes("e") ? text.replace(/\.?0+$/, "") : text);
}
