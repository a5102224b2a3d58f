// What the first page weighs on the wire, held to a budget: the packed copies that the build lays beside its files, which the server sends as
// they are. Not speed.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { DIST } from "./mock.ts";

const KIB = 1024;
/** Everything that the first paint needs. */
const FIRST_BYTES_MAX = 48 * KIB;
/** Everything of every page. */
const ALL_BYTES_MAX = 300 * KIB;
/** The drawing of charts, which comes after it. */
const CHARTS_BYTES_MAX = 26 * KIB;

function packed(path: string): number {
  return statSync(join(DIST, `${path}.gz`)).size;
}

/** The entry, and everything that it imports before it runs: the build names all of it in the page. */
function firstFiles(): string[] {
  const named = [...readFileSync(join(DIST, "index.html"), "utf8").matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map((it) => it[1] ?? "");
  if (!named.some((it) => it.endsWith(".js"))) throw new Error("dist/index.html names no program: run npm run build");
  return ["index.html", ...named];
}

function drawFiles(): string[] {
  const found = readdirSync(join(DIST, "assets")).filter((name) => /^(draw|uPlot)\b.*\.(js|css)$/.test(name));
  if (found.length === 0) throw new Error("dist/assets has no drawing: run npm run build");
  return found.map((name) => join("assets", name));
}

const programs = (): string[] => readdirSync(join(DIST, "assets")).filter((name) => /\.(js|css|words)$/.test(name)).map((name) => join("assets", name));
const weight = (files: string[]): number => files.reduce((sum, file) => sum + packed(file), 0);

test("all pages together stay light", () => {
  const all = weight(["index.html", ...programs()]);
  console.log(`all pages ${all} bytes gzipped`);
  expect(all).toBeLessThanOrEqual(ALL_BYTES_MAX);
});

test("what is packed is what was built", () => {
  for (const file of ["index.html", "theme.js", ...programs()]) {
    expect(gunzipSync(readFileSync(join(DIST, `${file}.gz`))).equals(readFileSync(join(DIST, file))), file).toBe(true);
  }
});

test("the first page stays light", () => {
  const first = weight(firstFiles());
  const charts = weight(drawFiles());
  console.log(`first paint ${first} bytes gzipped, charts ${charts}`);
  expect(first).toBeLessThanOrEqual(FIRST_BYTES_MAX);
  expect(charts).toBeLessThanOrEqual(CHARTS_BYTES_MAX);
});
