// What the first page weighs on the wire, held to a budget. Not speed.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { DIST } from "./mock.ts";

const KIB = 1024;
/** Everything that the first paint needs. */
const FIRST_BYTES_MAX = 44 * KIB;
/** The drawing of charts, which comes after it. */
const CHARTS_BYTES_MAX = 26 * KIB;

function gzipped(path: string): number {
  return gzipSync(readFileSync(join(DIST, path)), { level: 9 }).length;
}

/** The entry, and everything that it imports before it runs: the build names all of it in the page. */
function firstFiles(): string[] {
  const named = [...readFileSync(join(DIST, "index.html"), "utf8").matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map((it) => it[1] ?? "");
  if (!named.some((it) => it.endsWith(".js"))) throw new Error("dist/index.html names no program: run npm run build");
  return ["index.html", ...named];
}

function drawFiles(): string[] {
  const found = readdirSync(join(DIST, "assets")).filter((name) => /^draw-.*\.(js|css)$/.test(name));
  if (found.length === 0) throw new Error("dist/assets has no drawing: run npm run build");
  return found.map((name) => join("assets", name));
}

const weight = (files: string[]): number => files.reduce((sum, file) => sum + gzipped(file), 0);

test("the first page stays light", () => {
  const first = weight(firstFiles());
  const charts = weight(drawFiles());
  console.log(`first paint ${first} bytes gzipped, charts ${charts}`);
  expect(first).toBeLessThanOrEqual(FIRST_BYTES_MAX);
  expect(charts).toBeLessThanOrEqual(CHARTS_BYTES_MAX);
});
