// The pages Targets, Probes, and Processes and Containers in a real Chromium: states in words, last errors, durations, figures that are unknown,
// and what is said where there is nothing. Width, keyboard and policy of all pages are looked at in pages.test.ts.
import { describe, expect, test } from "vitest";
import { chromiumIsThere, until } from "./browser.ts";
import { collected } from "./collecting.ts";
import { series } from "./answers.ts";
import type { Handler } from "./mock.ts";
import { site } from "./site.ts";

const nothing: Handler = (asked) => (asked.path === "/api/v1/targets" ? { body: { status: "success", data: { activeTargets: [], droppedTargets: [] } } } : series(() => [])(asked));

describe.skipIf(!chromiumIsThere())("what is collected", () => {
  const here = site();

  test("targets show their state, their last error and how long they took", async () => {
    const { page, faults } = await here.at("/", collected);
    await page.getByRole("link", { name: "Targets", exact: true }).first().click();
    await page.locator("[data-pool]").first().waitFor();
    const shown = await page.locator("[data-target]").evaluateAll((all) => all.map((it) => [it.getAttribute("data-health"), (it as HTMLElement).innerText.split("\n")[0]]));
    expect(shown).toEqual([["down", "down"], ["up", "up"], ["unknown", "not asked yet"]]);
    const down = page.locator('[data-health="down"]');
    await down.getByText("cannot connect to 10.0.0.6:9100: connection refused").waitFor();
    await down.getByText("took 21 ms").waitFor();
    await down.getByText("Labels and durations").click();
    await down.getByRole("figure", { name: "Duration for 10.0.0.6:9100, last hour" }).waitFor();
    expect(here.mock.asked.at(-1)?.params.get("query")).toBe('max(scrape_duration_seconds{job="node",instance="10.0.0.6:9100"})');
    await page.getByRole("navigation", { name: "Which targets" }).getByRole("link", { name: "down 1" }).click();
    await until("only that one", () => page.locator("[data-target]").count(), (it) => it === 1);
    expect(new URL(page.url()).search).toBe("?show=down");
    await page.getByRole("searchbox").fill("nothing like it");
    await page.getByText("None of 3.").waitFor();
    expect(faults).toEqual([]);
  });

  test("probes show why they failed and when certificates expire", async () => {
    const { page } = await here.at("/targets?of=probes", collected);
    await page.getByText("1 of 2 failed.").waitFor();
    const words = await page.locator("[data-probe]").evaluateAll((all) => all.map((it) => (it as HTMLElement).innerText.split("\n").filter((line) => line.trim() !== "").slice(0, 4)));
    expect(words[0]?.join(" ")).toMatch(/^failed http:\/\/door\.local web HTTP status 503/);
    expect(words[1]?.join(" ")).toMatch(/^succeeded https:\/\/shop\.example web/);
    await page.getByText("certificate expires in 3 d").waitFor();
    await page.locator("[data-probe]").first().getByText("Durations").click();
    await page.getByRole("figure", { name: "Duration for http://door.local, last hour" }).waitFor();
    expect(here.mock.asked.at(-1)?.params.get("query")).toBe('max(probe_duration_seconds{job="web",instance="http://door.local"})');
  });

  test("processes, cameras and containers have figures, and what is unknown has none", async () => {
    const { page } = await here.at("/processes", collected);
    const cells = async (label: string, row: string): Promise<string[]> => page.getByRole("region", { name: label }).locator(`[data-row="${row}"] td`).allInnerTexts();
    await page.getByRole("region", { name: "Figures of groups of processes" }).waitFor();
    await expect.poll(() => cells("Figures of groups of processes", "postgres")).toEqual(["3", "12%", "512 MiB", "–", "–", "–", "–", "–"]);
    await expect.poll(() => cells("Figures of groups of processes", "ffmpeg:front")).toEqual(["0", "–", "–", "–", "–", "–", "–", "–"]);
    await page.locator('[data-row="garage"]').waitFor();
    await expect.poll(() => cells("Figures of FFmpeg by camera", "front")).toEqual(["connected", "24.9", "1.01", "–", "–", "–", "–", "–"]);
    await expect.poll(() => cells("Figures of FFmpeg by camera", "garage")).toEqual(["not connected", "–", "–", "–", "–", "–", "–", "2"]);
    await page.locator('[data-row="db"]').waitFor();
    const table = page.getByRole("region", { name: "Figures of containers" });
    await expect.poll(() => table.locator('[data-row="db"] td').allInnerTexts()).toEqual(["150%", "190 MiB", "95%", "–", "–", "–", "–"]);
    await expect.poll(() => table.locator('[data-row="web"] td').allInnerTexts()).toEqual(["–", "20.0 MiB", "no limit", "–", "–", "–", "–"]);
    await expect.poll(() => table.locator("tbody tr").count()).toBe(2);
  });

  test("without anything the pages say what to configure", async () => {
    const { page } = await here.at("/targets", nothing);
    await page.getByText("Nothing is scraped.").waitFor();
    await page.getByRole("link", { name: "Probes" }).click();
    await page.getByText("Nothing is probed").waitFor();
    await page.getByRole("link", { name: "Processes" }).click();
    await page.getByText("processes of watchfire.yml names none").waitFor();
    await page.getByText("containers of watchfire.yml names no socket").waitFor();
  });
});
