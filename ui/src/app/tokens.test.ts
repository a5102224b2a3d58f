// Every colour that carries words has enough contrast on every ground that it stands on, in both themes (WCAG AA, 4.5 to 1), and eyes that
// lack a kind of cone tell series apart. Not the looks.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const css = readFileSync(new URL("./tokens.css", import.meta.url), "utf8");

function color(name: string, theme: number): string {
  const found = new RegExp(`--${name}: light-dark\\((#[0-9a-f]{6}), (#[0-9a-f]{6})\\)`).exec(css)?.[theme + 1];
  if (!found) throw new Error(`no colour ${name}`);
  return found;
}

type Three = [number, number, number];

function linear(hex: string): Three {
  return [1, 3, 5].map((at) => {
    const part = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  }) as Three;
}

function luminance(hex: string): number {
  const [r, g, b] = linear(hex);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [high = 0, low = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

const WORDS = ["text", "muted", "ok", "warning", "critical"].flatMap((ink) => ["bg", "surface"].map((ground) => [ink, ground]));
const OTHERS = [
  ["text", "raised"],
  ["muted", "raised"],
  ["accent", "bg"],
  ["accent-text", "accent"],
  ["text", "critical-soft"],
  ["text", "warning-soft"],
  ["warning", "raised"],
  ["critical", "raised"],
  ["critical", "critical-soft"],
  ["muted", "critical-soft"],
  ["muted", "warning-soft"],
  ["muted", "ok-soft"],
  ["critical", "warning-soft"],
  ["critical", "ok-soft"],
  ["warning", "warning-soft"],
];

test.each([...WORDS, ...OTHERS] as [string, string][])("%s on %s", (ink, ground) => {
  for (const theme of [0, 1]) expect(contrast(color(ink, theme), color(ground, theme))).toBeGreaterThanOrEqual(4.5);
});

test.each(Array.from({ length: 8 }, (_, index) => `series-${index + 1}`))("%s can be told from its ground", (ink) => {
  for (const theme of [0, 1]) expect(contrast(color(ink, theme), color("surface", theme))).toBeGreaterThanOrEqual(3);
});

/** What is left of linear light for eyes without one kind of cone (Machado, Oliveira and Fernandes 2009, severity 1). */
const EYES: Record<string, [Three, Three, Three]> = {
  protanopia: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deuteranopia: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  tritanopia: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
};

/** A colour in CIELAB, as such eyes see it. */
function seen(hex: string, eyes: [Three, Three, Three]): Three {
  const light = linear(hex);
  const [r = 0, g = 0, b = 0] = eyes.map((row) => Math.min(1, Math.max(0, row[0] * light[0] + row[1] * light[1] + row[2] * light[2])));
  const part = (value: number): number => (value > 0.008856 ? Math.cbrt(value) : 7.787 * value + 16 / 116);
  const [x, y, z] = [part((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505), part(0.2126 * r + 0.7152 * g + 0.0722 * b), part((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089)];
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

test.each(Object.entries(EYES))("series are told apart in %s", (_, eyes) => {
  for (const theme of [0, 1]) {
    const all = Array.from({ length: 8 }, (_, index) => seen(color(`series-${index + 1}`, theme), eyes));
    const near = all.flatMap((a, at) => all.slice(0, at).map((b) => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2])));
    expect(Math.min(...near)).toBeGreaterThanOrEqual(18);
  }
});
