// Dashboards on the real server: those of the packs and of files, saved and asked for as the page does it. Skipped without the binary.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { boardFile } from "./boarding.ts";
import { type Browser, chromiumIsThere, open, until, watched } from "./browser.ts";
import { BINARY, Watchfire } from "./server.ts";

const PACKS = join(import.meta.dirname, "../../packs");
const packed = readdirSync(PACKS).flatMap((pack) => {
  try {
    return readdirSync(join(PACKS, pack, "dashboards")).filter((it) => it.endsWith(".json")).map((it) => join(PACKS, pack, "dashboards", it));
  } catch {
    return [];
  }
});

describe.skipIf(!BINARY || !chromiumIsThere())("Dashboards on the real server", () => {
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

  const save = async (dashboard: Record<string, unknown>): Promise<{ uid: string; url: string }> => {
    const response = await fetch(`${server.address}/api/dashboards/db`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ dashboard: { ...dashboard, id: null, version: 0 }, overwrite: true, message: "test", folderUid: "" }) });
    expect(response.status, await response.clone().text()).toBe(200);
    return (await response.json()) as { uid: string; url: string };
  };

  test("one refresh is one request, and this machine's own figures are shown", async () => {
    const board = { uid: "real-1", title: "Real", schemaVersion: 39, time: { from: "now-15m", to: "now" }, panels: [
      { id: 1, type: "stat", title: "Processors", gridPos: { x: 0, y: 0, w: 6, h: 5 }, targets: [{ refId: "A", expr: 'count(count by (cpu) (node_cpu_seconds_total))', instant: true }], options: { reduceOptions: { calcs: ["lastNotNull"] } } },
      { id: 2, type: "timeseries", title: "Load", gridPos: { x: 6, y: 0, w: 12, h: 8 }, targets: [{ refId: "A", expr: "node_load1", legendFormat: "{{instance}}" }] },
      { id: 3, type: "stat", title: "Bad", gridPos: { x: 18, y: 0, w: 6, h: 5 }, targets: [{ refId: "A", expr: "sum(" }] },
    ] };
    const { url } = await save(board);
    const { page, faults, foreign } = await watched(browser, server.address + url);
    const asked: string[] = [];
    page.on("request", (it) => asked.push(new URL(it.url()).pathname));
    const figure = page.locator("[data-panel='1'] [data-stat]");
    await until("the first samples", async () => {
      // What the page before still asks is not counted.
      await page.goto("about:blank");
      asked.length = 0;
      await page.goto(server.address + url);
      for (const panel of [1, 2]) await page.locator(`[data-panel='${panel}'][aria-busy=false]`).waitFor();
      // A range ends at a whole step: the first sample may not be in it yet when the figure is there.
      if (!(await page.locator("[data-panel='2'] canvas").isVisible())) return "";
      return figure.innerText({ timeout: 500 }).catch(() => "");
    }, (it) => /^\d+$/.test(it.trim()), 60_000);
    await page.locator("[data-panel='2'] canvas").waitFor();
    await page.locator("[data-panel='3']").getByText(/parse error/).waitFor();
    expect(asked.filter((it) => it === "/api/dashboards/query").length).toBe(1);
    expect(asked.filter((it) => it.startsWith("/api/v1/query"))).toEqual([]);
    expect([faults, foreign]).toEqual([[], []]);
    await page.close();
  });

  test.each(packed)("%s has no finding and no failing query", async (file) => {
    const { uid } = await save({ ...(JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>), uid: `copy-${packed.indexOf(file)}` });
    const { page, faults } = await watched(browser, `${server.address}/d/${uid}/x`);
    await page.locator("[data-panel]").first().waitFor();
    for (const row of await page.locator(".row button[aria-expanded=false]").all()) await row.click();
    await until("all answered", () => page.locator("[data-panel][aria-busy=true]").count(), (it) => it === 0);
    await expect.poll(() => page.locator("[data-findings] li, [data-board-findings] li").allTextContents()).toEqual([]);
    await expect.poll(() => page.locator("[data-panel] [role=alert]").allInnerTexts()).toEqual([]);
    expect(faults).toEqual([]);
    await page.close();
  });

  test("saved from the page, found in the list, an older version brought back", async () => {
    await save({ ...boardFile("house"), uid: "house" });
    const { page } = await watched(browser, `${server.address}/d/house/x`);
    await page.getByRole("button", { name: "Edit", exact: true }).click();
    await page.getByRole("button", { name: "Settings…" }).click();
    await page.getByRole("dialog").getByLabel("Title").fill("Second");
    await page.getByRole("dialog").getByRole("button", { name: "Take" }).click();
    await page.getByRole("button", { name: "Save…" }).click();
    await page.getByLabel("What was changed").fill("its name");
    await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
    await page.getByText("not saved").waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Versions…" }).click();
    const dialog = page.getByRole("dialog", { name: "Versions of this dashboard" });
    await dialog.getByRole("row", { name: /its name/ }).waitFor();
    await dialog.getByRole("button", { name: "Restore" }).last().click();
    await page.getByRole("heading", { name: "House overview" }).waitFor();
    await page.goto(`${server.address}/dashboards`);
    await page.getByRole("link", { name: "House overview" }).waitFor();
    const kept = (await (await fetch(`${server.address}/api/dashboards/uid/house`)).json()) as { dashboard: Record<string, unknown> };
    expect(kept.dashboard["x_unknown"]).toEqual(boardFile("house")["x_unknown"]);
    await page.close();
  });
});
