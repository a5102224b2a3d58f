// The query page in a real Chromium: answers, errors at their place, completion, the address. Not PromQL.
import { describe, expect, test } from "vitest";
import { chromiumIsThere, until } from "./browser.ts";
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
    const input = page.getByRole("combobox", { name: "PromQL expression" });
    await input.fill("sum(up");
    await input.press("Enter");
    await page.getByRole("alert").getByText("unclosed left parenthesis").waitFor();
    expect(await input.getAttribute("aria-invalid")).toBe("true");
    expect(await page.getByRole("alert").innerText()).toContain("Line 1, column 7.");
    expect(await page.locator("mark").count()).toBe(1);
    await input.fill("up");
    await input.press("Enter");
    await page.getByRole("cell", { name: /^up/ }).first().waitFor();
    expect(await page.getByRole("alert").count()).toBe(0);
  });

  test("metric names are completed from the keyboard", async () => {
    const page = await at("/query");
    const input = page.getByRole("combobox", { name: "PromQL expression" });
    await until("names", async () => here.mock.asked.some((it) => it.path.endsWith("/__name__/values")), (it) => it);
    await input.pressSequentially("rate(node_lo");
    await until("offers", () => page.getByRole("option").allInnerTexts(), (it) => it.join() === "node_load1,node_load15,node_load5");
    await input.press("ArrowDown");
    await input.press("ArrowDown");
    await input.press("Enter");
    expect(await input.inputValue()).toBe("rate(node_load15");
    expect(await page.getByRole("option").count()).toBe(0);
    await input.pressSequentially("{inst");
    expect(await page.getByRole("option").count()).toBe(0);
  });
});
