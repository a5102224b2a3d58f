// The page Logs on the real server: lines pushed as Loki's clients push them are found, counted, narrowed, and come in live.
// Not run without WATCHFIRE_BIN, and then says so (server.ts).
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Browser, chromiumIsThere, open, until, watched } from "./browser.ts";
import { BINARY, Watchfire } from "./server.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const LINES = 1200;
const EVIL = "<img src=x onerror=\"window.pwned=1\"> \u001b[31mred\u001b[0m";

describe.skipIf(!BINARY || !chromiumIsThere())("logs on the real server", () => {
  const server = new Watchfire();
  let browser: Browser;

  async function push(values: unknown[], stream: Record<string, string> = { container: "backend", host: "atlas" }): Promise<void> {
    const answer = await fetch(`${server.address}/loki/api/v1/push`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ streams: [{ stream, values }] }),
    });
    expect(answer.status, await answer.text()).toBe(204);
  }
  const ns = (ms: number, more = 0): string => (BigInt(ms) * 1_000_000n + BigInt(more)).toString();

  beforeAll(async () => {
    await server.start();
    browser = await open();
    const now = Date.now() - 60_000;
    const lineOf = (at: number): string => (at % 3 === 0 ? `{"level":"error","msg":"line ${at}","status":502}` : `INFO line ${at} took ${at} ms`);
    // Many of one time, so that pages meet within one.
    await push(Array.from({ length: LINES }, (_, at) => [ns(now + Math.floor(at / 50) * 1000), lineOf(at), { trace_id: TRACE }]));
    await push([[ns(now + 500), EVIL]], { container: "evil", host: "atlas" });
  });
  afterAll(async () => {
    await browser?.close();
    await server.stop();
  });

  test("lines are found, counted, paged without doubles, narrowed and seen in their context", async () => {
    const { page, faults, foreign } = await watched(browser, `${server.address}/logs?limit=100`);
    const rows = page.locator("[data-line]");
    await rows.first().waitFor();
    const query = page.getByRole("textbox", { name: "LogQL query" });
    await expect.poll(() => query.inputValue()).toMatch(/^\{(service_name|container)=~"\.\+"\}$/);
    await query.fill('{host="atlas"}');
    await query.press("Enter");
    const levels = page.getByRole("figure", { name: "Lines by level over time" }).locator("[data-level]");
    await until("counts", () => levels.allInnerTexts(), (it) => it.some((word) => /error\s+400/.test(word)) && it.some((word) => /info\s+800/.test(word)));
    const list = page.getByRole("list", { name: "Lines" });
    await until(
      "all of them",
      async () => {
        await list.evaluate((it) => (it.scrollTop = it.scrollHeight));
        return page.getByText("That is all.").count();
      },
      (it) => it === 1,
    );
    await page.getByText("1,201 lines").waitFor();
    await page.locator("[data-facet=container] summary").click();
    await page.locator("[data-facet=container]").getByText("1,200").waitFor();
    await page.locator("[data-facet=container]").getByRole("button", { name: "evil", exact: true }).click();
    await page.getByText("1 line", { exact: true }).waitFor();
    await expect.poll(() => rows.first().innerText()).toContain("onerror=\"window.pwned=1\"> red");
    await expect.poll(() => page.evaluate(() => "pwned" in window)).toBe(false);
    await query.fill(`{host="atlas"} | trace_id="${TRACE}" | json | status=502`);
    await query.press("Enter");
    await rows.filter({ hasText: "line 1197" }).click();
    await expect.poll(() => page.getByRole("region", { name: "Structured metadata" }).innerText()).toContain(TRACE);
    await expect.poll(() => page.getByRole("region", { name: "Fields", exact: true }).innerText()).toMatch(/status\s+502/);
    await page.getByRole("button", { name: "Context…" }).click();
    await page.getByRole("dialog").getByText('{container="backend", host="atlas"').waitFor();
    // The context is that of the stream, whatever was asked for.
    const around = await page.getByRole("dialog").locator("li").allInnerTexts();
    expect(around.filter((it) => it.includes("INFO line")).length).toBeGreaterThan(10);
    expect(around.filter((it) => it.includes('"line 1197"')).length).toBe(1);
    expect(foreign).toEqual([]);
    expect(faults).toEqual([]);
  });

  test("lines come in live, and an error has its place", async () => {
    const { page } = await watched(browser, `${server.address}/logs?${new URLSearchParams({ expr: '{host="atlas"}' }).toString()}`);
    const rows = page.locator("[data-line]");
    await rows.first().waitFor();
    await page.getByRole("button", { name: "Live" }).click();
    await page.getByText("lines come in live").waitFor();
    await push([[ns(Date.now()), "WARN it is new", { trace_id: TRACE }]]);
    await until("the new line", () => rows.first().innerText(), (it) => it.includes("WARN it is new"));
    await rows.first().click();
    await page.getByRole("button", { name: "Context…" }).click();
    await page.getByRole("dialog").getByText('{container="backend", host="atlas"').waitFor();
    await expect.poll(() => page.getByRole("dialog").locator("li").count()).toBeGreaterThan(10);
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Stop live" }).click();
    await page.getByRole("textbox", { name: "LogQL query" }).fill('{host="atlas"} | nonsense(');
    await page.getByRole("button", { name: "Run" }).click();
    await page.getByRole("alert").getByText(/parse error/).waitFor();
    await expect.poll(() => page.getByRole("alert").locator("mark").count()).toBe(1);
  });
});
