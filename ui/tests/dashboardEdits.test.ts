// Changing dashboards in a real Chromium: import by file, drop and text, export, panels added, edited, moved, undone, saved, versions; by
// the keyboard, too, and what axe says of it all. Not what panels show (dashboards.test.ts).
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Alerting } from "./alerting.ts";
import { violations } from "./axe.ts";
import { Boarding, boardFile } from "./boarding.ts";
import { chromiumIsThere, until, watched } from "./browser.ts";
import { site } from "./site.ts";
import { Tracing } from "./tracing.ts";

type Page = Awaited<ReturnType<typeof watched>>["page"];
type Fields = Record<string, unknown>;
const panel = (page: Page, name: string) => page.getByRole("region", { name, exact: true }).and(page.locator("[data-panel]"));
const BOARDS = join(import.meta.dirname, "boards");

async function download(page: Page, act: () => Promise<void>): Promise<Fields> {
  const [file] = await Promise.all([page.waitForEvent("download"), act()]);
  return JSON.parse(readFileSync(await file.path(), "utf8")) as Fields;
}

describe.skipIf(!chromiumIsThere())("Changing dashboards", () => {
  const here = site();
  const at = async (path: string, boarding = new Boarding("house")) => ({ ...(await here.at(path, boarding.handler, new Tracing().handler, new Alerting().handler)), boarding });
  const panelsOf = (raw: Fields): Fields[] => raw["panels"] as Fields[];

  test("pis_12_a_dashboard_file_is_imported_by_hand_and_exported_as_it_was", async () => {
    const { page, boarding } = await at("/dashboards", new Boarding());
    await page.getByRole("button", { name: "Import…" }).click();
    const dialog = page.getByRole("dialog", { name: "Import a dashboard" });
    await dialog.getByLabel("A file with the JSON of a Grafana dashboard").setInputFiles(join(BOARDS, "house.json"));
    await dialog.getByText("8 panels, 2 variables").waitFor();
    // Its input is a data source, of which the one of that type is offered.
    await expect.poll(() => dialog.getByLabel("Prometheus").inputValue()).toBe("Prometheus");
    await dialog.getByRole("button", { name: "Look at it" }).click();
    await panel(page, "CPU busy").getByRole("meter").waitFor();
    expect(boarding.saves.length).toBe(0);
    await page.getByRole("button", { name: "Save…" }).click();
    await page.getByLabel("Folder").selectOption("Examples");
    await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
    await until("the address", async () => new URL(page.url()).pathname, (it) => it === "/d/house/board");
    const [saved] = boarding.saves;
    expect(saved).toMatchObject({ folderUid: "examples", overwrite: false });
    const before = boardFile("house");
    const { __inputs: _inputs, __requires: _requires, ...rest } = JSON.parse(JSON.stringify(before).replaceAll("${DS_PROMETHEUS}", "Prometheus")) as Fields;
    expect(saved?.["dashboard"]).toEqual({ ...rest, id: null });
    await panel(page, "CPU busy").getByRole("meter").waitFor();
    const exported = await download(page, () => page.getByRole("button", { name: "Export" }).click());
    expect({ ...exported, version: 3 }).toEqual({ ...rest, id: null });
  });

  test("a file is dropped on the list, and text is pasted; what is no dashboard is refused in words", async () => {
    const { page } = await at("/dashboards", new Boarding());
    await page.getByText("No dashboards yet.").waitFor();
    const text = readFileSync(join(BOARDS, "redis.json"), "utf8");
    await page.evaluate((text) => {
      const data = new DataTransfer();
      data.items.add(new File([text], "redis.json", { type: "application/json" }));
      dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    }, text);
    const dialog = page.getByRole("dialog", { name: "Import a dashboard" });
    await dialog.getByText("7 panels, 2 variables").waitFor();
    await dialog.getByLabel("or its text").fill("{");
    await dialog.getByText("this is no JSON").waitFor();
    await expect.poll(() => dialog.getByRole("button", { name: "Look at it" }).isDisabled()).toBe(true);
    await dialog.getByLabel("or its text").fill('{"a": 1}');
    await dialog.getByText("it has no panels, rows, title or schema version").waitFor();
    await dialog.getByLabel("or its text").fill(JSON.stringify({ title: "Pasted", panels: [{ id: 1, type: "text", title: "Words", options: { content: "hello" }, gridPos: { x: 0, y: 0, w: 12, h: 4 } }] }));
    await dialog.getByRole("button", { name: "Look at it" }).click();
    await page.getByRole("heading", { name: "Pasted" }).waitFor();
    await panel(page, "Words").getByText("hello").waitFor();
  });

  test("a panel is added, edited with a live picture, and saved; the rest stays as it was", async () => {
    const { page, boarding } = await at("/d/house/x");
    await panel(page, "CPU busy").waitFor();
    await page.getByRole("button", { name: "Edit", exact: true }).click();
    await page.getByLabel("Type of the new panel").selectOption("Stat");
    await page.getByRole("button", { name: "Add a panel" }).click();
    const dialog = page.getByRole("dialog", { name: "Edit the panel" });
    await dialog.getByLabel("Title").fill("Answer");
    await dialog.getByRole("textbox", { name: "Query A" }).fill('fixed_value{v="42"}');
    await dialog.getByLabel("Unit").fill("percent");
    await dialog.getByLabel("Unit").press("Tab");
    await dialog.getByRole("button", { name: "Add a threshold" }).click();
    await dialog.getByLabel("From value 2").fill("40");
    await dialog.getByLabel("From value 2").press("Tab");
    await until("the picture", () => dialog.locator("[data-stat]").innerText().catch(() => ""), (it) => it.replace(/\s/g, "") === "42%");
    await expect.poll(() => dialog.locator("[data-stat]").getAttribute("style")).toContain("--critical");
    await dialog.getByRole("button", { name: "Take" }).click();
    await until("the board", () => panel(page, "Answer").locator("[data-stat]").innerText().catch(() => ""), (it) => it.replace(/\s/g, "") === "42%");
    await page.getByText("not saved").waitFor();
    await page.getByRole("button", { name: "Save…" }).click();
    await page.getByLabel("What was changed").fill("the answer");
    await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
    await until("saved", async () => boarding.saves.length, (it) => it === 1);
    const saved = boarding.saves[0]?.["dashboard"] as Fields;
    expect(boarding.saves[0]?.["message"]).toBe("the answer");
    expect(saved["x_unknown"]).toEqual(boardFile("house")["x_unknown"]);
    expect(panelsOf(saved)[0]).toMatchObject({ type: "stat", title: "Answer", gridPos: { x: 0, y: 0, w: 12, h: 8 }, targets: [{ refId: "A", expr: 'fixed_value{v="42"}' }], fieldConfig: { defaults: { unit: "percent", thresholds: { steps: [{ color: "green", value: null }, { color: "red", value: 40 }] } } } });
    // Below it everything else, with nothing changed but its height.
    const moved = panelsOf(saved).slice(1).map(({ gridPos: _, ...it }) => it);
    expect(moved).toEqual(panelsOf(boardFile("house")).map(({ gridPos: _, ...it }) => it));
  });

  test("panels are moved and resized by pointer and by keys, undone and done again", async () => {
    const { page } = await at("/d/house/x");
    await panel(page, "Uptime").waitFor();
    await page.getByRole("button", { name: "Edit", exact: true }).click();
    const posOf = (name: string): Promise<string | null> => page.locator("[data-pos]").filter({ has: panel(page, name) }).getAttribute("data-pos");
    const before = await posOf("Machines");
    expect(before).toBe("0,15,12,8");
    await page.getByRole("button", { name: "Resize Machines with the arrow keys" }).focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowDown");
    // Wider, it covers its neighbour, which goes below it.
    await until("resized", () => posOf("Machines"), (it) => it === "0,15,13,9");
    await expect.poll(() => posOf("Notes")).toBe("12,24,12,8");
    await page.keyboard.press("Control+z");
    await page.keyboard.press("Control+z");
    await until("undone", () => posOf("Machines"), (it) => it === before);
    await expect.poll(() => posOf("Notes")).toBe("12,15,12,8");
    await page.keyboard.press("Control+Shift+z");
    await until("again", () => posOf("Machines"), (it) => it === "0,15,13,8");
    await page.getByRole("button", { name: "Undo" }).click();
    const handle = page.getByRole("button", { name: "Move Notes with the arrow keys" });
    await handle.scrollIntoViewIfNeeded();
    const box = (await handle.boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
    const grid = (await page.locator(".grid").boundingBox())?.width ?? 0;
    await page.mouse.move(box.x + 5, box.y + 5);
    await page.mouse.down();
    await page.mouse.move(box.x + 5 - grid / 2, box.y + 5, { steps: 5 });
    await page.mouse.up();
    await until("moved", () => posOf("Notes"), (it) => it === "0,15,12,8");
    await expect.poll(() => posOf("Machines")).toBe("0,23,12,8");
  });

  test("a panel is duplicated and removed, and the dashboard's own words are changed", async () => {
    const { page } = await at("/d/house/x");
    await panel(page, "Uptime").waitFor();
    await page.getByRole("button", { name: "Edit", exact: true }).click();
    await page.getByRole("button", { name: "Menu of Uptime" }).click();
    await page.getByRole("button", { name: "Duplicate" }).click();
    await until("two", () => panel(page, "Uptime").count(), (it) => it === 2);
    await page.getByRole("button", { name: "Menu of Notes" }).click();
    await page.getByRole("button", { name: "Remove" }).click();
    await until("gone", () => panel(page, "Notes").count(), (it) => it === 0);
    await page.getByRole("button", { name: "Settings…" }).click();
    await page.getByRole("dialog").getByLabel("Title").fill("Renamed");
    await page.getByRole("dialog").getByRole("button", { name: "Take" }).click();
    await page.getByRole("heading", { name: "Renamed" }).waitFor();
    for (let step = 0; step < 3; step += 1) await page.getByRole("button", { name: "Undo" }).click();
    await page.getByRole("heading", { name: "House overview" }).waitFor();
    await panel(page, "Notes").waitFor();
    await expect.poll(() => page.getByText("not saved").count()).toBe(0);
  });

  test("versions are told, compared and brought back; what somebody else saved is not lost unasked", async () => {
    const { page, boarding } = await at("/d/house/x");
    await panel(page, "Uptime").waitFor();
    // Somebody else saves meanwhile.
    const kept = boarding.boards.get("house");
    if (kept) {
      kept.raw = { ...kept.raw, title: "Theirs", version: 2 };
      kept.versions.push({ version: 2, raw: kept.raw, message: "theirs", created: "2026-03-01T09:30:00Z" });
    }
    await page.getByRole("button", { name: "Edit", exact: true }).click();
    await page.getByRole("button", { name: "Settings…" }).click();
    await page.getByRole("dialog").getByLabel("Title").fill("Mine");
    await page.getByRole("dialog").getByRole("button", { name: "Take" }).click();
    await page.getByRole("button", { name: "Save…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
    await page.getByText("Not done: The dashboard has been changed by someone else").waitFor();
    await page.getByLabel("Save over what is there").check();
    await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
    await until("three", async () => kept && boarding.boards.get("house")?.versions.length, (it) => it === 3);
    await page.getByRole("heading", { name: "Mine" }).waitFor();
    await page.getByRole("button", { name: "Versions…" }).click();
    const dialog = page.getByRole("dialog", { name: "Versions of this dashboard" });
    await dialog.getByRole("row", { name: /theirs/ }).getByRole("button", { name: "What differs" }).click();
    await dialog.getByText('title: "Theirs" → "Mine"').waitFor();
    await dialog.getByRole("row", { name: /theirs/ }).getByRole("button", { name: "Restore" }).click();
    await page.getByRole("heading", { name: "Theirs" }).waitFor();
  });

  test("a new dashboard begins empty, and one is removed after a question", async () => {
    const { page, boarding } = await at("/dashboards");
    await page.getByRole("link", { name: "New dashboard" }).click();
    await page.getByText("No panels yet.").waitFor();
    await page.goto(`${here.mock.url}/dashboards`);
    await page.getByRole("button", { name: "Remove House overview…" }).click();
    await page.getByRole("dialog", { name: "Remove this dashboard?" }).getByRole("button", { name: "Cancel" }).click();
    expect(boarding.boards.size).toBe(1);
    await page.getByRole("button", { name: "Remove House overview…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await page.getByText("No dashboards yet.").waitFor();
    expect(boarding.boards.size).toBe(0);
  });

  test("all is reached by the keyboard, with the focus visible", async () => {
    const { page } = await at("/d/house/x");
    await panel(page, "Load").locator("canvas").waitFor();
    const reached = new Set<string>();
    for (let step = 0; step < 60; step += 1) {
      await page.keyboard.press("Tab");
      const focus = await page.evaluate(() => {
        const it = document.activeElement;
        if (!it || it === document.body) return undefined;
        return { text: it.getAttribute("aria-label") ?? it.textContent?.trim() ?? "", outline: getComputedStyle(it).outlineStyle };
      });
      if (!focus) break;
      expect(focus.outline, JSON.stringify(focus)).not.toBe("none");
      reached.add(focus.text);
    }
    for (const name of ["Edit", "Range of time: Last 3 hours", "Machine: All", "Menu of Load", "Table of Machines"]) expect([...reached], name).toContain(name);
  });

  test.each(["/dashboards", "/d/house/x", "/d/types/x", "/d/house/x?viewPanel=6"])("axe finds nothing wrong with %s", async (path) => {
    const { page } = await at(path, new Boarding("house", "types"));
    await page.locator("h1").waitFor();
    await page.waitForLoadState("networkidle");
    const faults = await violations(page);
    expect(faults).toEqual([]);
    if (path !== "/d/house/x") return;
    await page.getByRole("button", { name: "Edit", exact: true }).click();
    await page.getByRole("button", { name: "Menu of Load" }).click();
    await page.getByRole("button", { name: "Edit", exact: true }).last().click();
    await page.getByRole("dialog").locator("[data-panel]").waitFor();
    expect(await violations(page)).toEqual([]);
  });
});
