// Numbers with Grafana's units, by their ids: a table of how each scales and what it is called. Not the units of this page's own figures
// (src/units).
import { dateTime, local, PERCENT } from "../../units/format";
import { language, t } from "../../words/t";

/** A text and its unit, apart, because figures are written larger than their units. */
export interface Shown {
  prefix: string;
  text: string;
  suffix: string;
}
type Scale = { kind: "fixed"; suffix: string; prefix?: string; decimals?: number } | { kind: "steps"; base: number; names: readonly string[]; from: number; suffix?: string } | { kind: "time"; seconds: number } | { kind: "own"; write: (value: number, decimals: number | undefined) => string };

const SI = ["", "k", "M", "G", "T", "P", "E"];
const SHORT = ["", "K", "Mil", "Bil", "Tri", "Quadr", "Quint"];
const SMALL = ["n", "µ", "m", ...SI];

const fixed = (suffix: string, prefix?: string): Scale => ({ kind: "fixed", suffix, ...(prefix === undefined ? {} : { prefix }) });
const si = (unit: string, from = 0): Scale => ({ kind: "steps", base: 1000, names: SI.map((it) => `${it}${unit}`), from });
const small = (unit: string, from = 3): Scale => ({ kind: "steps", base: 1000, names: SMALL.map((it) => `${it}${unit}`), from });
const iec = (unit: string, from = 0): Scale => ({ kind: "steps", base: 1024, names: SI.map((it, at) => (at === 0 ? unit : `${it === "k" ? "K" : it}i${unit}`)), from });
const per = (what: string): Scale => ({ kind: "steps", base: 1000, names: SHORT, from: 0, suffix: ` ${what}` });
const time = (seconds: number): Scale => ({ kind: "time", seconds });
const own = (write: (value: number, decimals: number | undefined) => string): Scale => ({ kind: "own", write });
const money = (sign: string): Scale => ({ kind: "steps", base: 1000, names: ["", "K", "M", "B", "T"], from: 0, suffix: `\u0000${sign}` });

const UNITS: Record<string, Scale> = {
  none: own((value, decimals) => plain(value, decimals)),
  string: own((value) => String(value)),
  short: { kind: "steps", base: 1000, names: SHORT.map((it) => (it === "" ? "" : ` ${it}`)), from: 0 },
  sishort: { kind: "steps", base: 1000, names: SI, from: 0 },
  locale: own((value, decimals) => new Intl.NumberFormat(language, { maximumFractionDigits: decimals ?? 3, minimumFractionDigits: decimals ?? 0 }).format(value)),
  percent: fixed(PERCENT),
  percentunit: own((value, decimals) => `${plain(value * 100, decimals)}${PERCENT}`),
  humidity: fixed("%H"),
  dB: fixed(" dB"),
  ppm: fixed(" ppm"),
  hex: own((value) => Math.round(value).toString(16).toUpperCase()),
  hex0x: own((value) => `0x${Math.round(value).toString(16).toUpperCase()}`),
  sci: own((value, decimals) => local(value.toExponential(decimals ?? 2))),
  bool: own((value) => (value === 0 ? t("False") : t("True"))),
  bool_yes_no: own((value) => (value === 0 ? t("No") : t("Yes"))),
  bool_on_off: own((value) => (value === 0 ? t("Off") : t("On"))),
  // Data, in powers of two and of ten.
  bits: iec("b"),
  decbits: si("b"),
  bytes: iec("B"),
  decbytes: si("B"),
  kbytes: iec("B", 1),
  deckbytes: si("B", 1),
  mbytes: iec("B", 2),
  decmbytes: si("B", 2),
  gbytes: iec("B", 3),
  decgbytes: si("B", 3),
  tbytes: iec("B", 4),
  dectbytes: si("B", 4),
  // Rates of data.
  pps: si("p/s"),
  Bps: si("B/s"),
  binBps: iec("B/s"),
  bps: si("b/s"),
  binbps: iec("b/s"),
  KBs: si("B/s", 1),
  KiBs: iec("B/s", 1),
  MBs: si("B/s", 2),
  MiBs: iec("B/s", 2),
  GBs: si("B/s", 3),
  GiBs: iec("B/s", 3),
  Kbits: si("b/s", 1),
  Mbits: si("b/s", 2),
  Gbits: si("b/s", 3),
  // Time.
  ns: time(1e-9),
  µs: time(1e-6),
  us: time(1e-6),
  ms: time(1e-3),
  s: time(1),
  m: time(60),
  h: time(3600),
  d: time(86_400),
  dtdurations: own((value) => parted(value)),
  dtdurationms: own((value) => parted(value / 1000)),
  dthms: own((value) => clockOf(value)),
  clocks: own((value) => clockOf(value)),
  clockms: own((value) => clockOf(value / 1000)),
  hertz: small("Hz"),
  dateTimeAsIso: own((value) => dateTime(value)),
  dateTimeAsLocal: own((value) => dateTime(value)),
  dateTimeAsUS: own((value) => dateTime(value)),
  dateTimeAsSystem: own((value) => dateTime(value)),
  dateTimeAsIsoNoDateIfToday: own((value) => today(value)),
  dateTimeFromNow: own((value) => fromNow(value)),
  // Throughput.
  cps: per("c/s"),
  ops: per("ops/s"),
  reqps: per("req/s"),
  rps: per("rd/s"),
  wps: per("wr/s"),
  iops: per("io/s"),
  eps: per("evt/s"),
  mps: per("msg/s"),
  recps: per("rec/s"),
  rowsps: per("rows/s"),
  cpm: per("c/m"),
  opm: per("ops/m"),
  reqpm: per("req/m"),
  rpm: per("rd/m"),
  wpm: per("wr/m"),
  // The body of the machine.
  celsius: fixed(" °C"),
  fahrenheit: fixed(" °F"),
  kelvin: fixed(" K"),
  watt: small("W"),
  kwatt: small("W", 4),
  mwatt: small("W", 2),
  Wm2: fixed(" W/m²"),
  joule: small("J"),
  watth: small("Wh"),
  kwatth: small("Wh", 4),
  ev: small("eV"),
  amp: small("A"),
  mamp: small("A", 2),
  volt: small("V"),
  mvolt: small("V", 2),
  voltamp: small("VA"),
  ohm: small("Ω"),
  farad: small("F"),
  rotrpm: fixed(" rpm"),
  rothz: small("Hz"),
  rotrads: fixed(" rad/s"),
  flops: si("FLOPS"),
  degree: fixed("°"),
  lengthm: small("m"),
  lengthmm: small("m", 2),
  lengthkm: small("m", 4),
  velocityms: fixed(" m/s"),
  velocitykmh: fixed(" km/h"),
  pressurehpa: fixed(" hPa"),
  pressurebar: small("bar"),
  massg: small("g"),
  masskg: small("g", 4),
  litre: small("L"),
  currencyUSD: money("$"),
  currencyEUR: money("€"),
  currencyGBP: money("£"),
  currencyJPY: money("¥"),
};

export function unitIsKnown(id: string): boolean {
  return id === "" || id in UNITS || /^(suffix|prefix|currency|time|si|count):/.test(id);
}

/** The ids, for a choice. */
export const UNIT_IDS: readonly string[] = Object.keys(UNITS);

export function show(value: number, unit: string, decimals?: number): Shown {
  if (Number.isNaN(value)) return { prefix: "", text: "NaN", suffix: "" };
  if (!Number.isFinite(value)) return { prefix: "", text: value > 0 ? "∞" : "−∞", suffix: "" };
  const scale = UNITS[unit] ?? custom(unit);
  switch (scale.kind) {
    case "fixed":
      return { prefix: scale.prefix ?? "", text: plain(value, decimals ?? scale.decimals), suffix: scale.suffix };
    case "own":
      return { prefix: "", text: scale.write(value, decimals), suffix: "" };
    case "time":
      return length(value * scale.seconds, decimals);
    case "steps":
      return stepped(value, scale, decimals);
  }
}

/** The same as one text. */
export function words(value: number | null | undefined, unit: string, decimals?: number): string {
  if (value === null || value === undefined) return "–";
  const { prefix, text, suffix } = show(value, unit, decimals);
  return prefix + text + suffix;
}

/** Units that carry their own words: "suffix:foo", "currency:kr", "count:apples", "si:bX", "time:YYYY". */
function custom(unit: string): Scale {
  const [, kind = "", rest = ""] = /^(suffix|prefix|currency|time|si|count):(.*)$/s.exec(unit) ?? [];
  switch (kind) {
    case "suffix":
      return fixed(rest);
    case "prefix":
      return fixed("", rest);
    case "currency":
      return rest.startsWith("suffix:") ? fixed(rest.slice(7)) : fixed("", rest.replace(/^financial:/, ""));
    case "count":
      return per(rest);
    case "si":
      return /^[kMGT]/.test(rest) ? si(rest.slice(1), SI.indexOf(rest.charAt(0))) : /^[mµn]/.test(rest) && rest.length > 1 ? small(rest.slice(1), SMALL.indexOf(rest.charAt(0))) : si(rest);
    case "time":
      return own((value) => dateTime(value));
    default:
      // An unknown unit is its own suffix, as people write "Mbps" there.
      return unit === "" ? own((value, decimals) => plain(value, decimals)) : fixed(` ${unit}`);
  }
}

function stepped(value: number, { base, names, from, suffix = "" }: Extract<Scale, { kind: "steps" }>, decimals: number | undefined): Shown {
  let size = value;
  let at = from;
  while (Math.abs(size) >= base * 0.99995 && at < names.length - 1) {
    size /= base;
    at += 1;
  }
  while (size !== 0 && Math.abs(size) < 1 && at > 0 && (at > from || from > 0) && Math.abs(size) * base >= 1e-12) {
    size *= base;
    at -= 1;
  }
  const name = names[at] ?? "";
  const [tail = "", sign = ""] = suffix.split("\u0000");
  const gap = name === "" || name.startsWith(" ") || /^[KMBT]$/.test(name) && sign !== "" ? "" : " ";
  return { prefix: sign === "" ? "" : sign, text: plain(size, decimals), suffix: `${gap}${name}${tail}` };
}

/** A length of time in the unit that fits best. */
function length(seconds: number, decimals: number | undefined): Shown {
  const size = Math.abs(seconds);
  const [by, name] = (
    [
      [31_536_000, ` ${t("years")}`],
      [604_800, ` ${t("weeks")}`],
      [86_400, ` ${t("days")}`],
      [3600, ` ${t("hours")}`],
      [60, ` ${t("mins")}`],
      [1, " s"],
      [1e-3, " ms"],
      [1e-6, " µs"],
    ] as const
  ).find(([least]) => size >= least * 0.99995) ?? ([1e-9, " ns"] as const);
  return size === 0 ? { prefix: "", text: plain(0, decimals), suffix: " s" } : { prefix: "", text: plain(seconds / by, decimals), suffix: name };
}

/** To as many places as are said, else to about three digits without zeros at the end. */
export function plain(value: number, decimals?: number): string {
  const places = decimals ?? placesFor(value);
  const text = value.toFixed(Math.min(20, Math.max(0, places)));
  const trimmed = decimals === undefined && text.includes(".") ? text.replace(/\.?0+$/, "") : text;
  // A tiny negative rounds to "-0", which reads like a fault.
  return local(Number(trimmed) === 0 ? trimmed.replace("-", "") : trimmed.replace("-", "−"));
}

function placesFor(value: number): number {
  const size = Math.abs(value);
  if (size === 0 || size >= 100) return 0;
  return Math.min(12, 2 - Math.floor(Math.log10(size)));
}

function parted(seconds: number): string {
  const whole = Math.round(Math.abs(seconds));
  const units: [number, string, string][] = [[31_536_000, t("year"), t("years")], [2_628_000, t("month"), t("months")], [604_800, t("week"), t("weeks")], [86_400, t("day"), t("days")], [3600, t("hour"), t("hours")], [60, t("minute"), t("minutes")], [1, t("second"), t("seconds")]];
  const found: string[] = [];
  let left = whole;
  for (const [size, one, more] of units) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0 && found.length < 3) found.push(`${count} ${count === 1 ? one : more}`);
  }
  return (seconds < 0 ? "−" : "") + (found.join(", ") || t("0 seconds"));
}

function clockOf(seconds: number): string {
  const whole = Math.round(Math.abs(seconds));
  return [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60].map((it) => String(it).padStart(2, "0")).join(":");
}

function today(ms: number): string {
  const [day = "", clock = ""] = dateTime(ms).split(" ");
  return dateTime(Date.now()).startsWith(day) ? clock : `${day} ${clock}`;
}

function fromNow(ms: number): string {
  const seconds = (Date.now() - ms) / 1000;
  const { text, suffix } = length(Math.abs(seconds), 0);
  return seconds >= 0 ? t("{0}{1} ago", text, suffix) : t("in {0}{1}", text, suffix);
}
