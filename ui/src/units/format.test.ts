// What numbers look like. Not where they are shown.
import { expect, test } from "vitest";
import { ago, axisLabel, duration, format, grouped, number, type Unit } from "./format";
import { diskLevel, load, percentOf, pressure } from "./levels";

test.each<[number | null | undefined, Unit, string]>([
  [null, "percent", "–"],
  [undefined, "bytes", "–"],
  [Number.NaN, "number", "–"],
  [Number.POSITIVE_INFINITY, "number", "∞"],
  [0, "percent", "0%"],
  [0.04, "percent", "0.0%"],
  [-0.04, "percent", "0.0%"],
  [9.96, "percent", "10.0%"],
  [45, "percent", "45%"],
  [0, "bytes", "0 B"],
  [1023, "bytes", "1023 B"],
  [1023.7, "bytes", "1.00 KiB"],
  [1536, "bytes", "1.50 KiB"],
  [31.2 * 2 ** 30, "bytes", "31.2 GiB"],
  [999_600, "bytes_per_second", "1.00 MB/s"],
  [12_345, "bytes_per_second", "12.3 kB/s"],
  [62, "celsius", "62 °C"],
  [-4.6, "celsius", "−5 °C"],
  [7.25, "watts", "7.3 W"],
  [125.5, "watts", "126 W"],
  [1284, "number", "1,284"],
  [1_234_567, "number", "1.23 M"],
  [0.00012, "number", "1.20e-4"],
  [3.14159, "number", "3.14"],
  [0, "latency", "0 s"],
  [0.0321, "latency", "32.1 ms"],
  [1.2345, "latency", "1.23 s"],
  [59.97, "latency", "1 min"],
  [125, "latency", "2 min 5 s"],
  [0, "usd", "$0.00"],
  [0.000123, "usd", "$0.000123"],
  [0.5, "usd", "$0.50"],
  [12.345, "usd", "$12.35"],
  [-3, "usd", "−$3.00"],
  [12_345.6, "usd", "$12,346"],
])("format(%s, %s) is %s", (value, unit, expected) => {
  expect(format(value, unit)).toBe(expected);
});

test.each<[number, Unit, string]>([
  [4e6, "bytes_per_second", "4 MB/s"],
  [2.5e6, "bytes_per_second", "2.5 MB/s"],
  [16 * 2 ** 30, "bytes", "16 GiB"],
  [100, "percent", "100%"],
  [10, "number", "10"],
  [0.5, "number", "0.5"],
])("axisLabel(%s, %s) is %s", (value, unit, expected) => {
  expect(axisLabel(value, unit)).toBe(expected);
});

test.each<[number, string]>([
  [0, "0 s"],
  [0.0125, "12.5 ms"],
  [59.6, "1 min"],
  [90, "1 min 30 s"],
  [3600, "1 h"],
  [273_840, "3 d 4 h"],
  [86_400 + 59, "1 d"],
  [-5, "−5 s"],
])("duration(%s) is %s", (seconds, expected) => {
  expect(duration(seconds)).toBe(expected);
});

test.each([
  [0, "now"],
  [300, "now"],
  [-4000, "in 4 s"],
  [3_720_000, "1 h 2 min ago"],
])("%s ms ago is %s", (past, expected) => {
  expect(ago(1e12 - past, 1e12)).toBe(expected);
});

test("large whole numbers are grouped", () => {
  expect(grouped(24_576)).toBe("24,576");
  expect(number(99_999)).toBe("99,999");
});

test("gpu_20_pressure_limits_are_85_and_95", () => {
  expect([0, 84.99, 85, 94.99, 95, 100].map(pressure)).toEqual(["NORMAL", "NORMAL", "WARNING", "WARNING", "CRITICAL", "CRITICAL"]);
});

test("levels have words", () => {
  expect([0, 1, 69.9, 70, 90].map((it) => load(it).word)).toEqual(["idle", "working", "working", "busy", "saturated"]);
  expect([79, 80, 90].map(diskLevel)).toEqual(["ok", "warning", "critical"]);
});

test("a percentage of the unknown is unknown", () => {
  expect(percentOf(1, 4)).toBe(25);
  expect(percentOf(0, 4)).toBe(0);
  for (const [part, whole] of [[null, 4], [1, null], [1, 0], [undefined, 1]] as const) expect(percentOf(part, whole)).toBeNull();
});
