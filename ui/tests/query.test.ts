// The query page in a real Chromium: answers, errors at their place, completion, the address. Not PromQL.
import { describe, expect, test } from "vitest";
import { violations } from "./axe.ts";
import { chromiumIsThere, until } from "./browser.ts";
import type { Handler } from "./mock.ts";
import { site } from "./site.ts";

describe.skipIf(!chromiumIsThere())("Query", () => {
  const here = site();

  const at = async (path: string) => (await here.at(path)).page;

  test("a question from the first page is answered as table and chart, and is in the address", async () => {
    const page = await at("/");
    await page.getByLabel("PromQL query").fill("up");
    await page.getByLabel("PromQL query").press("Enter");
    await page.getByRole("cell", { name: 'up{job="node", instance="localhost"}' }).waitFor();
    await page.locator("canvas").waitFor();
    expect(new URL(page.url()).search).toBe("?expr=up");
    await page.getByRole("link", { name: "Last 6 hours" }).click();
    await until("range", async () => new URL(page.url()).search, (it) => it === "?expr=up&range=6h");
    const range = await until("the request", async () => here.mock.asked.filter((it) => it.path === "/api/v1/query_range").at(-1), (it) => {
      return Number(it?.params.get("end")) - Number(it?.params.get("start")) === 21_600;
    });
    expect(range?.params.get("step")).toBe("120");
    await page.goBack();
    expect(new URL(page.url()).search).toBe("?expr=up");
    await page.goBack();
    await page.getByRole("heading", { name: "System Status" }).waitFor();
  });

  test("an exemplar under the chart leads to its trace", async () => {
    const page = await at("/query?expr=up");
    const exemplar = page.getByRole("link", { name: /^Trace 1234abcd5678ef901234abcd5678ef90: 0.25 at / });
    await exemplar.waitFor();
    await exemplar.click();
    await until("the trace", async () => new URL(page.url()).pathname, (it) => it === "/traces/1234abcd5678ef901234abcd5678ef90");
  });

  test("an error stands at the input, with its place marked", async () => {
    const page = await at("/query");
    const input = page.getByLabel("PromQL expression");
    await input.fill("sum(up");
    await input.press("Enter");
    await page.getByRole("alert").getByText("unclosed left parenthesis").waitFor();
    await expect.poll(() => input.getAttribute("aria-invalid")).toBe("true");
    await expect.poll(() => page.getByRole("alert").innerText()).toContain("Line 1, column 7.");
    await expect.poll(() => page.locator("mark").count()).toBe(1);
    await input.fill("up");
    await input.press("Enter");
    await page.getByRole("cell", { name: /^up/ }).first().waitFor();
    await expect.poll(() => page.getByRole("alert").count()).toBe(0);
  });

  test("metric names are completed from the keyboard", async () => {
    const page = await at("/query");
    const input = page.getByLabel("PromQL expression");
    await until("names", async () => here.mock.asked.some((it) => it.path.endsWith("/__name__/values")), (it) => it);
    await input.pressSequentially("rate(node_lo");
    await until("offers", () => page.getByRole("listbox").locator("[role=option] > .mono").allInnerTexts(), (it) => it.join() === "node_load1,node_load15,node_load5");
    await input.press("ArrowDown");
    await input.press("ArrowDown");
    await input.press("Enter");
    await expect.poll(() => input.inputValue()).toBe("rate(node_load15");
    await expect.poll(() => page.getByRole("listbox").getByRole("option").count()).toBe(0);
  });

  /** What the server knows of two metrics, and how it reads two queries. */
  const knowing: Handler = ({ path, params }) => {
    const success = (data: unknown) => ({ body: { status: "success", data } });
    if (path === "/api/v1/metadata") return success({ node_load1: [{ type: "gauge", help: "Load of the last minute.", unit: "" }], up: [{ type: "gauge", help: "Whether the last scrape worked.", unit: "" }] });
    if (path === "/api/v1/labels") return success(["__name__", "instance", "job"]);
    if (path === "/api/v1/label/job/values") return success(["node", "web"]);
    if (path !== "/api/v1/parse_query") return undefined;
    const query = params.get("query") ?? "";
    const selector = (name: string, more: object) => ({ name, matchers: [{ name: "__name__", type: "=", value: name }], offset: 0, startOrEnd: null, timestamp: null, ...more });
    if (query === "rate(node_load1[5m])") return success({ type: "call", func: { name: "rate" }, args: [selector("node_load1", { type: "matrixSelector", range: 300_000 })] });
    if (query === "up") return success(selector("up", { type: "vectorSelector" }));
    return { status: 400, body: { status: "error", errorType: "bad_data", error: 'invalid parameter "query": 1:7: parse error: unexpected end of input' } };
  };

  test("labels, values, durations and functions are completed where they stand, with what they mean", async () => {
    const { page } = await here.at("/query", knowing);
    const input = page.getByLabel("PromQL expression");
    await until("names", async () => here.mock.asked.some((it) => it.path === "/api/v1/metadata"), (it) => it);
    const offers = () => page.getByRole("listbox").locator("[role=option] > .mono").allInnerTexts();
    const are = (...names: string[]) => until("offers", offers, (it) => it.join() === names.join());
    await input.pressSequentially("rat");
    await are("rate");
    await expect.poll(() => page.getByRole("listbox").getByRole("option").innerText()).toContain("growth per second of a counter over the range");
    await input.press("ArrowDown");
    await input.press("Enter");
    await page.locator("[data-signature]").getByText("rate(series[range])").waitFor();
    await input.pressSequentially("node_load1");
    await until("its text", () => page.getByRole("listbox").getByRole("option").first().innerText(), (it) => it.includes("gauge: Load of the last minute."));
    await input.press("Escape");
    await input.pressSequentially("{");
    await are("instance", "job");
    expect(here.mock.asked.filter((it) => it.path === "/api/v1/labels").at(-1)?.params.get("match[]")).toBe("node_load1");
    await input.pressSequentially("jo");
    await are("job");
    await input.press("ArrowDown");
    await input.press("Tab");
    // The values of a label follow its name.
    await are("node", "web");
    await input.pressSequentially("we");
    await input.press("ArrowDown");
    await input.press("Enter");
    await input.pressSequentially("}[");
    await until("durations", offers, (it) => it.includes("5m"));
    await input.pressSequentially("5");
    await input.press("ArrowDown");
    await input.press("Enter");
    await expect.poll(() => input.inputValue()).toBe('rate(node_load1{job="web"}[5m]');
    await input.fill("sum(up) by (");
    await input.press("End");
    await input.press("Control+ ");
    await are("instance", "job");
    await page.getByRole("listbox").getByRole("option", { name: "job" }).click();
    await expect.poll(() => input.inputValue()).toBe("sum(up) by (job");
  });

  test("what is typed is explained, what is odd about it is said, and an error has its place before anybody runs it", async () => {
    const { page } = await here.at("/query", knowing);
    const input = page.getByLabel("PromQL expression");
    await input.fill("rate(node_load1[5m])");
    await page.locator("[data-lint=odd]").getByText("rate() is for counters, and node_load1 is a gauge").waitFor();
    await page.getByText("What this query means").click();
    await page.getByRole("listitem").getByText("the samples of the last 5 min of node_load1 (Load of the last minute)").waitFor();
    expect(await violations(page)).toEqual([]);
    await input.fill("sum(up");
    await page.locator("[data-lint=error]").getByText("parse error: unexpected end of input").waitFor();
    await expect.poll(() => page.locator("[data-lint=error] mark").count()).toBe(1);
    await expect.poll(() => page.locator("[data-lint=odd]").count()).toBe(0);
    await input.fill("up");
    await until("no error", () => page.locator("[data-lint]").count(), (it) => it === 0);
  });

  test("metrics are found by words of their catalogs and put into the query", async () => {
    const { page } = await here.at("/query", knowing);
    await page.getByText(/^All metrics \(\d+\)$/).click();
    await page.getByLabel("Words of a metric's name or text").fill("scrape worked");
    await page.getByRole("button", { name: "up", exact: true }).click();
    await expect.poll(() => page.getByLabel("PromQL expression").inputValue()).toBe("up");
    await page.getByLabel("Words of a metric's name or text").fill("no such thing");
    await page.getByText("None has these words.").waitFor();
    await page.setViewportSize({ width: 360, height: 800 });
    await expect.poll(() => page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
  });
});
