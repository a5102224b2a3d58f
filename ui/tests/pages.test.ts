// The pages beside System Status and the query, in a real Chromium: what they show, what they say when there is nothing, what they
// do, who is offered it; phone width, keyboard and policy of all of them. Not the flows of the DLQ monitor (dlq.test.ts), of
// silences (alerts.test.ts), of logs (logs.test.ts) and of traces (traces.test.ts).
import { describe, expect, test } from "vitest";
import { Alerting } from "./alerting.ts";
import { healthy, PREVIEW } from "./answers.ts";
import { Boarding } from "./boarding.ts";
import { chromiumIsThere, open, until, watched } from "./browser.ts";
import { DeadLetters } from "./deadLetters.ts";
import { lines, Logging } from "./logging.ts";
import { type Handler, Mock } from "./mock.ts";
import { collected } from "./collecting.ts";
import { histograms, pipeline } from "./pipeline.ts";
import { session, site } from "./site.ts";
import { Supervision } from "./supervised.ts";
import { Tracing } from "./tracing.ts";
import { Watching } from "./watching.ts";

const PAGES = ["/overview", "/dashboards", "/d/house/x", "/explore", "/logs", "/traces", "/traces/map", "/traces/compare", "/alerts", "/rules", "/doctor", "/pipeline", "/cameras", "/services", "/processes", "/targets", "/targets?of=probes", "/storage", "/settings", "/settings/dlq"] as const;
/** Its queries are left to the others: figures of those pages are theirs. */
const boards = new Boarding("house");
boards.known = () => undefined;
const everything = (): Handler[] => [new Alerting().handler, new DeadLetters().handler, new Supervision().handler, new Watching().handler, new Logging(lines(200)).handler, new Tracing().handler, boards.handler, collected, ...pipeline];

describe.skipIf(!chromiumIsThere())("pages", () => {
  const here = site();

  const at = here.at.bind(here);
  type Page = Awaited<ReturnType<typeof at>>["page"];
  const panel = (page: Page, name: string) => page.getByRole("region", { name, exact: true });

  test("the pipeline page shows what is recorded, states in words", async () => {
    const { page } = await at("/pipeline", ...pipeline);
    await panel(page, "Workers").getByText("restarting", { exact: true }).waitFor();
    const words = await panel(page, "Workers").locator("[data-worker]").evaluateAll((all) => all.map((it) => (it as HTMLElement).innerText.split("\n").slice(0, 2)));
    expect(words).toEqual([
      ["analysis_worker", "restarting"],
      ["batch_timeout", "crashed"],
      ["cleanup", "running"],
      ["detection_worker", "running"],
      ["file_watcher", "stopped"],
      ["metrics", "failed"],
    ]);
    const row = panel(page, "Queues").getByRole("row", { name: /^detection_queue/ });
    // What nobody reports is not a zero.
    await expect.poll(() => row.getByRole("cell").allInnerTexts()).toEqual(["2", "17", "–", "–"]);
    await expect.poll(() => panel(page, "Stage latencies").getByRole("row", { name: /^analyze/ }).getByRole("cell").allInnerTexts()).toEqual(["7.4 s", "6.66 s", "12.6 s", "–", "412"]);
    await panel(page, "Context use").getByText("129,536").waitFor();
    await panel(page, "Cost").getByText("$41.24").waitFor();
    await expect.poll(() => panel(page, "Cost").getByRole("meter", { name: "Budget used, monthly" }).getAttribute("aria-valuetext")).toBe("109%");
    await panel(page, "Cost").getByLabel("Through the gateway, by").selectOption("cameras");
    await expect.poll(() => panel(page, "Cost").getByRole("row", { name: /^garage/ }).getByRole("cell").allInnerTexts()).toEqual(["3,020", "3", "6.34 M", "332 k", "$13.74"]);
    const gateway = await panel(page, "Gateway").innerText();
    expect(gateway).toMatch(/2 running of at most 4, 1 waiting/);
    expect(gateway).toMatch(/cloud\s+left alone after failures/);
    await expect.poll(() => panel(page, "Gateway").getByText(/^(NORMAL|WARNING)$/).count()).toBe(1);
  });

  test("the range is in the address, and the quantile is asked for", async () => {
    const { page } = await at("/pipeline", ...pipeline);
    await panel(page, "Stage latencies").getByText("p95 of stage").or(panel(page, "Stage latencies").locator("canvas")).first().waitFor();
    await page.getByRole("link", { name: "Last 6 hours" }).click();
    expect(new URL(page.url()).search).toBe("?range=6h");
    await panel(page, "Stage latencies").getByLabel("Over time").selectOption("p99");
    await until(
      "the request",
      async () => here.mock.asked.filter((it) => it.params.get("query")?.startsWith("histogram_quantile(0.99")).at(-1)?.params,
      (it) => Number(it?.get("end")) - Number(it?.get("start")) === 21_600,
    );
  });

  test("a pipeline that reports nothing is said to, with the reason and without a figure", async () => {
    const { page } = await at("/pipeline");
    for (const [name, reason] of [
      ["Stage latencies", "Nothing reports hsi_stage_duration_seconds"],
      ["Workers", "Nothing reports hsi_worker_status"],
      ["Tokens", "Nothing reports hsi_nemotron_tokens_input_total"],
      ["Cost", "This server has no /api/llm/cost."],
      ["Context use", "This server has no /api/llm/budget."],
      ["Queues", "Nothing reports hsi_dlq_depth"],
      ["Gateway", "This server has no /api/llm/cost."],
    ] as const) {
      await panel(page, name).getByText(reason).waitFor();
      expect((await panel(page, name).innerText()).replaceAll(/p\d\d|\d+ (hour|min)/g, ""), name).not.toMatch(/\d/);
    }
  });

  test("every service has its state in words, and what is not configured says so", async () => {
    const { page } = await at("/services", new Supervision().handler);
    const card = (name: string) => page.locator(`[data-service=${name}]`);
    await card("clip").waitFor();
    for (const [name, words] of [
      ["clip", "failed, needs a hand"],
      ["florence", "unhealthy"],
      ["nemotron", "restarting"],
      ["redis", "healthy"],
      ["yolo26", "restart failed"],
      ["enrichment", "unknown"],
    ] as const) {
      await expect.poll(() => card(name).locator(".state").innerText()).toBe(words);
    }
    await expect.poll(() => card("clip").innerText()).toMatch(/Attempts without success\s+3 of 3/);
    await expect.poll(() => card("clip").innerText()).toMatch(/Last error\s+connection refused/);
    await expect.poll(() => card("florence").innerText()).toMatch(/In maintenance until .+, asked for by ada: new model weights\./);
    // It is only watched: there is nothing to restart it by.
    await expect.poll(() => card("redis").getByRole("button", { name: "Restart…" }).count()).toBe(0);
    await card("rtdetr").getByText("History").click();
    await until("events", () => card("rtdetr").locator("ol li b").allInnerTexts(), (it) => it.join() === "healthy,restarting,unhealthy");
    await page.goto(`${here.mock.url}/`);
    here.mock.handlers.unshift(({ path }) => (path === "/api/system/services" ? { body: { services: [], timestamp: "" } } : undefined));
    await page.goto(`${here.mock.url}/services`);
    await page.getByText("No service is supervised").waitFor();
    await expect.poll(() => card("nemotron").innerText()).toMatch(/not configured/);
  });

  test("a restart asks first, and a pushed change is shown without waiting", async () => {
    const supervision = new Supervision();
    const { page } = await at("/services", supervision.handler);
    const card = page.locator("[data-service=rtdetr]");
    await card.getByRole("button", { name: "Restart…" }).click();
    await page.getByRole("dialog", { name: "Restart rtdetr?" }).getByText("It is healthy at the moment.").waitFor();
    await page.keyboard.press("Escape");
    expect(supervision.changes).toEqual([]);
    await card.getByRole("button", { name: "Restart…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Restart" }).click();
    await until("restarting", () => card.locator(".state").innerText(), (it) => it === "restarting");
    expect(supervision.changes).toEqual(["POST /api/system/services/rtdetr/restart"]);
    await until("the socket", async () => here.mock.listeners, (it) => it === 1);
    const rtdetr = supervision.services.find((it) => it["name"] === "rtdetr");
    if (rtdetr) rtdetr["status"] = "failed";
    here.mock.push({ type: "service_status", data: { service: "rtdetr", status: "failed", message: "gave up" } });
    await until("failed", () => card.locator(".state").innerText(), (it) => it.startsWith("failed"), 8000);
  });

  test("maintenance begins with a length and a reason, and ends", async () => {
    const supervision = new Supervision();
    const { page } = await at("/services", supervision.handler);
    const card = page.locator("[data-service=rtdetr]");
    await card.getByRole("button", { name: "Maintenance…" }).click();
    const dialog = page.getByRole("dialog", { name: "Maintenance of rtdetr" });
    await dialog.getByLabel("For").selectOption("4h");
    await dialog.getByLabel("Why").fill("new GPU");
    await dialog.getByRole("button", { name: "Begin" }).click();
    await card.getByText("new GPU").waitFor();
    await card.getByRole("button", { name: "End maintenance…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "End it" }).click();
    await until("ended", () => card.getByText("new GPU").count(), (it) => it === 0);
    expect(supervision.changes).toEqual([
      'POST /api/system/services/rtdetr/maintenance {"duration":"4h","reason":"new GPU"}',
      "DELETE /api/system/services/rtdetr/maintenance",
    ]);
  });

  test("a cleanup shows what would go, asks, and shows what went", async () => {
    let left = PREVIEW.segments_deleted;
    const changes: string[] = [];
    const { page } = await at("/storage", ({ method, path }) => {
      if (path === "/api/system/cleanup/preview") return { body: { ...PREVIEW, segments_deleted: left, samples_deleted: left * 400_000, space_reclaimed: left * 2 ** 23 } };
      if (path !== "/api/system/cleanup") return undefined;
      changes.push(method);
      left = 0;
      return { body: { ...PREVIEW, dry_run: false } };
    });
    const cleanup = panel(page, "Cleanup");
    await cleanup.getByText("3 files would go now: 1.20 M samples, 24.0 MiB.").waitFor();
    await panel(page, "What is kept").getByText("30 d").waitFor();
    await panel(page, "Disk").getByText("2.00 GiB").waitFor();
    const go = cleanup.getByRole("button", { name: "Clean up now…" });
    await go.click();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    expect(changes).toEqual([]);
    await go.click();
    await page.getByRole("dialog", { name: "Clean up now?" }).getByRole("button", { name: "Remove 3 files" }).click();
    await cleanup.getByText("Removed 3 files").waitFor();
    await cleanup.getByText("Nothing to remove now.").waitFor();
    expect(changes).toEqual(["POST"]);
    await expect.poll(() => go.isDisabled()).toBe(true);
  });

  test("who may only read is offered nothing that changes something", async () => {
    const { page } = await at("/services", session("read"), new Supervision().handler);
    await page.locator("[data-service=clip]").waitFor();
    for (const name of ["Restart…", "Maintenance…", "End maintenance…"]) await expect.poll(() => page.getByRole("button", { name }).count()).toBe(0);
    await page.goto(`${here.mock.url}/storage`);
    await panel(page, "Cleanup").getByText("3 files").waitFor();
    await expect.poll(() => page.getByRole("button", { name: /Clean up/ }).count()).toBe(0);
  });

  test("series of native histograms are shown on the query page", async () => {
    const { page } = await at("/query?expr=latency", histograms);
    const chart = page.getByRole("figure", { name: 'Histograms of latency{job="api"}' });
    await chart.waitFor();
    await expect.poll(() => chart.innerText()).toMatch(/histogram: count \d+, sum [\d.]+, mean 0\.7/);
    await expect.poll(() => chart.locator("path[d]:not([d=''])").count()).toBeGreaterThan(2);
    await expect.poll(() => page.getByText("No samples in this range.").count()).toBe(0);
    await expect.poll(() => page.getByRole("row", { name: /latency/ }).innerText()).toMatch(/histogram: count/);
  });

  test("where Grafana has its alerts, ours are", async () => {
    for (const [path, title] of [["/alerting/list", "Rules"], ["/alerting/silences", "Alerts"], ["/alerting/", "Alerts"]] as const) {
      const { page } = await at(path, new Alerting().handler);
      await page.getByRole("heading", { name: title, exact: true }).waitFor();
      await page.close();
    }
  });

  test("nothing leaves the origin and nothing breaks the policy", async () => {
    const seen = await at("/pipeline", ...everything());
    await seen.page.locator("canvas").nth(3).waitFor();
    for (const path of PAGES) {
      await seen.page.goto(here.mock.url + path);
      await seen.page.locator("h1").waitFor();
      await seen.page.waitForLoadState("networkidle");
    }
    expect(seen.foreign).toEqual([]);
    expect(seen.faults).toEqual([]);
  });

  test.each(PAGES)("%s is reached by the keyboard, with the focus visible", async (path) => {
    const { page } = await at(path, ...everything());
    await page.locator("h1").waitFor();
    await page.waitForLoadState("networkidle");
    const reached = new Set<string>();
    for (let step = 0; step < 40; step += 1) {
      await page.keyboard.press("Tab");
      const focus = await page.evaluate(() => {
        const it = document.activeElement;
        if (!it || it === document.body) return undefined;
        return { text: it.textContent?.trim() ?? "", outline: getComputedStyle(it).outlineStyle, inside: it.closest("main") !== null };
      });
      if (!focus) break;
      expect(focus.outline, JSON.stringify(focus)).not.toBe("none");
      if (focus.inside) reached.add(focus.text);
    }
    expect(reached.size).toBeGreaterThan(path === "/settings" ? 0 : 2);
  });
});

describe.skipIf(!chromiumIsThere())("on a phone", () => {
  test("no page scrolls sideways, folded or unfolded", { timeout: 180_000 }, async () => {
    const browser = await open({ width: 390, height: 844 });
    const mock = await Mock.start(...everything(), ...healthy);
    const overflow = (): number => document.documentElement.scrollWidth - document.documentElement.clientWidth;
    try {
      const { page } = await watched(browser, `${mock.url}/`);
      for (const path of PAGES) {
        await page.goto(mock.url + path);
        await page.locator("h1").waitFor();
        await page.waitForLoadState("networkidle");
        await expect.poll(() => page.evaluate(overflow), { message: path }).toBe(0);
        await page.evaluate(() => document.querySelectorAll("main details").forEach((it) => it.setAttribute("open", "")));
        await page.waitForLoadState("networkidle");
        await expect.poll(() => page.evaluate(overflow), { message: `${path} unfolded` }).toBe(0);
      }
    } finally {
      await browser.close();
      await mock.stop();
    }
  });
});
