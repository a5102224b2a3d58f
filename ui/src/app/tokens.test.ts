// Every colour that carries words has enough contrast on every ground that it stands on, in both themes (WCAG AA, 4.5 to 1).
// Not the looks.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const css = readFileSync(new URL("./tokens.css", import.meta.url), "utf8");

function color(name: string, theme: number): string {
  const found = new RegExp(`--${name}: light-dark\\((#[0-9a-f]{6}), (#[0-9a-f]{6})\\)`).exec(css)?.[theme + 1];
  if (!found) throw new Error(`no colour ${name}`);
  return found;
}

function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
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
