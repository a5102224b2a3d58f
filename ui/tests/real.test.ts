// The page on the real server: starts the binary named by WATCHFIRE_BIN with an empty data directory and looks at what it shows.
// Not run without that variable, and then says so.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Browser, chromiumIsThere, open, until, watched } from "./browser.ts";
import { BINARY, Watchfire } from "./server.ts";

describe.skipIf(!BINARY || !chromiumIsThere())("on the real server", () => {
  const server = new Watchfire();
  let browser: Browser;
  let address = "";

  beforeAll(async () => {
    await server.start();
    address = server.address;
    browser = await open();
  });
  afterAll(async () => {
    await browser?.close();
    await server.stop();
  });

  test("api_05_api_06_the_page_shows_this_machine_and_changes_live", async () => {
    const { page, foreign, faults } = await watched(browser, `${address}/`);
    await page.getByRole("heading", { name: "System Status" }).waitFor();
    await until("live", () => page.locator("[data-freshness]").innerText(), (it) => it === "live");
    const state = (name: string): Promise<string | null> =>
      page.getByRole("region", { name, exact: true }).and(page.locator("[data-state]")).getAttribute("data-state");
    // Rates need two samples of the host collector.
    for (const name of ["Memory", "Load", "CPU", "Network", "Disks", "Watchfire"]) {
      await until(`panel ${name}`, () => state(name), (it) => it === "ready", 90_000);
    }
    for (const name of ["GPU", "Services", "Queues"]) await until(`panel ${name}`, () => state(name), (it) => it === "ready");
    expect(["ready", "empty"]).toContain(await state("Temperatures"));
    // Nothing is configured, so none of these may look well.
    for (const name of ["database", "redis", "rtdetr", "nemotron"]) {
      await expect.poll(() => page.locator(`[data-service=${name}]`).innerText()).toMatch(/not configured/);
    }

    const cpu = page.getByRole("region", { name: "CPU", exact: true });
    const before = await cpu.innerText();
    await until("a change", () => cpu.innerText(), (it) => it !== before, 60_000);
    expect(foreign).toEqual([]);
    expect(faults).toEqual([]);
  }, 240_000);

  test("a query is answered, and a wrong one says where", async () => {
    const { page } = await watched(browser, `${address}/query?expr=node_load1`);
    await page.getByRole("cell", { name: /^node_load1\{/ }).waitFor();
    const input = page.getByLabel("PromQL expression");
    await input.fill("sum(node_load1");
    await input.press("Enter");
    await page.getByRole("alert").getByText(/Line 1, column \d+/).waitFor();
  });

  test("what is odd about a query is said with what the server knows of its metrics", async () => {
    const { page } = await watched(browser, `${address}/query`);
    const input = page.getByLabel("PromQL expression");
    await input.fill("rate(node_load1[5m])");
    await page.locator("[data-lint=odd]").getByText("rate() is for counters, and node_load1 is a gauge").waitFor();
    await page.getByText("What this query means").click();
    await page.getByRole("listitem").getByText("the samples of the last 5 min of node_load1 (").waitFor();
    await input.fill('node_load1{nothing="here"}');
    await page.locator("[data-lint=odd]").getByText("node_load1 has no label nothing").waitFor();
    await input.fill("sum(node_load1");
    await page.locator("[data-lint=error]").getByText("Line 1, column").waitFor();
  });

  test("what else changed is asked in queries that the server computes", async () => {
    const { page } = await watched(browser, `${address}/explore?${new URLSearchParams({ left: JSON.stringify(["now-5m", "now", "Prometheus", { expr: "node_load1" }]) }).toString()}`);
    await page.locator("canvas").first().waitFor();
    await page.getByRole("button", { name: "What else changed" }).click();
    const part = (name: string) => page.getByRole("dialog").getByRole("region", { name });
    await until("compared", () => part("Metrics that moved most").innerText(), (it) => /\d+ metrics with job=.* were compared\./.test(it), 60_000);
    for (const name of ["Alerts that began", "What was started", "Lines of errors"]) {
      await until(name, () => part(name).getAttribute("aria-busy"), (it) => it === "false");
      await expect.poll(() => part(name).innerText()).not.toContain("Cannot be told");
    }
  }, 120_000);

  test("the pages beside it say what is not configured, and a cleanup of nothing is not offered", async () => {
    const { page, foreign, faults } = await watched(browser, `${address}/storage`);
    await page.getByText("Nothing to remove now.").waitFor();
    await expect.poll(() => page.getByRole("button", { name: "Clean up now…" }).isDisabled()).toBe(true);
    await page.getByRole("region", { name: "What is kept" }).getByText("metrics").waitFor();
    await page.goto(`${address}/services`);
    await page.getByText("No service is supervised").waitFor();
    await page.goto(`${address}/pipeline`);
    await page.getByRole("region", { name: "Stage latencies" }).getByText("Nothing reports hsi_stage_duration_seconds").waitFor();
    await page.getByRole("region", { name: "Context use" }).getByText("129,536").waitFor();
    expect(foreign).toEqual([]);
    expect(faults).toEqual([]);
  });

  test("what programs record is on the pipeline page", async () => {
    const items = [
      { name: "hsi_detection_queue_depth", labels: {}, value: 7 },
      { name: "hsi_worker_status", labels: { worker_name: "analysis" }, value: 4 },
      { name: "hsi_monthly_cost_usd", labels: {}, value: 41.236 },
    ];
    const recorded = await fetch(`${address}/api/metrics/record`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(items),
    });
    expect(recorded.status).toBe(200);
    const { page } = await watched(browser, `${address}/pipeline`);
    const worker = page.locator("[data-worker=analysis]");
    // Recorded values reach the store with the next round of our own metrics, the page asks every 15 s.
    await worker.waitFor({ timeout: 60_000 });
    await expect.poll(() => worker.innerText()).toMatch(/analysis\s+failed/);
    await page.getByRole("region", { name: "Cost" }).getByText("$41.24").waitFor();
    await page.getByRole("region", { name: "Queues" }).getByText("7", { exact: true }).first().waitFor();
  }, 120_000);
});

describe.skipIf(!BINARY || !chromiumIsThere())("on the real server with services", () => {
  const server = new Watchfire();
  let browser: Browser;

  beforeAll(async () => {
    await server.start(
      (folder) => `services:
  interval: 1s
  timeout: 1s
  watch:
    - name: detector
      check: {command: [/bin/true]}
      restart: {command: [/usr/bin/touch, ${join(folder, "restarted")}]}
`,
    );
    browser = await open();
  });
  afterAll(async () => {
    await browser?.close();
    await server.stop();
  });

  test("a restart is done only after the question, and maintenance holds", async () => {
    const mark = join(server.folder, "restarted");
    const { page, faults } = await watched(browser, `${server.address}/services`);
    const card = page.locator("[data-service=detector]");
    await until("healthy", () => card.locator(".state").innerText(), (it) => it === "healthy", 30_000);
    await card.getByRole("button", { name: "Restart…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    expect(existsSync(mark)).toBe(false);
    await card.getByRole("button", { name: "Restart…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Restart" }).click();
    await until("the command", async () => existsSync(mark), (it) => it, 30_000);
    await until("counted", () => card.innerText(), (it) => /Restarts in all\s+1\b/.test(it), 60_000);
    await card.getByText("History").click();
    await until("history", () => card.locator("ol li b").allInnerTexts(), (it) => it.includes("restarting"));
    await card.getByRole("button", { name: "Maintenance…" }).click();
    await page.getByRole("dialog").getByLabel("Why").fill("new GPU");
    await page.getByRole("dialog").getByRole("button", { name: "Begin" }).click();
    await card.getByText("new GPU").waitFor();
    await card.getByRole("button", { name: "End maintenance…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "End it" }).click();
    await until("ended", () => card.getByText("new GPU").count(), (it) => it === 0);
    await page.locator("[data-audit] summary").click();
    await until("trail", () => page.locator("[data-audit] li").count(), (it) => it >= 3);
    expect(faults).toEqual([]);
  }, 240_000);
});

describe.skipIf(!BINARY || !chromiumIsThere())("on the real server with dead letters", () => {
  const server = new Watchfire();
  let browser: Browser;

  beforeAll(async () => {
    await server.start();
    browser = await open();
  });
  afterAll(async () => {
    await browser?.close();
    await server.stop();
  });

  async function post(path: string, body: unknown): Promise<Record<string, unknown>> {
    const answer = await fetch(server.address + path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${await answer.text()}`);
    return (await answer.json()) as Record<string, unknown>;
  }

  /** A job that a worker gives up on. */
  async function bury(queue: string, image: number): Promise<void> {
    await post(`/api/queues/${queue}/jobs`, { camera_id: "front_door", file_path: `/images/${image}.jpg` });
    const { jobs } = (await post(`/api/queues/${queue}/lease?worker=test`, {})) as { jobs: { lease: string }[] };
    await post(`/api/queues/${queue}/leases/${jobs[0]?.lease}/fail`, { error: `timeout at image ${image}`, error_type: "TimeoutError", retry: false });
  }

  async function queues(): Promise<Record<string, { waiting: number; dead: number }>> {
    const list = (await (await fetch(`${server.address}/api/queues`)).json()) as { name: string; waiting: number; dead: number }[];
    return Object.fromEntries(list.map((it) => [it.name, { waiting: it.waiting, dead: it.dead }]));
  }

  test("dlq_14_questions_do_what_they_say_and_nothing_before", async ({ skip }) => {
    if ((await fetch(`${server.address}/api/queues`)).status === 404) {
      console.error("SKIPPED: the server in WATCHFIRE_BIN has no queues");
      skip();
    }
    for (let image = 0; image < 23; image += 1) await bury("detection_queue", image);
    await bury("analysis_queue", 1);
    const { page, foreign, faults } = await watched(browser, `${server.address}/settings/dlq`);
    const badge = () => page.locator("[data-total]").getAttribute("data-total");
    const panel = (name: string) => page.locator(`[data-queue="${name}"]`);
    await until("the badge", badge, (it) => it === "24");
    await panel("dlq:detection_queue").locator("summary").first().click();
    await panel("dlq:detection_queue").getByText("1–20 of 23").waitFor();
    await panel("dlq:detection_queue").getByText("timeout at image 0", { exact: true }).waitFor();

    // One job goes back alone.
    await panel("dlq:detection_queue").getByRole("button", { name: "Requeue this job" }).first().click();
    await until("the badge", badge, (it) => it === "23");
    expect((await queues())["detection_queue"]).toEqual({ waiting: 1, dead: 22 });

    // Clearing asks, deletes, and is undone.
    await panel("dlq:detection_queue").getByRole("button", { name: "Clear All" }).click();
    await page.keyboard.press("Escape");
    expect((await queues())["detection_queue"]).toEqual({ waiting: 1, dead: 22 });
    await panel("dlq:detection_queue").getByRole("button", { name: "Clear All" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Clear 22 jobs" }).click();
    await until("the badge", badge, (it) => it === "1");
    expect((await queues())["detection_queue"]).toEqual({ waiting: 1, dead: 0 });
    await page.locator(".done").getByRole("button", { name: "Undo" }).click();
    await until("the badge", badge, (it) => it === "23");
    expect((await queues())["detection_queue"]).toEqual({ waiting: 1, dead: 22 });

    // Requeueing all asks and empties the dead letters.
    await panel("dlq:detection_queue").getByRole("button", { name: "Requeue All" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Requeue 22 jobs" }).click();
    await until("the badge", badge, (it) => it === "1");
    expect((await queues())["detection_queue"]).toEqual({ waiting: 23, dead: 0 });

    // One job of the other queue, by its address.
    await panel("dlq:analysis_queue").locator("summary").first().click();
    await panel("dlq:analysis_queue").getByText("Details").click();
    await panel("dlq:analysis_queue").getByRole("link", { name: "Link to this job" }).click();
    await page.getByRole("region", { name: "One job of dlq:analysis_queue" }).getByText("TimeoutError").waitFor();
    await page.locator("[data-audit] summary").click();
    await until("trail", () => page.locator("[data-audit] li").count(), (it) => it === 4);
    expect(foreign).toEqual([]);
    expect(faults).toEqual([]);
  }, 120_000);
});
