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

function weight(...beginnings: string[]): number {
  const assets = readdirSync(join(DIST, "assets")).filter((name) => /\.(js|css)$/.test(name));
  const files = assets.filter((name) => beginnings.some((it) => name.startsWith(it))).map((name) => join(DIST, "assets", name));
  if (files.length === 0) throw new Error(`nothing in dist/assets begins with ${beginnings.join(" or ")}: run npm run build`);
  return files.reduce((sum, file) => sum + gzipSync(readFileSync(file), { level: 9 }).length, 0);
}

test("the first page stays light", () => {
  const first = weight("index-") + gzipSync(readFileSync(join(DIST, "index.html"))).length;
  const charts = weight("draw-");
  console.log(`first paint ${first} bytes gzipped, charts ${charts}`);
  expect(first).toBeLessThanOrEqual(FIRST_BYTES_MAX);
  expect(charts).toBeLessThanOrEqual(CHARTS_BYTES_MAX);
});
