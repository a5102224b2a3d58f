// What the page costs, measured in Chromium and printed as a table by `make ui-bench`: weight, time until it can be used on a slow processor,
// one refresh of a large dashboard, a very large chart, memory over a day of refreshes. Nothing is asserted but that it worked at all.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CDPSession, Page } from "playwright-core";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { build, preview } from "vite";
import { afterAll, describe, test } from "vitest";
import { lean } from "../build/lean.ts";
import { Alerting } from "../tests/alerting.ts";
import { healthy, series, wave } from "../tests/answers.ts";
import { chromiumIsThere, open, until } from "../tests/browser.ts";
import { DIST, type Handler, Mock } from "../tests/mock.ts";

const SLOWED = 4;
const RUNS = 7;
/** A day of refreshes every five seconds. */
const REFRESHES = 17_280;
const REFRESH_MS = 5000;

const rows: [string, string, string][] = [];
const packed = (name: string): number => statSync(join(DIST, `${name}.gz`)).size;
const kib = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KiB`;
const median = (list: number[]): number => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] ?? Number.NaN;

async function metrics(session: CDPSession): Promise<Record<string, number>> {
  const { metrics } = await session.send("Performance.getMetrics");
  return Object.fromEntries(metrics.map((it) => [it.name, it.value]));
}

async function heapBytes(session: CDPSession): Promise<number> {
  await session.send("HeapProfiler.collectGarbage");
  return (await metrics(session))["JSHeapUsedSize"] ?? Number.NaN;
}

/** Seconds of tasks on the main thread while something is done. */
async function busySeconds(session: CDPSession, deed: () => Promise<void>): Promise<number> {
  const before = (await metrics(session))["TaskDuration"] ?? 0;
  await deed();
  return ((await metrics(session))["TaskDuration"] ?? 0) - before;
}

describe.skipIf(!chromiumIsThere())("bench", () => {
  afterAll(() => {
    const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
    console.log(["", line(["figure", "measured", "wished"]), "|---|---|---|", ...rows.map(line), ""].join("\n"));
  });

  test("weight", () => {
    const named = [...readFileSync(join(DIST, "index.html"), "utf8").matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map((it) => it[1] ?? "");
    rows.push(["first page, gzip", kib(["index.html", ...named].reduce((sum, it) => sum + packed(it), 0)), "60 KiB"]);
    const all = readdirSync(join(DIST, "assets")).filter((it) => /\.(js|css)$/.test(it));
    rows.push(["everything, gzip", kib(all.reduce((sum, it) => sum + packed(join("assets", it)), 0)), "300 KiB"]);
  });

  test("until it can be used", { timeout: 300_000 }, async () => {
    const mock = await Mock.start(new Alerting().handler, ...healthy);
    const browser = await open();
    try {
      for (const path of ["/", "/overview"]) {
        const times: number[] = [];
        const works: number[] = [];
        for (let run = 0; run < RUNS; run += 1) {
          const page = await browser.context.newPage();
          const session = await page.context().newCDPSession(page);
          await session.send("Network.setCacheDisabled", { cacheDisabled: true });
          await session.send("Emulation.setCPUThrottlingRate", { rate: SLOWED });
          const began = performance.now();
          await page.goto(mock.url + path, { waitUntil: "commit" });
          // Usable: figures are there, and the main thread answers.
          await page.locator(path === "/" ? '[data-state="ready"]' : "[data-topic]").first().waitFor();
          await page.evaluate(() => new Promise<void>((done) => requestAnimationFrame(() => setTimeout(done))));
          times.push(performance.now() - began);
          // The same unhindered, counted by the processor: this does not depend on what else the machine does.
          await session.send("Emulation.setCPUThrottlingRate", { rate: 1 });
          await session.send("Performance.enable", { timeDomain: "threadTicks" });
          await page.goto(mock.url + path, { waitUntil: "commit" });
          await page.locator(path === "/" ? '[data-state="ready"]' : "[data-topic]").first().waitFor();
          works.push((await metrics(session))["TaskDuration"] ?? Number.NaN);
          await page.close();
        }
        rows.push([`${path} can be used, processor slowed ${SLOWED} ×, median of ${RUNS}`, `${Math.round(median(times))} ms`, "1,000 ms"]);
        rows.push([`of that the main thread's own work, ${SLOWED} × its processor time`, `${Math.round(median(works) * 1000 * SLOWED)} ms`, "–"]);
      }
    } finally {
      await browser.close();
      await mock.stop();
    }
  });

  test("a dashboard of 30 panels", { timeout: 300_000 }, async () => {
    const board = dashboard(30);
    const mock = await Mock.start(boards(board), ...healthy);
    const browser = await open({ height: 4000 });
    try {
      const page = await browser.context.newPage();
      const session = await page.context().newCDPSession(page);
      await session.send("Performance.enable");
      await page.goto(`${mock.url}/d/bench/bench?from=now-1h&to=now`);
      await until("charts", () => page.locator("canvas").count(), (it) => it >= 30, 60_000);
      const asked = (): number => mock.asked.filter((it) => it.path.startsWith("/api/dashboards/query") || it.path.startsWith("/api/v1/query")).length;
      const before = asked();
      const seconds = await busySeconds(session, async () => {
        await page.getByRole("button", { name: "Ask again now" }).click();
        await until("answers", async () => asked(), (it) => it > before, 60_000);
        await page.waitForTimeout(2000);
      });
      rows.push(["requests of one refresh of 30 panels", String(asked() - before), "1"]);
      rows.push(["main thread for it", `${Math.round(seconds * 1000)} ms`, "–"]);
    } finally {
      await browser.close();
      await mock.stop();
    }
  });

  test("very many points", { timeout: 300_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), "watchfire-bench-"));
    const ui = join(import.meta.dirname, "..");
    // As the product is built: the tests' environment would bring the runtime with its checks.
    process.env["NODE_ENV"] = "production";
    await build({ root: ui, configFile: false, plugins: [lean(), svelte()], base: "./", publicDir: false, logLevel: "error", build: { outDir: folder, rolldownOptions: { input: join(import.meta.dirname, "many.html") } } });
    const served = await preview({ root: ui, configFile: false, logLevel: "error", build: { outDir: folder }, preview: { port: 0, host: "127.0.0.1" } });
    const browser = await open();
    try {
      const page = await browser.context.newPage();
      const session = await page.context().newCDPSession(page);
      // Counted by the processor: this does not depend on what else the machine does.
      await session.send("Performance.enable", { timeDomain: "threadTicks" });
      await page.goto(`${served.resolvedUrls?.local[0] ?? ""}bench/many.html`);
      const show = async (series: number, points: number): Promise<number> => {
        await page.evaluate(([a, b]) => (window as unknown as { prepare: (a: number, b: number) => void }).prepare(a, b), [series, points] as const);
        await session.send("HeapProfiler.collectGarbage");
        return busySeconds(session, () => page.evaluate(() => (window as unknown as { show: () => Promise<void> }).show()));
      };
      await show(130, 100);
      const times: number[] = [];
      for (let run = 0; run < 3; run += 1) times.push(await show(1000, 11_000));
      rows.push(["main thread for 1,000 series of 11,000 points, median of 3", `${Math.round(median(times) * 1000)} ms`, "100 ms"]);
    } finally {
      await browser.close();
      await served.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("memory over a day of refreshes", { timeout: 3_600_000 }, async () => {
    const mock = await Mock.start(new Alerting().handler, boards(dashboard(6, "5s")), ...healthy);
    const browser = await open();
    try {
      const page = await browser.context.newPage();
      const session = await page.context().newCDPSession(page);
      await session.send("Performance.enable");
      await page.clock.install();
      await page.goto(`${mock.url}/d/bench/bench?from=now-1h&to=now&refresh=5s`);
      await until("charts", () => page.locator("canvas").count(), (it) => it >= 6, 60_000);
      const heaps: number[] = [];
      let done = 0;
      while (done < REFRESHES) {
        const before = mock.asked.length;
        // Every timer that is due goes off once, and not each frame of five seconds: so a day takes minutes.
        await page.clock.fastForward(REFRESH_MS);
        await answered(page, mock, before);
        // What was asked is not kept here either.
        mock.asked.length = 0;
        done += 1;
        if (done % (REFRESHES / 8) !== 0 && done !== 100) continue;
        heaps.push(await heapBytes(session));
        console.log(`heap after ${done} refreshes: ${((heaps.at(-1) ?? 0) / 2 ** 20).toFixed(1)} MiB`);
      }
      const megabytes = heaps.map((it) => (it / 2 ** 20).toFixed(1));
      rows.push([`heap in MiB after 100 and each eighth of ${REFRESHES} refreshes`, megabytes.join(", "), "flat"]);
    } finally {
      await browser.close();
      await mock.stop();
    }
  });
});

async function answered(page: Page, mock: Mock, before: number): Promise<void> {
  for (let turn = 0; turn < 200 && mock.asked.length === before; turn += 1) await new Promise((resolve) => setTimeout(resolve, 5));
  await page.evaluate(() => 0);
}

const expr = (panel: number): string => `bench_${panel}`;

function dashboard(count: number, refresh = ""): Record<string, unknown> {
  const panels = Array.from({ length: count }, (_, at) => ({
    id: at + 1,
    type: "timeseries",
    title: `Panel ${at + 1}`,
    datasource: { type: "prometheus", uid: "prometheus" },
    gridPos: { h: 6, w: 8, x: (at % 3) * 8, y: Math.floor(at / 3) * 6 },
    targets: [{ refId: "A", expr: expr(at), legendFormat: "{{instance}}" }],
  }));
  return { uid: "bench", title: "Bench", schemaVersion: 39, refresh, time: { from: "now-1h", to: "now" }, panels };
}

/** A server that has one board and answers its questions in one request, five series each. */
function boards(board: Record<string, unknown>): Handler {
  const known = (asked: string) => (asked.startsWith("bench_") ? Array.from({ length: 5 }, (_, at) => ({ labels: { instance: `host-${at}` }, at: (time: number) => wave(time, 600 + at * 100, at, at + 5) })) : undefined);
  return (asked) => {
    if (asked.path === "/api/dashboards/uid/bench") return { body: { dashboard: board, meta: { slug: "bench", version: 1, canSave: true } } };
    if (asked.path === "/api/dashboards/query") {
      const { from, to, queries } = JSON.parse(asked.body) as { from: number; to: number; queries: { ref: string; expr: string; type: string; step: string }[] };
      const results = queries.map((it) => {
        const params = new URLSearchParams({ query: it.expr, start: String(from / 1000), end: String(to / 1000), step: String(Number.parseFloat(it.step)) });
        const reply = series(known)({ ...asked, path: it.type === "range" ? "/api/v1/query_range" : "/api/v1/query", params });
        return { ref: it.ref, status: "success", data: (reply?.body as { data: unknown } | undefined)?.data };
      });
      return { body: { results } };
    }
    return series(known)(asked);
  };
}
