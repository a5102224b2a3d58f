// Dashboards with everything odd in them, and pages that meet a fault, in a real Chromium: they show what they can and say the rest. Not
// what ordinary boards show (dashboards.test.ts).
import { describe, expect, test } from "vitest";
import { Boarding } from "./boarding.ts";
import { chromiumIsThere } from "./browser.ts";
import { site } from "./site.ts";

const TWICE = [{ refId: "A", expr: "node_load1" }, { refId: "A", expr: "node_load5" }];
const link = { title: "Same", url: "https://example.org/", type: "link" };
const ODD = {
  uid: "odd",
  title: "Odd",
  schemaVersion: 39,
  time: { from: "now-99999999999999y", to: "now" },
  timezone: "Mars/Olympus",
  tags: ["twice", "twice"],
  links: [link, link],
  annotations: { list: [{ name: "Same", expr: "changes(up[5m])" }, { name: "Same", expr: "changes(up[5m])" }] },
  templating: {
    list: [
      { name: "zone", type: "custom", query: "north, north, south", current: { value: "north" } },
      { name: "several", type: "custom", query: "a, a, b", multi: true, current: { value: ["a", "a"] } },
      { name: "circle", type: "constant", query: "$circle $zone" },
      { name: "alien", type: "alien" },
      { name: "alien2", type: "alien" },
      { name: "zone", type: "alien" },
      { name: "zone", type: "alien" },
    ],
  },
  panels: [
    { type: "timeseries", title: "Twice", gridPos: { x: 0, y: 0, w: 12, h: 6 }, targets: TWICE, options: { legend: { displayMode: "table", calcs: ["mean", "mean"] } }, fieldConfig: { defaults: { links: [link, link] }, overrides: [] } },
    { type: "stat", title: "Same id", gridPos: { x: 12, y: 0, w: 12, h: 6 }, targets: TWICE, fieldConfig: { defaults: { links: [link, link] }, overrides: [] } },
    { type: "row", title: "Row", gridPos: { x: 0, y: 6, w: 24, h: 1 } },
    { type: "stat", title: "No id either", repeat: "several", maxPerRow: 0, gridPos: { x: 0, y: 7, w: 24, h: 4 }, targets: [{ expr: 'fixed_value{v="7"}' }] },
    { type: "row", title: "Row", gridPos: { x: 0, y: 1e12, w: 24, h: 1 } },
    { id: 9, type: "stat", title: "Cannot be asked", timeShift: "9999999999999999y", gridPos: { x: 0, y: 1e12, w: 12, h: 4 }, targets: [{ expr: "up", legendFormat: "${__from:date}" }] },
    { id: 10, type: "text", title: "Words", gridPos: { x: 12, y: 1e12, w: 12, h: 4 }, options: { content: "Round and $circle" } },
  ],
};

describe.skipIf(!chromiumIsThere())("Odd dashboards", () => {
  const here = site();

  test("a board with everything odd shows its panels and says what it cannot", async () => {
    const boarding = new Boarding("house");
    boarding.put(ODD);
    const { page, faults } = await here.at("/d/odd/x", boarding.handler);
    const panel = (name: string) => page.getByRole("region", { name, exact: true }).and(page.locator("[data-panel]"));
    await panel("Twice").locator("canvas").waitFor();
    await panel("Same id").locator("[data-stat]").first().waitFor();
    await expect.poll(() => panel("Same id").locator("[data-stat]").count()).toBe(6);
    await expect.poll(() => panel("No id either").count()).toBe(1);
    await panel("Cannot be asked").getByText(/cannot make out what to ask for/).waitFor();
    await panel("Words").getByText("Round and $circle north").waitFor();
    await expect.poll(() => page.getByRole("button", { name: "Row" }).count()).toBe(2);
    const asked = boarding.batches.flatMap((it) => it.queries).map((it) => String(it["ref"]));
    expect(new Set(asked).size).toBe(asked.length);
    await page.locator("[data-board-findings] summary").click();
    const said = await page.locator("[data-board-findings] li").allInnerTexts();
    expect(said).toContain("times are those of this browser, not of the time zone Mars/Olympus");
    expect(new Set(said).size).toBe(said.length);
    await page.goto(`${here.mock.url}/dashboards`);
    await page.getByRole("link", { name: "Odd", exact: true }).waitFor();
    expect(faults).toEqual([]);
  });

  test("an address with a lone percent sign says that there is no such dashboard", async () => {
    const { page, faults } = await here.at("/d/100%/x", new Boarding("house").handler);
    await page.getByText("There is no dashboard of this name.").waitFor();
    expect(faults).toEqual([]);
  });

  test("a page that meets a fault says so, keeps its navigation, and other pages work", async () => {
    const { page } = await here.at("/settings", new Boarding("house", "types").handler);
    await page.locator("h1").waitFor();
    await page.evaluate(() => {
      String.prototype.localeCompare = () => {
        throw new Error("no letters left");
      };
    });
    await page.getByRole("link", { name: "Dashboards", exact: true }).click();
    const fault = page.getByRole("alert").filter({ hasText: "This page met a fault: no letters left." });
    await fault.waitFor();
    await page.getByRole("link", { name: "Settings", exact: true }).click();
    await page.locator("h1").filter({ hasText: "Settings" }).waitFor();
    await expect.poll(() => fault.count()).toBe(0);
    await page.getByRole("link", { name: "Dashboards", exact: true }).click();
    // Loaded again, the letters are back.
    await fault.getByRole("link", { name: "Load it again" }).click();
    await page.getByRole("link", { name: "House overview" }).waitFor();
  });

  test("a file that is refused says why, and what was there before is gone", async () => {
    const { page } = await here.at("/dashboards", new Boarding("house").handler);
    await page.getByRole("button", { name: "Import…" }).click();
    const dialog = page.getByRole("dialog");
    const choose = (name: string, text: string) => dialog.getByLabel(/^A file/).setInputFiles({ name, mimeType: "application/json", buffer: Buffer.from(text) });
    await choose("good.json", JSON.stringify(ODD));
    await dialog.getByText("7 variables").waitFor();
    await choose("large.json", " ".repeat(8 * 2 ** 20 + 1));
    await dialog.getByRole("alert").filter({ hasText: "large.json is larger than 8 MiB" }).waitFor();
    await expect.poll(() => dialog.getByText("7 variables").count()).toBe(0);
    await expect.poll(() => dialog.getByRole("button", { name: "Look at it" }).isDisabled()).toBe(true);
    await choose("empty.json", "");
    await dialog.getByRole("alert").filter({ hasText: "empty.json is empty" }).waitFor();
    await dialog.getByLabel("or its text").fill("{");
    await dialog.getByRole("alert").filter({ hasText: "this is no JSON" }).waitFor();
    await dialog.getByLabel("or its text").fill("");
    await expect.poll(() => dialog.getByRole("alert").count()).toBe(0);
  });
});
