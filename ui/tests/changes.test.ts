// "What else changed here" in a real Chromium: from a stretch of a chart, from a panel's menu, from Explore. Not the ranking (rank.test.ts).
import { describe, expect, test } from "vitest";
import { violations } from "./axe.ts";
import { Boarding } from "./boarding.ts";
import { chromiumIsThere, until } from "./browser.ts";
import type { Handler } from "./mock.ts";
import { site } from "./site.ts";

type Fields = Record<string, unknown>;
const BOARD = { uid: "c", title: "C", schemaVersion: 39, time: { from: "now-1h", to: "now" }, annotations: { list: [{ name: "Deploys", enable: true, expr: "changes_of_deploys", datasource: { type: "prometheus" }, titleFormat: "Deployed" }] }, panels: [{ id: 1, type: "timeseries", title: "Load", gridPos: { x: 0, y: 0, w: 24, h: 10 }, datasource: { type: "prometheus" }, targets: [{ refId: "A", expr: "some_metric" }], fieldConfig: { defaults: {}, overrides: [] } }] };
const SCORES: Record<string, number> = { calm: 0.1, wild: 9, mild: 3 };

/** A server on which "wild" moved most, "broken" cannot be computed, an alert began, a program was started, and logs have no answer. */
function happening(seen: Fields[] = []): Handler {
  return ({ path, params, body }) => {
    const vector = (list: [Fields, number | string][]) => ({ body: { status: "success", data: { resultType: "vector", result: list.map(([metric, value]) => ({ metric, value: [1, String(value)] })) } } });
    if (path === "/api/v1/label/__name__/values") return { body: { status: "success", data: ["broken", "calm", "mild", "some_bucket", "wild"] } };
    if (path === "/loki/api/v1/query") return { status: 503, body: "no logs here" };
    const query = params.get("query") ?? "";
    if (path === "/api/v1/query" && query.includes("ALERTS")) return vector([[{ __name__: "ALERTS", alertname: "TooHot", alertstate: "firing", job: "node" }, 1]]);
    if (path === "/api/v1/query" && query.includes("process_start_time_seconds")) return vector([[{ __name__: "process_start_time_seconds", job: "web" }, Date.now() / 1000 - 60]]);
    if (path !== "/api/dashboards/query") return undefined;
    const batch = JSON.parse(body) as { from: number; to: number; queries: Fields[] };
    if (!batch.queries.every((it) => it["type"] === "instant")) return undefined;
    seen.push(batch);
    const results = batch.queries.map(({ ref, expr }) => {
      const name = /__name__="(\w+)"/.exec(String(expr))?.[1] ?? "";
      if (name === "broken") return { ref, status: "error", error: "no" };
      const value = String(expr).startsWith("topk") ? (SCORES[name] ?? 0) : String(expr).includes("offset") ? 1 : 2;
      return { ref, status: "success", data: { resultType: "vector", result: [{ metric: { job: "node", instance: name }, value: [1, String(value)] }] } };
    });
    return { body: { results } };
  };
}

describe.skipIf(!chromiumIsThere())("What else changed", () => {
  const here = site();

  test("a stretch drawn with Shift is compared with as long before it, and all of it leads somewhere", async () => {
    const boarding = new Boarding();
    boarding.put(BOARD);
    const seen: Fields[] = [];
    const { page, faults } = await here.at("/d/c/x", happening(seen), boarding.handler);
    const canvas = page.locator("[data-panel] canvas");
    await canvas.waitFor();
    const box = (await canvas.boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
    await page.keyboard.down("Shift");
    await page.mouse.move(box.x + box.width * 0.5, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.75, box.y + 70, { steps: 4 });
    await page.mouse.up();
    await page.keyboard.up("Shift");
    const dialog = page.getByRole("dialog", { name: "What else changed here" });
    const part = (name: string) => dialog.getByRole("region", { name });
    await part("Metrics that moved most").getByText("The first", { exact: false }).or(part("Metrics that moved most").getByText("All 4 metrics")).waitFor();
    await expect.poll(() => part("Metrics that moved most").getByRole("link").allInnerTexts()).toEqual(['wild{job="node", instance="wild"}', 'mild{job="node", instance="mild"}', 'calm{job="node", instance="calm"}']);
    await expect.poll(() => part("Metrics that moved most").getByRole("listitem").first().innerText()).toContain("1 → 2");
    // What the chart's series have in common is what is compared; one that failed is counted.
    await expect.poll(() => part("Metrics that moved most").innerText()).toContain('All 4 metrics with job="node",instance=~"db-1:9100|web-1:9100|web-2:9100" were compared, 1 of them could not be (no).');
    await expect.poll(() => part("Alerts that began").getByRole("link").allInnerTexts()).toEqual(["TooHot"]);
    await expect.poll(() => part("What was started").innerText()).toContain('{job="web"}');
    await part("Lines of errors").getByText("Cannot be told: no logs here").waitFor();
    // A heading is no box of its own.
    await expect.poll(() => part("Alerts that began").getByRole("heading").evaluate((it) => [getComputedStyle(it).borderTopWidth, getComputedStyle(it).fontWeight])).toEqual(["0px", "600"]);
    // The stretch, not the whole hour, and the range of the page stays.
    const [from, to] = await Promise.all(["From", "To"].map(async (it) => Date.parse(await dialog.getByLabel(it).inputValue())));
    expect(Math.abs((to ?? 0) - (from ?? 0) - 900_000)).toBeLessThan(120_000);
    expect(new URL(page.url()).searchParams.has("from")).toBe(false);
    const window = Math.round(((to ?? 0) - (from ?? 0)) / 1000);
    expect(JSON.stringify(seen[0])).toContain(`offset ${window}s`);
    expect(await violations(page)).toEqual([]);
    await part("Metrics that moved most").getByRole("link").first().click();
    await page.getByRole("region", { name: "Pane 1", exact: true }).waitFor();
    await expect.poll(() => page.getByLabel("Query of pane 1").inputValue()).toBe('wild{job="node",instance="wild"}');
    expect(faults).toEqual([]);
  });

  test("the menu asks of the whole range, with its annotations; a window that is too short is refused, on a phone as well", async () => {
    const boarding = new Boarding();
    boarding.put(BOARD);
    boarding.known = (expr) => (expr === "changes_of_deploys" ? [{ labels: {}, at: () => 1 }] : [{ labels: { job: "node" }, at: (t) => t % 7 }]);
    const { page } = await here.at("/d/c/x", happening(), boarding.handler);
    await page.setViewportSize({ width: 390, height: 800 });
    await page.locator("[data-panel] canvas").waitFor();
    await page.getByRole("button", { name: "Menu of Load" }).click();
    await page.getByRole("button", { name: "What else changed" }).click();
    const dialog = page.getByRole("dialog", { name: "What else changed here" });
    await dialog.getByRole("region", { name: "Annotations" }).getByText("Deployed").waitFor();
    await expect.poll(() => dialog.evaluate((it) => it.scrollWidth - it.clientWidth)).toBeLessThanOrEqual(0);
    await dialog.getByLabel("To").fill(await dialog.getByLabel("From").inputValue());
    await dialog.getByText("a window of at least 60 seconds is needed").waitFor();
    await expect.poll(() => dialog.getByRole("region").count()).toBe(0);
    await dialog.getByRole("button", { name: "Close" }).click();
    await until("gone", () => page.getByRole("dialog").count(), (it) => it === 0);
  });

  test("a board that asks again by itself does not ask once more what changed", async () => {
    const boarding = new Boarding();
    boarding.put(BOARD);
    const seen: Fields[] = [];
    const { page } = await here.at("/d/c/x?refresh=1s", happening(seen), boarding.handler);
    await page.locator("[data-panel] canvas").waitFor();
    await page.getByRole("button", { name: "Menu of Load" }).click();
    await page.getByRole("button", { name: "What else changed" }).click();
    await page.getByRole("dialog").getByRole("link", { name: /^wild/ }).waitFor();
    const [asked, refreshed] = [seen.length, boarding.batches.length];
    await until("two refreshes", async () => boarding.batches.length, (it) => it >= refreshed + 2);
    expect(seen.length).toBe(asked);
  });

  test("Explore asks of what its pane shows", async () => {
    const { page } = await here.at(`/explore?${new URLSearchParams({ left: JSON.stringify(["now-1h", "now", "Prometheus", { expr: "some_metric" }]) }).toString()}`, happening(), new Boarding().handler);
    await page.locator("canvas").first().waitFor();
    await page.getByRole("button", { name: "What else changed" }).click();
    await page.getByRole("dialog").getByRole("link", { name: /^wild/ }).waitFor();
  });
});
