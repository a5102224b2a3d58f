// Dashboards in a real Chromium: every panel type with its figures, variables and times in the address, what is missing said, one
// request for a refresh. Not changing them (dashboardEdits.test.ts).
import { describe, expect, test } from "vitest";
import { Alerting } from "./alerting.ts";
import { violations } from "./axe.ts";
import { Boarding, boardFile } from "./boarding.ts";
import { chromiumIsThere, open, until, watched } from "./browser.ts";
import { healthy } from "./answers.ts";
import { type Handler, Mock } from "./mock.ts";
import { Profiling } from "./profiling.ts";
import { session, site } from "./site.ts";
import { Tracing } from "./tracing.ts";

type Page = Awaited<ReturnType<typeof watched>>["page"];
const ALL = ["house", "types", "node-full", "prometheus-stats", "redis", "dcgm"] as const;
const panel = (page: Page, name: string) => page.getByRole("region", { name, exact: true }).and(page.locator("[data-panel]"));
const param = (page: Page, name: string): string[] => new URL(page.url()).searchParams.getAll(name);

describe.skipIf(!chromiumIsThere())("Dashboards", () => {
  const here = site();
  const at = async (path: string, boarding = new Boarding("house", "types"), ...more: Parameters<typeof here.at>[1][]) => ({ ...(await here.at(path, ...more, boarding.handler, new Tracing().handler, new Profiling().handler, new Alerting().handler)), boarding });

  test("stats, gauges, bars and states show figures with units, colours and words", async () => {
    const { page } = await at("/d/house/x");
    const gauge = panel(page, "CPU busy").getByRole("meter");
    await gauge.waitFor();
    expect([await gauge.getAttribute("aria-valuetext"), await gauge.getAttribute("aria-valuenow"), await gauge.getAttribute("aria-valuemax")]).toEqual(["82.5%", "82.5", "100"]);
    // Between 70 and 90 it is orange, which is the second colour of series.
    await expect.poll(() => panel(page, "CPU busy").locator("path.bar").getAttribute("style")).toContain("--series-2");
    expect((await panel(page, "Uptime").locator("[data-stat]").innerText()).replace(/\s+/g, " ")).toBe("3.2 days");
    await expect.poll(() => panel(page, "Machines up").locator("[data-stat]").allInnerTexts()).toEqual(["db-1:9100\nUP", "web-1:9100\nUP", "web-2:9100\nDOWN"]);
    const bars = panel(page, "Memory by machine").getByRole("meter");
    await expect.poll(() => bars.count()).toBe(3);
    await expect.poll(() => bars.first().getAttribute("aria-valuetext")).toMatch(/^4\.\d+ GiB$/);
  });

  test("a chart over time is drawn, its legend has its calculations and takes series out", async () => {
    const { page } = await at("/d/house/x");
    const chart = panel(page, "CPU by mode");
    await chart.locator("canvas").waitFor();
    await expect.poll(() => chart.getByRole("img").getAttribute("aria-label")).toBe("CPU by mode: 4 series over time: user, system, iowait, idle");
    await expect.poll(() => chart.getByRole("columnheader").allInnerTexts()).toEqual(["Name", "Mean", "Max", "Last *"]);
    await expect.poll(() => chart.getByRole("row", { name: /^user/ }).getByRole("cell").first().innerText()).toMatch(/^1[0-9.]+%$/);
    await chart.getByRole("button", { name: "system" }).click();
    await expect.poll(() => chart.locator("[aria-pressed=true]").allInnerTexts()).toEqual(["system"]);
    await chart.getByRole("button", { name: "system" }).click();
    await expect.poll(() => chart.locator("[aria-pressed=true]").count()).toBe(4);
    // Under the pointer all lines are told, the largest first.
    const box = await chart.locator("canvas").boundingBox();
    await page.mouse.move((box?.x ?? 0) + 150, (box?.y ?? 0) + 60);
    const tip = chart.locator(".tip");
    await tip.waitFor();
    const figures = (await tip.locator(".row b").allInnerTexts()).map((it) => Number.parseFloat(it));
    expect(figures.length).toBe(4);
    expect(figures).toEqual([...figures].sort((a, b) => b - a));
  });

  test("exemplars stand on a chart where their time and value are, and lead to their traces", async () => {
    const boarding = new Boarding();
    const chart = (id: number, title: string, expr: string): Record<string, unknown> => ({ id, type: "timeseries", title, gridPos: { x: (id - 1) * 8, y: 0, w: 8, h: 8 }, datasource: { type: "prometheus" }, targets: [{ refId: "A", expr, exemplar: true }], fieldConfig: { defaults: { min: 0, max: 2, unit: "s", custom: {} }, overrides: [] } });
    boarding.put({ uid: "ex", title: "Ex", schemaVersion: 39, time: { from: "now-1h", to: "now" }, panels: [chart(1, "Latency", "some_latency"), chart(2, "Broken", "broken_latency"), { ...chart(3, "Figure", "some_latency"), type: "stat" }] });
    const trace = (digit: string): string => digit.repeat(32);
    const { page } = await here.at("/d/ex/x", ({ path, params }) => {
      if (path !== "/api/v1/query_exemplars") return undefined;
      if (params.get("query") === "broken_latency") return { status: 422, body: { status: "error", errorType: "execution", error: "no exemplars today" } };
      const now = Date.now() / 1000;
      const at = (digit: string, ago: number, value: string) => ({ labels: { trace_id: trace(digit) }, value, timestamp: now - ago });
      return { body: { status: "success", data: [{ seriesLabels: { __name__: "some_latency_bucket" }, exemplars: [at("a", 900, "1.5"), at("b", 2700, "0.5"), at("c", 1800, "50"), at("d", 90_000, "1"), { labels: { other: "1" }, value: "1", timestamp: now - 60 }] }] } };
    }, boarding.handler);
    const links = panel(page, "Latency").getByRole("link");
    await until("exemplars", () => links.count(), (it) => it === 3);
    const at = async (digit: string) => (await panel(page, "Latency").getByRole("link", { name: new RegExp(`^Trace ${trace(digit)}: `) }).boundingBox()) ?? { x: Number.NaN, y: Number.NaN };
    const [a, b, c] = [await at("a"), await at("b"), await at("c")];
    // The later one stands further right, the higher one further up; one beyond the axis at its end.
    expect(b.x).toBeLessThan(c.x);
    expect(c.x).toBeLessThan(a.x);
    expect(Math.abs(c.x - b.x - (a.x - c.x))).toBeLessThan(3);
    expect(c.y).toBeLessThan(a.y);
    expect(a.y).toBeLessThan(b.y);
    await expect.poll(() => panel(page, "Latency").getByRole("link", { name: /: 1\.50? s at / }).count()).toBe(1);
    await panel(page, "Broken").locator("[data-findings] summary").click();
    await panel(page, "Broken").getByText("the exemplars of query A cannot be read: no exemplars today").waitFor();
    await panel(page, "Figure").locator("[data-findings] summary").click();
    await panel(page, "Figure").getByText("exemplars are drawn on charts over time only").waitFor();
    expect(await violations(page)).toEqual([]);
    await panel(page, "Latency").getByRole("link", { name: new RegExp(trace("a")) }).press("Enter");
    await until("the trace", async () => new URL(page.url()).pathname, (it) => it === `/traces/${trace("a")}`);
  });

  test("exemplars that a query wants no more are gone", async () => {
    const boarding = new Boarding();
    boarding.put({ uid: "ex", title: "Ex", schemaVersion: 39, time: { from: "now-1h", to: "now" }, panels: [{ id: 1, type: "timeseries", title: "Latency", gridPos: { x: 0, y: 0, w: 24, h: 8 }, datasource: { type: "prometheus" }, targets: [{ refId: "A", expr: "some_latency", exemplar: true }] }] });
    const { page } = await here.at("/d/ex/x", ({ path }) => (path === "/api/v1/query_exemplars" ? { body: { status: "success", data: [{ seriesLabels: {}, exemplars: [{ labels: { trace_id: "a".repeat(32) }, value: "1", timestamp: Date.now() / 1000 - 900 }] }] } } : undefined), boarding.handler);
    await panel(page, "Latency").getByRole("link").waitFor();
    await page.getByRole("button", { name: "Edit", exact: true }).click();
    await page.getByRole("button", { name: "Menu of Latency" }).click();
    await page.getByRole("button", { name: "Edit", exact: true }).last().click();
    const links = () => page.getByRole("dialog").getByRole("link").count();
    await until("in the editor", links, (it) => it === 1);
    await page.getByRole("dialog").getByRole("checkbox", { name: "exemplars" }).uncheck();
    await until("none", links, (it) => it === 0);
  });

  test("a table is organized, sorted by a click, and its cells are links", async () => {
    const { page } = await at("/d/house/x");
    const table = panel(page, "Machines");
    await table.getByRole("cell", { name: "db-1", exact: true }).waitFor();
    await expect.poll(() => table.getByRole("columnheader").allInnerTexts()).toEqual(["Machine ↑", "Kernel", "instance"]);
    await table.getByRole("button", { name: "Machine", exact: true }).click();
    await expect.poll(() => table.getByRole("row").nth(1).getByRole("cell").first().innerText()).toBe("web-2");
    await expect.poll(() => table.getByRole("link", { name: "web-1:9100" }).getAttribute("href")).toBe("/query?expr=up%7Binstance%3D%22web-1:9100%22%7D");
  });

  test("text is Markdown with variables, and never mark-up", async () => {
    const { page, faults } = await at("/d/house/x?var-instance=web-1:9100");
    const words = panel(page, "Notes");
    await words.getByRole("heading", { name: "House of web-1:9100" }).waitFor();
    await expect.poll(() => words.getByRole("listitem").allInnerTexts()).toEqual(["one code", "two link"]);
    await expect.poll(() => words.locator("script, b, [onclick]").count()).toBe(0);
    await expect.poll(() => words.innerText()).toContain("<script>alert(1)</script>");
    await expect.poll(() => words.getByRole("link").evaluateAll((all) => all.map((it) => it.getAttribute("href")))).toEqual(["https://example.org/"]);
    expect(faults).toEqual([]);
  });

  test("bars, slices, heat, buckets and states have the shapes of their numbers", async () => {
    const { page } = await at("/d/types/x");
    const bars = panel(page, "Requests by route");
    await bars.locator("[data-bar]").first().waitFor();
    await expect.poll(() => bars.locator("[data-bar]").allInnerTexts()).toEqual(["30 req/s", "60 req/s", "90 req/s"]);
    const heights = await bars.locator("[data-bar]").evaluateAll((all) => all.map((it) => Math.round(it.getBoundingClientRect().height)));
    expect(Math.abs((heights[2] ?? 0) / (heights[0] ?? 1) - 3)).toBeLessThan(0.1);
    const pie = panel(page, "Share");
    expect((await pie.getByRole("row").allInnerTexts()).map((it) => it.split(/\s+/))).toEqual([["high", "90", "50%"], ["middle", "60", "33%"], ["low", "30", "17%"]]);
    await expect.poll(() => pie.locator("[data-slice]").count()).toBe(3);
    const heat = panel(page, "Latency");
    await expect.poll(() => heat.locator("svg path").count()).toBeGreaterThan(3);
    expect((await heat.locator(".names").innerText()).split(/\s*\n\s*/)).toEqual(["100 ms", "500 ms", "1 s", "5 s", "∞"]);
    await expect.poll(() => panel(page, "How loads lie").locator("[data-bar]").count()).toBeGreaterThan(5);
    const states = panel(page, "Cameras").locator("[data-row=gate] [data-state]");
    const words = await states.evaluateAll((all) => all.map((it) => it.getAttribute("data-state")));
    expect(new Set(words)).toEqual(new Set(["offline", "online", "unsure"]));
    // Stretches of one state are one, samples are each their own.
    expect(words.every((it, index) => it !== words[index - 1])).toBe(true);
    await expect.poll(() => panel(page, "Cameras, sampled").locator("[data-row=gate] [data-state]").count()).toBeGreaterThan(words.length);
  });

  test("logs, traces, profiles, alerts and other dashboards", async () => {
    const { page } = await at("/d/types/x");
    const lines = panel(page, "Lines");
    await lines.locator("[data-line]").first().waitFor();
    await expect.poll(() => lines.locator("[data-line]").count()).toBe(40);
    await expect.poll(() => lines.locator("[data-line]").nth(2).getAttribute("data-level")).toBe("error");
    await lines.locator("[data-line] summary").first().click();
    await lines.getByText("web-1", { exact: true }).first().waitFor();
    await panel(page, "Slow traces").getByRole("link").first().waitFor();
    await expect.poll(() => panel(page, "Slow traces").getByRole("link").first().getAttribute("href")).toMatch(/^\/traces\/[0-9a-f]{16,32}$/);
    await panel(page, "Profile").locator("[data-bar=detect_objects]").waitFor();
    await panel(page, "Alerts").getByText("firing", { exact: true }).first().waitFor();
    await panel(page, "Other boards").getByRole("link", { name: "House overview" }).click();
    await page.getByRole("heading", { name: "House overview" }).waitFor();
  });

  test("what is missing is said on the panel: a type, a unit, a data source, an error, no data", async () => {
    const boarding = new Boarding("types");
    boarding.failing.set("broken(", "1:8: parse error: unclosed left parenthesis");
    const { page } = await at("/d/types/x", boarding);
    await panel(page, "A map").locator("[data-findings] summary").click();
    await panel(page, "A map").getByText("the panel type geomap is not supported: its data are shown as a table").waitFor();
    await expect.poll(() => panel(page, "A map").getByRole("row").count()).toBeGreaterThan(3);
    await panel(page, "Nothing").getByText("No data. The queries found nothing in this range of time.").waitFor();
    await panel(page, "Broken").getByText("1:8: parse error: unclosed left parenthesis").waitFor();
    await panel(page, "Elsewhere").getByText("the data source mysql is of a kind that this server does not answer for").waitFor();
    await panel(page, "Elsewhere").locator("[data-findings] summary").click();
    await panel(page, "Elsewhere").getByText("the unit furlongs is not known").waitFor();
  });

  test("a refresh asks for everything in one request, and one by one where the server has none", async () => {
    const { page, boarding } = await at("/d/house/x");
    await panel(page, "CPU busy").getByRole("meter").waitFor();
    expect(boarding.batches.length).toBe(1);
    const [batch] = boarding.batches;
    expect(batch?.queries.length).toBe(7);
    expect(batch?.queries.map((it) => it["ref"]).sort()).toEqual(["1/A", "2/A", "3/A", "4/A", "5/A", "6/A", "7/A"]);
    expect(batch?.queries.find((it) => it["ref"] === "5/A")?.["expr"]).toBe('sum by (mode) (rate(node_cpu_seconds_total{instance=~"(db-1:9100|web-1:9100|web-2:9100)"}[1m]))');
    expect(batch?.queries.find((it) => it["ref"] === "7/A")).toMatchObject({ kind: "prometheus", type: "instant", expr: "node_uname_info" });
    await page.getByRole("button", { name: "Ask again now" }).click();
    await until("a second batch", async () => boarding.batches.length, (it) => it === 2);
    boarding.batched = false;
    await page.reload();
    await panel(page, "CPU busy").getByRole("meter").waitFor();
    expect(here.mock.asked.some((it) => it.path === "/api/v1/query_range" && it.params.get("query")?.includes("node_load1"))).toBe(true);
  });

  test("variables are in the address, several at once, one after the other", async () => {
    const { page, boarding } = await at("/d/house/x");
    await page.getByRole("button", { name: "Machine: All" }).click();
    await page.getByRole("checkbox", { name: "web-1:9100" }).check();
    await page.getByRole("checkbox", { name: "db-1:9100" }).check();
    await page.getByRole("button", { name: "Take" }).click();
    await until("the address", async () => param(page, "var-instance").sort().join(), (it) => it === "db-1:9100,web-1:9100");
    await until("the query", async () => String(boarding.batches.at(-1)?.queries.find((it) => it["ref"] === "6/A")?.["expr"]), (it) => it === 'node_load1{instance=~"(db-1:9100|web-1:9100)"}');
    await page.getByLabel("Interval").selectOption("1h");
    await until("the address", async () => param(page, "var-interval"), (it) => it.join() === "1h");
    expect(param(page, "var-instance").length).toBe(2);
    await page.goBack();
    await page.goBack();
    await page.getByRole("button", { name: "Machine: All" }).waitFor();
  });

  test("the range is in the address, by choice, by words, by drawing over a chart", async () => {
    const { page, boarding } = await at("/d/house/x");
    await panel(page, "CPU busy").getByRole("meter").waitFor();
    await page.getByRole("button", { name: "Range of time: Last 3 hours" }).click();
    await page.getByRole("button", { name: "Last 24 hours" }).click();
    await until("the address", async () => param(page, "from").join(), (it) => it === "now-24h");
    await until("the batch", async () => (boarding.batches.at(-1)?.to ?? 0) - (boarding.batches.at(-1)?.from ?? 0), (it) => it >= 86_400_000 && it < 86_400_000 + 1_300_000);
    await page.getByRole("button", { name: "Range of time: Last 24 hours" }).click();
    await page.getByLabel("From").fill("2026-03-01 09:00");
    await page.getByLabel("To", { exact: true }).fill("2026-03-01 08:00");
    await expect.poll(() => page.getByRole("button", { name: "Take this range" }).isDisabled()).toBe(true);
    await page.getByLabel("To", { exact: true }).fill("2026-03-01 11:00");
    await page.getByRole("button", { name: "Take this range" }).click();
    await until("the address", async () => Number(param(page, "to")[0]) - Number(param(page, "from")[0]), (it) => it === 7_200_000);
    const canvas = panel(page, "Load").locator(".u-over");
    await canvas.waitFor();
    const box = (await canvas.boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
    await page.mouse.move(box.x + box.width * 0.25, box.y + 40);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.75, box.y + 40, { steps: 4 });
    await page.mouse.up();
    await until("the zoom", async () => Number(param(page, "to")[0]) - Number(param(page, "from")[0]), (it) => Math.abs(it - 3_600_000) < 120_000);
  });

  test("it asks again by itself, as the address says", async () => {
    const { page, boarding } = await at("/d/house/x?refresh=1s");
    await until("three batches", async () => boarding.batches.length, (it) => it >= 3);
    await page.getByLabel("Ask again every").selectOption("");
    await until("the address", async () => param(page, "refresh"), (it) => it.length === 0);
  });

  test("rows fold, and what is folded is not asked for", async () => {
    const { page, boarding } = await at("/d/node-full/x", new Boarding("node-full"));
    await panel(page, "RAM used").getByRole("meter").waitFor();
    expect(boarding.batches.flatMap((it) => it.queries.map((query) => query["ref"]))).not.toContain("31/A");
    await page.getByRole("button", { name: /CPU \/ Memory/ }).click();
    await panel(page, "Memory").locator("canvas").waitFor();
    expect(boarding.batches.at(-1)?.queries.map((it) => it["ref"]).sort()).toEqual(["30/A", "31/A"]);
    await page.getByRole("button", { name: "Quick look" }).click();
    await until("folded", () => panel(page, "RAM used").count(), (it) => it === 0);
  });

  test("one panel alone, and nothing but the dashboard", async () => {
    const { page } = await at("/d/house/x?viewPanel=6");
    await panel(page, "Load").locator("canvas").waitFor();
    await expect.poll(() => page.locator("[data-panel]").count()).toBe(1);
    await page.getByRole("button", { name: "Back to the whole dashboard" }).click();
    await until("all", () => page.locator("[data-panel]").count(), (it) => it === 8);
    await page.getByRole("button", { name: "Menu of Uptime" }).click();
    await page.getByRole("button", { name: "View alone" }).click();
    await until("the address", async () => param(page, "viewPanel").join(), (it) => it === "2");
    await page.goto(`${here.mock.url}/d/house/x?kiosk`);
    await panel(page, "Uptime").waitFor();
    await expect.poll(() => page.getByRole("navigation", { name: "Pages" }).isVisible()).toBe(false);
    await page.getByRole("button", { name: "Leave the full view" }).click();
    await page.getByRole("navigation", { name: "Pages" }).waitFor();
  });

  test("links carry times, variables and tags; annotations are switched", async () => {
    const { page } = await at("/d/house/x?from=1000000000000&to=1000003600000");
    await panel(page, "Load").locator("canvas").waitFor();
    await expect.poll(() => page.getByRole("link", { name: "Manual" }).getAttribute("href")).toBe("https://example.org/manual?range=1000000000000");
    await page.getByText("House", { exact: true }).click();
    await expect.poll(() => page.getByRole("link", { name: "Every type" }).getAttribute("href")).toBe("/d/types/board?from=1000000000000&to=1000003600000");
    const asked = (): number => here.mock.asked.filter((it) => it.params.get("query")?.startsWith("changes(restarts")).length;
    expect(asked()).toBe(1);
    await page.getByRole("checkbox", { name: "Restarts" }).uncheck();
    await page.waitForLoadState("networkidle");
    expect(asked()).toBe(1);
  });

  test("what was noted of a board is shown on it, of a panel on that, of tags wherever they are asked for", async () => {
    const boarding = new Boarding();
    const chart = (id: number, title: string) => ({ id, type: "timeseries", title, gridPos: { x: (id - 1) * 12, y: 0, w: 12, h: 8 }, targets: [{ refId: "A", expr: "node_load1" }] });
    const mine = { builtIn: 1, name: "Annotations & Alerts", enable: true, datasource: { type: "grafana", uid: "-- Grafana --" }, type: "dashboard" };
    const tagged = { name: "Deploys", enable: true, datasource: { type: "grafana", uid: "-- Grafana --" }, target: { type: "tags", tags: ["deploy"], matchAny: true } };
    boarding.put({ uid: "noted", title: "Noted", schemaVersion: 39, time: { from: "now-1h", to: "now" }, annotations: { list: [mine, tagged] }, panels: [chart(1, "First"), chart(2, "Second")] });
    const noted: Handler = ({ path, params }) => {
      if (path !== "/api/annotations") return undefined;
      const note = (text: string, panelId: number) => ({ id: 1, text, time: Number(params.get("from")), timeEnd: Number(params.get("to")), panelId, tags: [] });
      return { body: params.get("dashboardUID") === "noted" ? [note("of the board", 0), note("of the second", 2)] : params.get("tags") === "deploy" && params.get("matchAny") === "true" ? [note("of a tag", 7)] : [] };
    };
    const { page } = await here.at("/d/noted/x", noted, boarding.handler);
    for (const [title, texts] of [["First", ["of the board", "of a tag"]], ["Second", ["of the board", "of the second", "of a tag"]]] as const) {
      await panel(page, title).locator(".u-over").hover();
      for (const text of texts) await panel(page, title).getByText(text).waitFor();
    }
    await panel(page, "First").locator(".u-over").hover();
    await panel(page, "First").getByText("of the board").waitFor();
    await expect.poll(() => panel(page, "First").getByText("of the second").count()).toBe(0);
  });

  test("the data of a panel are a table, its queries are seen, and an unknown dashboard says so", async () => {
    const { page } = await at("/d/house/x");
    await panel(page, "Load").locator("canvas").waitFor();
    await page.getByRole("button", { name: "Menu of Load" }).click();
    await page.getByRole("button", { name: "Data and JSON" }).click();
    const dialog = page.getByRole("dialog", { name: "Data and JSON of the panel" });
    await expect.poll(() => dialog.getByRole("row").count()).toBeGreaterThan(20);
    await dialog.getByRole("button", { name: "Queries" }).click();
    await dialog.getByText('node_load1{instance=~"(db-1:9100|web-1:9100|web-2:9100)"}').waitFor();
    await dialog.getByRole("button", { name: "Close" }).click();
    await page.goto(`${here.mock.url}/d/nope/x`);
    await page.getByText("There is no dashboard of this name.").waitFor();
  });

  test("mixed sources, another panel's data, repeats, looks back and ad hoc filters", async () => {
    const boarding = new Boarding();
    const target = (expr: string, type: string, refId = "A"): Record<string, unknown> => ({ refId, expr, datasource: { type, uid: type }, legendFormat: "{{instance}}" });
    boarding.put({
      uid: "mix",
      title: "Mix",
      schemaVersion: 39,
      time: { from: "now-1h", to: "now" },
      templating: { list: [{ name: "zone", type: "custom", query: "north, south", multi: true, includeAll: true, current: { value: ["$__all"] } }, { name: "where", type: "adhoc", filters: [{ key: "job", operator: "=", value: "node" }] }] },
      panels: [
        { id: 1, type: "timeseries", title: "Both", gridPos: { x: 0, y: 0, w: 12, h: 6 }, datasource: { type: "datasource", uid: "-- Mixed --" }, targets: [target("node_load1", "prometheus"), target('sum by (instance) (rate({job="web"}[5m]))', "loki", "B"), { ...target("off", "prometheus", "C"), hide: true }] },
        { id: 2, type: "stat", title: "The same", gridPos: { x: 12, y: 0, w: 12, h: 6 }, datasource: { type: "datasource", uid: "-- Dashboard --" }, targets: [{ refId: "A", panelId: 1 }], options: { reduceOptions: { calcs: ["max"] }, graphMode: "none" } },
        { id: 3, type: "stat", title: "Zone $zone", gridPos: { x: 0, y: 6, w: 24, h: 5 }, repeat: "zone", repeatDirection: "h", targets: [target('fixed_value{v="7"} * on() group_left sizes{zone="$zone"}', "prometheus")], options: { graphMode: "none" } },
        { id: 4, type: "timeseries", title: "A day before", gridPos: { x: 0, y: 11, w: 12, h: 6 }, timeShift: "1d", targets: [target("node_load5", "prometheus")] },
        { id: 5, type: "stat", title: "From nowhere", gridPos: { x: 12, y: 11, w: 12, h: 6 }, datasource: { type: "datasource", uid: "-- Dashboard --" }, targets: [{ refId: "A", panelId: 99 }] },
      ],
    });
    const { page } = await at("/d/mix/x", boarding);
    await expect.poll(() => panel(page, "Both").getByRole("img").getAttribute("aria-label")).toMatch(/^Both: [46] series/);
    await panel(page, "The same").locator("[data-stat]").first().waitFor();
    await expect.poll(() => panel(page, "The same").locator("[data-stat]").count()).toBeGreaterThan(3);
    await panel(page, "Zone north").locator("[data-stat]").first().waitFor();
    await panel(page, "Zone south").locator("[data-stat]").first().waitFor();
    await panel(page, "From nowhere").getByText("the panel 99, whose data this one shows, is not on this page").waitFor();
    await panel(page, "A day before").getByText("1d before").waitFor();
    const asked = boarding.batches.flatMap((batch) => batch.queries.map((it) => ({ ref: String(it["ref"]), expr: String(it["expr"]), from: batch.from, to: batch.to })));
    const of = (ref: string) => asked.find((it) => it.ref === ref);
    expect(of("1/A")?.expr).toBe('node_load1{job="node"}');
    expect(of("1/C")).toBeUndefined();
    expect(of("1/B")?.expr).toBe('sum by (instance) (rate({job="web",job="node"}[5m]))');
    expect(asked.filter((it) => it.ref.startsWith("3")).map((it) => /zone="(\w+)"/.exec(it.expr)?.[1])).toEqual(["north", "south"]);
    expect(Math.round(((of("1/A")?.to ?? 0) - (of("4/A")?.to ?? 0)) / 60_000)).toBe(24 * 60);
    // The times of what is a day older are those of the others.
    await page.getByRole("button", { name: "Take the filter job out" }).click();
    await until("no filter", async () => String(boarding.batches.flatMap((it) => it.queries).filter((it) => it["ref"] === "1/A").at(-1)?.["expr"]), (it) => it === "node_load1");
  });

  test("the list is by folder, found by words and tags", async () => {
    const boarding = new Boarding(...ALL);
    boarding.put({ ...boardFile("redis"), uid: "own", title: "My own" });
    const { page } = await at("/dashboards", boarding);
    await page.getByRole("region", { name: "Examples" }).getByRole("link", { name: "House overview" }).waitFor();
    await page.getByRole("region", { name: "Without a folder" }).getByRole("link", { name: "My own" }).waitFor();
    await page.getByLabel("Search dashboards").fill("redis");
    await until("two", () => page.getByRole("listitem").count(), (it) => it === 2);
    await page.getByLabel("Search dashboards").fill("");
    await page.getByRole("link", { name: "gpu", exact: true }).click();
    await until("one", () => page.getByRole("listitem").count(), (it) => it === 1);
    await expect.poll(() => page.getByRole("listitem").innerText()).toContain("NVIDIA DCGM exporter");
  });

  test("who may only read is offered no saving and no removing", async () => {
    const { page } = await at("/dashboards", new Boarding("house"), session("read"));
    await page.getByRole("link", { name: "House overview" }).waitFor();
    await expect.poll(() => page.getByRole("button", { name: /Remove/ }).count()).toBe(0);
    await page.goto(`${here.mock.url}/d/house/x`);
    await page.getByRole("button", { name: "Edit", exact: true }).click();
    await expect.poll(() => page.getByRole("button", { name: "Save…" }).count()).toBe(0);
  });

  test.each(ALL)("%s: every panel shows something, nothing leaves the origin, nothing breaks the policy", async (name) => {
    const { page, foreign, faults } = await at(`/d/${name}/x`, new Boarding(...ALL));
    await page.locator("[data-panel][aria-busy=false]").first().waitFor();
    await page.waitForLoadState("networkidle");
    for (const it of await page.locator("[data-panel]").all()) {
      const said = await it.evaluate((panel) => (panel as HTMLElement).innerText.length + panel.querySelectorAll("svg path, canvas, [data-bar]").length * 10);
      expect(said, `${name} ${await it.getAttribute("data-panel")}`).toBeGreaterThan(5);
    }
    expect([foreign, faults]).toEqual([[], []]);
  });
});

describe.skipIf(!chromiumIsThere())("Dashboards on a phone", () => {
  test("no dashboard scrolls sideways", async () => {
    const browser = await open({ width: 390, height: 844 });
    const mock = await Mock.start(new Boarding(...ALL).handler, new Tracing().handler, new Profiling().handler, new Alerting().handler, ...healthy);
    try {
      const { page } = await watched(browser, `${mock.url}/dashboards`);
      for (const path of ["/dashboards", ...ALL.map((it) => `/d/${it}/x`)]) {
        await page.goto(mock.url + path);
        await page.locator("h1").waitFor();
        await page.waitForLoadState("networkidle");
        await expect.poll(() => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), { message: path }).toBe(0);
      }
    } finally {
      await browser.close();
      await mock.stop();
    }
  });
});
