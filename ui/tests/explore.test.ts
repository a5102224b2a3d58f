// The page Explore in a real Chromium: queries of logs and metrics side by side. Not the page Logs.
import { describe, expect, test } from "vitest";
import { Boarding } from "./boarding.ts";
import { chromiumIsThere, until } from "./browser.ts";
import { lines, Logging } from "./logging.ts";
import { site } from "./site.ts";

describe.skipIf(!chromiumIsThere())("Explore", () => {
  const here = site();

  test("log_26_loki_is_picked_logql_typed_and_split_compares_several_queries", async () => {
    const boarding = new Boarding();
    const { page, foreign, faults } = await here.at("/explore", boarding.handler);
    const pane = (number: number) => page.getByRole("region", { name: `Pane ${number}`, exact: true });
    await pane(1).getByLabel("Data source").selectOption("Loki");
    await pane(1).getByLabel("Query of pane 1").fill('{job="web"}');
    await pane(1).getByLabel("Query of pane 1").press("Enter");
    await pane(1).locator("[data-line]").first().waitFor();
    await expect.poll(() => pane(1).locator("[data-line]").count()).toBe(40);
    await page.getByRole("button", { name: "Split" }).click();
    await pane(2).locator("[data-line]").first().waitFor();
    await pane(2).getByLabel("Query of pane 2").fill('sum by (instance) (rate({job="web"} |= "error" [5m]))');
    await pane(2).getByRole("button", { name: "Run" }).click();
    await pane(2).locator("canvas").waitFor();
    await page.getByRole("button", { name: "Split" }).click();
    await pane(3).getByLabel("Data source").selectOption("Prometheus");
    await pane(3).getByLabel("Query of pane 3").fill("node_load1");
    await pane(3).getByRole("button", { name: "Run" }).click();
    await until("three answers", async () => (await pane(3).locator("canvas").count()) + (await pane(2).locator("canvas").count()), (it) => it === 2);
    // All ask over one range, which is in the address with the queries.
    await page.getByRole("button", { name: /^Range of time/ }).click();
    await page.getByRole("button", { name: "Last 6 hours" }).click();
    const panes = await until("the address", async () => JSON.parse(new URL(page.url()).searchParams.get("panes") ?? "{}") as Record<string, { range: unknown; queries: { expr: string }[] }>, (it) => JSON.stringify(it).includes("now-6h"));
    expect(Object.values(panes).map((it) => it.queries[0]?.expr)).toEqual(['{job="web"}', 'sum by (instance) (rate({job="web"} |= "error" [5m]))', "node_load1"]);
    await page.reload();
    await pane(3).locator("canvas").waitFor();
    await pane(1).locator("[data-line]").first().waitFor();
    await pane(2).getByRole("button", { name: "Close pane 2" }).click();
    await until("two", () => page.locator("[data-pane]").count(), (it) => it === 2);
    await expect.poll(() => pane(2).getByLabel("Query of pane 2").inputValue()).toBe("node_load1");
    expect([foreign, faults]).toEqual([[], []]);
  });

  test("metrics have the editor of the page Query, each pane its own", async () => {
    const boarding = new Boarding();
    boarding.values["__name__"] = ["node_load1", "node_load5", "up"];
    const { page } = await here.at("/explore", boarding.handler);
    const pane = (number: number) => page.getByRole("region", { name: `Pane ${number}`, exact: true });
    await pane(1).getByLabel("Data source").selectOption("Prometheus");
    const input = pane(1).getByLabel("Query of pane 1");
    await until("names", () => pane(1).getByText("All metrics (3)").count(), (it) => it === 1);
    await input.pressSequentially("node_load5");
    await input.press("Enter");
    await pane(1).locator("canvas").waitFor();
    await page.getByRole("button", { name: "Split" }).click();
    await pane(2).getByLabel("Query of pane 2").fill("");
    await pane(2).getByLabel("Query of pane 2").pressSequentially("no");
    await until("offers", () => pane(2).getByRole("listbox").getByRole("option").count(), (it) => it === 2);
    await expect.poll(() => pane(1).getByRole("listbox").getByRole("option").count()).toBe(0);
    await pane(2).getByRole("listbox").getByRole("option").first().click();
    await expect.poll(() => pane(2).getByLabel("Query of pane 2").inputValue()).toBe("node_load1");
    const ids = await page.evaluate(() => [...document.querySelectorAll("[id]")].map((it) => it.id));
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("the page Logs leads there with its query, and a query that fails says why in its pane", async () => {
    const { page } = await here.at(`/logs?expr=${encodeURIComponent('{container="api"}')}`, new Logging(lines(50)).handler);
    await page.getByRole("link", { name: "Split: compare with another query" }).click();
    const first = page.getByRole("region", { name: "Pane 1", exact: true });
    await expect.poll(() => first.getByLabel("Query of pane 1").inputValue()).toBe('{container="api"}');
    await expect.poll(() => page.locator("[data-pane]").count()).toBe(2);
    await first.getByLabel("Data source").selectOption("Prometheus");
    await first.getByLabel("Query of pane 1").fill("sum(");
    await first.getByRole("button", { name: "Run" }).click();
    await first.getByText(/parse error/).waitFor();
  });

  test("running one pane leaves what is typed in another, and does not ask again for it", async () => {
    const boarding = new Boarding();
    const panes = JSON.stringify({ a: { datasource: "prometheus", queries: [{ expr: "node_load1" }] }, b: { datasource: "prometheus", queries: [{ expr: "node_load5" }] } });
    const { page } = await here.at(`/explore?panes=${encodeURIComponent(panes)}`, boarding.handler);
    const pane = (number: number) => page.getByRole("region", { name: `Pane ${number}`, exact: true });
    await pane(1).locator("canvas").waitFor();
    await pane(2).locator("canvas").waitFor();
    const asked = (expr: string): number => boarding.batches.flatMap((it) => it.queries).filter((it) => it["expr"] === expr).length;
    expect(asked("node_load5")).toBe(1);
    await pane(2).getByLabel("Query of pane 2").fill("half a que");
    await pane(1).getByLabel("Query of pane 1").fill("node_load15");
    await pane(1).getByRole("button", { name: "Run" }).click();
    await until("the other question", async () => asked("node_load15"), (it) => it === 1);
    await pane(1).getByRole("heading", { name: "node_load15" }).waitFor();
    await expect.poll(() => pane(2).getByLabel("Query of pane 2").inputValue()).toBe("half a que");
    expect(asked("node_load5")).toBe(1);
  });
});
