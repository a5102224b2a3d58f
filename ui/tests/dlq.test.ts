// The DLQ monitor in a real Chromium against a scripted server that remembers what was done to it. Not the real queues (real.test.ts).
import { describe, expect, test } from "vitest";
import { healthy } from "./answers.ts";
import { chromiumIsThere, until } from "./browser.ts";
import { DeadLetters } from "./deadLetters.ts";
import { type Handler, Mock } from "./mock.ts";
import { session, site } from "./site.ts";

describe.skipIf(!chromiumIsThere())("DLQ monitor", () => {
  const here = site();
  let letters: DeadLetters;

  function at(path: string, ...handlers: Handler[]) {
    letters = new DeadLetters();
    return here.at(path, ...handlers, letters.handler);
  }

  type Page = Awaited<ReturnType<typeof at>>["page"];
  const queue = (page: Page, name: string) => page.locator(`[data-queue="${name}"]`);
  const unfold = (page: Page, name: string) => queue(page, name).locator("summary").first().click();
  const asked = (path: string) => here.mock.asked.filter((it) => it.path === path).length;

  test("dlq_16_the_monitor_is_reached_by_settings", async () => {
    const { page } = await at("/");
    await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Settings" }).click();
    await page.getByRole("heading", { name: "Settings" }).waitFor();
    await page.getByRole("region", { name: "DLQ Monitor" }).getByText("46 jobs").waitFor();
    await page.getByRole("link", { name: "Open the DLQ Monitor" }).click();
    await page.getByRole("heading", { name: "DLQ Monitor" }).waitFor();
    expect(new URL(page.url()).pathname).toBe("/settings/dlq");
    await expect.poll(() => page.getByRole("link", { name: "Settings" }).first().getAttribute("aria-current")).toBe("true");
    await expect.poll(() => page.title()).toBe("DLQ Monitor · Watchfire");
  });

  test("dlq_11_a_badge_shows_the_total", async () => {
    const { page } = await at("/settings/dlq");
    const badge = page.locator("[data-total]");
    await badge.waitFor();
    await expect.poll(() => badge.innerText()).toBe("46 jobs");
    letters.queues.get("dlq:detection_queue")?.splice(1);
    await page.getByRole("button", { name: "Reload now" }).click();
    await until("the badge", () => badge.innerText(), (it) => it === "2 jobs");
  });

  test("dlq_12_each_queue_has_a_panel_that_unfolds", async () => {
    const { page } = await at("/settings/dlq");
    await queue(page, "dlq:analysis_queue").waitFor();
    const names = await page.locator("[data-queue]").evaluateAll((all) => all.map((it) => it.getAttribute("data-queue")));
    expect(names).toEqual(["dlq:detection_queue", "dlq:analysis_queue", "dlq:overflow:detection_queue"]);
    // Jobs are read from the queue on demand: a folded panel asks for none.
    expect(asked("/api/dlq/jobs/dlq:analysis_queue")).toBe(0);
    await expect.poll(() => queue(page, "dlq:analysis_queue").getByRole("listitem").count()).toBe(0);
    const summary = queue(page, "dlq:analysis_queue").locator("summary").first();
    await summary.focus();
    await page.keyboard.press("Enter");
    await queue(page, "dlq:analysis_queue").getByRole("listitem").waitFor();
    await page.keyboard.press("Enter");
    await until("folded", () => queue(page, "dlq:analysis_queue").getAttribute("open"), (it) => it === null);
  });

  test("dlq_13_each_job_shows_its_error_and_times", async () => {
    const { page } = await at("/settings/dlq");
    await unfold(page, "dlq:detection_queue");
    const job = queue(page, "dlq:detection_queue").getByRole("listitem").nth(1);
    await job.getByText("Nemotron answered 503: model is loading (try 1)").waitFor();
    const times = await job.locator("time").evaluateAll((all) => all.map((it) => it.getAttribute("datetime")));
    expect(times).toEqual(["2025-12-30T10:01:00Z", "2025-12-30T10:01:30Z"]);
    await expect.poll(() => job.innerText()).toMatch(/first failed 20\d\d-\d\d-\d\d \d\d:01:00 · last failed 20\d\d-\d\d-\d\d \d\d:01:30, .+ ago · 3 attempts/s);
    await expect.poll(() => job.innerText()).toContain("camera_id: front_door");
    await job.getByText("Details").click();
    await job.getByText("Traceback (most recent call last)").waitFor();
    await expect.poll(() => job.innerText()).toContain("TimeoutError");
  });

  test("dlq_14_requeue_all_and_clear_all_ask_first", async () => {
    const { page } = await at("/settings/dlq");
    for (const [button, title, go, change, left] of [
      ["Requeue All", "Requeue all jobs?", "Requeue 45 jobs", "POST /api/dlq/requeue-all/dlq:detection_queue", 1],
      ["Clear All", "Clear all jobs?", "Clear 1 job", "DELETE /api/dlq/dlq:analysis_queue", 0],
    ] as const) {
      const panel = queue(page, change.slice(change.lastIndexOf("/") + 1));
      await panel.locator("summary").first().click();
      const before = letters.changes.length;
      const trigger = panel.getByRole("button", { name: button });
      await trigger.click();
      const dialog = page.getByRole("dialog", { name: title });
      // The harmless answer has the focus, and leaving changes nothing.
      await expect.poll(() => page.evaluate(() => document.activeElement?.textContent)).toBe("Cancel");
      await page.keyboard.press("Escape");
      await until("closed", () => dialog.count(), (it) => it === 0);
      await trigger.click();
      await dialog.getByRole("button", { name: "Cancel" }).click();
      await until("closed", () => dialog.count(), (it) => it === 0);
      expect(letters.changes.length).toBe(before);
      await expect.poll(() => page.evaluate(() => document.activeElement?.textContent)).toBe(button);
      await trigger.click();
      await dialog.getByRole("button", { name: go }).click();
      await until("the badge", () => page.locator("[data-total]").getAttribute("data-total"), (it) => it === String(left));
      expect(letters.changes.slice(before)).toEqual([change]);
      await until("closed", () => dialog.count(), (it) => it === 0);
    }
    await page.getByText("Cleared 1 jobs from dlq:analysis_queue").waitFor();
  });

  test("a refusal stays in the dialog, with its reason", async () => {
    const { page } = await at("/settings/dlq", ({ method }) =>
      method === "DELETE" ? { status: 503, body: { error: { code: "unavailable", message: "the queues are away" } } } : undefined,
    );
    await unfold(page, "dlq:analysis_queue");
    await queue(page, "dlq:analysis_queue").getByRole("button", { name: "Clear All" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Clear 1 job" }).click();
    await page.getByRole("dialog").getByRole("alert").getByText("Not done: the queues are away").waitFor();
    expect(letters.total).toBe(48);
  });

  test("dlq_15_the_monitor_reloads_every_30_seconds", async () => {
    letters = new DeadLetters();
    here.mock = await Mock.start(letters.handler, ...healthy);
    const page = await here.browser.context.newPage();
    await page.clock.install();
    await page.goto(`${here.mock.url}/settings/dlq`);
    await unfold(page, "dlq:analysis_queue");
    await queue(page, "dlq:analysis_queue").getByRole("listitem").waitFor();
    const stats = asked("/api/dlq/stats");
    const jobs = asked("/api/dlq/jobs/dlq:analysis_queue");
    letters.queues.get("dlq:analysis_queue")?.splice(0);
    // The clock goes on by itself as well, and on a busy machine by seconds.
    await page.clock.runFor(20_000);
    expect(asked("/api/dlq/stats")).toBe(stats);
    await page.clock.runFor(10_500);
    await until("asked again", async () => asked("/api/dlq/stats"), (it) => it === stats + 1);
    // What is unfolded is looked at again as well.
    await until("jobs again", async () => asked("/api/dlq/jobs/dlq:analysis_queue"), (it) => it === jobs + 1);
    await until("the badge", () => page.locator("[data-total]").getAttribute("data-total"), (it) => it === "45");
    await queue(page, "dlq:analysis_queue").getByText("No job lies here.").waitFor();
    await page.close();
  });

  test("many jobs come page by page", async () => {
    const { page } = await at("/settings/dlq");
    await unfold(page, "dlq:detection_queue");
    const panel = queue(page, "dlq:detection_queue");
    await panel.getByText("1–20 of 45").waitFor();
    await expect.poll(() => panel.getByRole("button", { name: "Previous" }).isDisabled()).toBe(true);
    await panel.getByRole("button", { name: "Next" }).click();
    await panel.getByText("21–40 of 45").waitFor();
    await panel.getByRole("button", { name: "Next" }).click();
    await panel.getByText("41–45 of 45").waitFor();
    await expect.poll(() => panel.getByRole("button", { name: "Next" }).isDisabled()).toBe(true);
    await expect.poll(() => panel.locator("ol > li").count()).toBe(5);
    letters.queues.get("dlq:detection_queue")?.splice(30);
    await page.getByRole("button", { name: "Reload now" }).click();
    await panel.getByText("21–30 of 30").waitFor();
  });

  test("one job is requeued alone", async () => {
    const { page } = await at("/settings/dlq");
    await unfold(page, "dlq:detection_queue");
    await queue(page, "dlq:detection_queue").getByRole("listitem").nth(1).getByRole("button", { name: "Requeue this job" }).click();
    await until("the badge", () => page.locator("[data-total]").getAttribute("data-total"), (it) => it === "45");
    expect(letters.queues.get("dlq:detection_queue")?.map((it) => it.id).slice(0, 2)).toEqual(["d0", "d2"]);
  });

  test("a clear is undone at once, or later from the list; the trail tells it", async () => {
    const { page } = await at("/settings/dlq");
    const badge = () => page.locator("[data-total]").getAttribute("data-total");
    const clear = async () => {
      await queue(page, "dlq:detection_queue").getByRole("button", { name: "Clear All" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Clear 45 jobs" }).click();
      await until("cleared", badge, (it) => it === "1");
    };
    await unfold(page, "dlq:detection_queue");
    await clear();
    await page.locator(".done").getByRole("button", { name: "Undo" }).click();
    await until("back", badge, (it) => it === "46");
    await page.getByText("Restored 45 jobs to dlq:detection_queue").waitFor();
    await expect.poll(() => page.locator("[data-undo=undo-1]").innerText()).toContain("brought back");
    await clear();
    await page.reload();
    await page.locator("[data-undo=undo-2]").getByRole("button", { name: "Undo" }).click();
    await until("back again", badge, (it) => it === "46");
    await page.locator("[data-audit] summary").click();
    await until("trail", () => page.locator("[data-audit] li").count(), (it) => it === 4);
  });

  test("what had to leave a full queue is told apart, and one job has an address", async () => {
    const { page } = await at("/settings/dlq");
    await page.getByText("and 2 jobs out of full queues").waitFor();
    await unfold(page, "dlq:overflow:detection_queue");
    await queue(page, "dlq:overflow:detection_queue").getByText("Jobs that had to leave detection_queue, which was full.").waitFor();
    const job = queue(page, "dlq:overflow:detection_queue").getByRole("listitem").nth(1);
    await job.getByText("Details").click();
    await job.getByRole("link", { name: "Link to this job" }).click();
    const one = page.getByRole("region", { name: "One job of dlq:overflow:detection_queue" });
    await one.getByText("queue_overflow").waitFor();
    await page.reload();
    await one.getByText("queue_overflow").waitFor();
    await one.getByRole("button", { name: "Requeue this job" }).click();
    await one.getByText("It is not there any more").waitFor();
    expect(letters.queues.get("dlq:overflow:detection_queue")?.map((it) => it.id)).toEqual(["o0"]);
  });

  test("who may only read is offered nothing that changes something", async () => {
    const { page } = await at("/settings/dlq", session("read"));
    await unfold(page, "dlq:detection_queue");
    await queue(page, "dlq:detection_queue").getByText("1–20 of 45").waitFor();
    for (const name of [/requeue/i, /clear/i, /undo/i]) await expect.poll(() => page.getByRole("button", { name }).count()).toBe(0);
    await page.getByText("need the level admin").waitFor();
  });

  test("a server without queues is said to be one", async () => {
    const { page } = await at("/settings/dlq", ({ path }) =>
      path === "/api/dlq/stats" ? { status: 503, body: { error: { code: "unavailable", message: "Redis cannot be reached" } } } : undefined,
    );
    await page.getByRole("alert").getByText("Redis cannot be reached").waitFor();
    await expect.poll(() => page.locator("[data-total]").count()).toBe(0);
  });
});
