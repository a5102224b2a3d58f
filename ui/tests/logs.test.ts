// The page Logs in a real Chromium against a scripted server: lines, levels, facets, details, context, live lines, languages, long
// lists, hostile lines. Not LogQL, and not the phone and the keyboard of all pages (pages.test.ts).
import { describe, expect, test } from "vitest";
import { healthy } from "./answers.ts";
import { chromiumIsThere, until } from "./browser.ts";
import { lines, Logging, NASTY, type StubLine, tailOf } from "./logging.ts";
import { site } from "./site.ts";

describe.skipIf(!chromiumIsThere())("logs", () => {
  const here = site();

  const at = here.at.bind(here);
  type Page = Awaited<ReturnType<typeof at>>["page"];
  const rows = (page: Page) => page.locator("[data-line]");
  const box = (page: Page) => page.getByRole("textbox", { name: /query$/ });
  const asked = (path: string) => here.mock.asked.filter((it) => it.path === path);
  const lastQuery = () => asked("/loki/api/v1/query_range").map((it) => it.params.get("query") ?? "").filter((it) => it.startsWith("{")).at(-1);

  test("without a question the page asks for what there is, and shows lines, levels and counts", async () => {
    const { page, foreign, faults } = await at("/logs", new Logging(lines(300)).handler);
    await rows(page).first().waitFor();
    await expect.poll(() => box(page).inputValue()).toBe('{service_name=~".+"}');
    await page.getByText("300 lines").waitFor();
    await expect.poll(() => rows(page).first().innerText()).toMatch(/line 299:/);
    const levels = page.getByRole("figure", { name: "Lines by level over time" }).locator("[data-level]");
    await until("counts", () => levels.allInnerTexts(), (it) => it.length === 4);
    expect((await levels.allInnerTexts()).map((it) => it.replace(/\s+/g, " ").trim())).toEqual(["error 43", "warn 43", "info 171", "debug 43"]);
    expect(foreign).toEqual([]);
    expect(faults).toEqual([]);
  });

  test("a question is asked on Enter, kept in the address, and its error stands at its place", async () => {
    const { page } = await at("/logs", new Logging(lines(50)).handler);
    await rows(page).first().waitFor();
    await box(page).fill('{container="backend"} |= oops');
    await box(page).press("Enter");
    const alert = page.getByRole("alert");
    await alert.getByText("unexpected IDENTIFIER").waitFor();
    await expect.poll(() => alert.locator("mark").innerText()).toBe("=");
    expect(new URL(page.url()).searchParams.get("expr")).toBe('{container="backend"} |= oops');
    await box(page).fill('{container="worker"} | nothing');
    await box(page).press("Enter");
    await page.getByText("No line.").waitFor();
    await page.goBack();
    await page.goBack();
    await rows(page).first().waitFor();
    await expect.poll(() => box(page).inputValue()).toBe('{service_name=~".+"}');
    await box(page).fill("");
    await box(page).press("Enter");
    await until("what shows most", () => box(page).inputValue(), (it) => it === '{service_name=~".+"}');
    await rows(page).first().waitFor();
  });

  test("range, order and number of lines are asked for", async () => {
    const { page } = await at("/logs?expr=%7Bcontainer%3D%22worker%22%7D", new Logging(lines(300)).handler);
    await rows(page).first().waitFor();
    await page.getByRole("link", { name: "Last 6 hours" }).click();
    await page.getByLabel("Order").selectOption("forward");
    await page.getByRole("combobox", { name: "Lines" }).selectOption("100");
    const last = await until(
      "the request",
      async () => asked("/loki/api/v1/query_range").map((it) => it.params).filter((it) => it.get("direction") === "forward" && it.get("limit") === "100").at(-1),
      (it) => it !== undefined,
    );
    expect((Number(last?.get("end")) - Number(last?.get("start"))) / 1e9).toBeCloseTo(21_601, 0);
    await until("oldest first", () => rows(page).first().innerText(), (it) => it.includes("line 3:"));
    await page.getByText("Other times").click();
    await page.getByLabel("From", { exact: true }).fill("2026-01-02T03:04:05");
    await page.getByLabel("To", { exact: true }).fill("2026-01-02T04:04:05");
    await page.getByRole("button", { name: "Apply" }).click();
    await page.getByText("No line.").waitFor();
    expect(new URL(page.url()).searchParams.get("from")).toMatch(/^\d{13}$/);
    await expect.poll(() => page.getByRole("button", { name: "Live" }).isDisabled()).toBe(true);
  });

  test("a line unfolds into labels, metadata and fields, which narrow the question", async () => {
    const { page } = await at("/logs?expr=%7Bhost%3D%22atlas%22%7D", new Logging(lines(50)).handler);
    await rows(page).filter({ hasText: "line 49:" }).click();
    const section = (name: string) => page.getByRole("region", { name, exact: true });
    await expect.poll(() => section("Labels").innerText()).toMatch(/container\s+backend/);
    await expect.poll(() => section("Structured metadata").innerText()).toMatch(/trace_id\s+4bf92f/);
    await expect.poll(() => section("Fields (json)").innerText()).toMatch(/camera_name\s+porch/);
    // The server keeps no traces: there is nothing to go to.
    await expect.poll(() => page.getByRole("link", { name: /^Trace [0-9a-f]/ }).count()).toBe(0);
    await page.getByRole("button", { name: /^Copy trace id 4bf92f/ }).waitFor();
    await page.getByRole("button", { name: "Only status equal to 502" }).click();
    await until("the question", async () => lastQuery(), (it) => it === '{host="atlas"} | json | status="502"');
    await rows(page).filter({ hasText: "level=warn" }).first().click();
    await page.getByRole("button", { name: "Only container other than worker" }).click();
    await until("the question", async () => lastQuery(), (it) => it === '{host="atlas", container!="worker"} | json | status="502"');
  });

  test("a line leads to its trace where the server keeps traces", async () => {
    const { page } = await at("/logs?expr=%7Bhost%3D%22atlas%22%7D", new Logging(lines(50), true).handler);
    await rows(page).filter({ hasText: "line 49:" }).click();
    const link = page.getByRole("link", { name: /^Trace 4bf92f/ });
    await link.waitFor();
    await expect.poll(() => link.getAttribute("href")).toBe("/traces/4bf92f3577b34da6a3ce929d0e0e4736");
    await link.click();
    await page.getByRole("heading", { name: "Traces" }).waitFor();
  });

  test("facets count values and narrow by them, patterns too", async () => {
    const { page } = await at("/logs?expr=%7Bhost%3D%22atlas%22%7D", new Logging(lines(70)).handler);
    const facet = (name: string) => page.locator(`[data-facet=${name}]`);
    await facet("container").locator("summary").click();
    await until("values", () => facet("container").locator("li").allInnerTexts(), (it) => it.length === 2);
    expect((await facet("container").locator("li").allInnerTexts()).map((it) => it.split(/\s+/).slice(0, 2))).toEqual([["backend", "50"], ["worker", "20"]]);
    await facet("status").locator("summary").click();
    const counted = await until("the count", async () => asked("/loki/api/v1/query").map((it) => it.params.get("query")).at(-1), (it) => it?.includes("status") === true);
    expect(counted).toMatch(/^topk\(15, sum by \(status\) \(count_over_time\(\{host="atlas"\} \| json \| drop __error__, __error_details__ \| status!="" \[\d+s\]\)\)\)$/);
    await facet("container").getByRole("button", { name: "worker", exact: true }).click();
    await until("the question", async () => lastQuery(), (it) => it === '{host="atlas", container="worker"}');
    await page.getByText("Patterns").click();
    await page.getByRole("button", { name: /^INFO line/ }).click();
    await until("the question", async () => lastQuery(), (it) => it === '{host="atlas", container="worker"} |> `INFO line <_>: GET /api/cameras <_>`');
  });

  test("context shows what its stream said before and after", async () => {
    const { page } = await at("/logs?expr=%7Bhost%3D%22atlas%22%7D", new Logging(lines(700)).handler);
    await rows(page).filter({ hasText: "line 696:" }).click();
    await page.getByRole("button", { name: "Context…" }).click();
    const dialog = page.getByRole("dialog", { name: "Context" });
    await dialog.getByText('{container="worker", host="atlas", service_name="worker"}').waitFor();
    const texts = await dialog.locator("li").allInnerTexts();
    const itself = texts.findIndex((it) => it.includes("line 696:"));
    expect(itself).toBe(20);
    expect(texts[itself - 1]).toContain("line 691:");
    expect(texts[itself + 1]).toContain("line 698:");
    await dialog.getByRole("button", { name: "20 more before" }).click();
    await until("more", () => dialog.locator("li").count(), (it) => it === texts.length + 20);
    await page.keyboard.press("Escape");
    await until("closed", () => dialog.count(), (it) => it === 0);
  });

  test("live lines come in on top, once, also after the connection was lost", async () => {
    const { page } = await at("/logs?expr=%7Bhost%3D%22atlas%22%7D", new Logging(lines(50)).handler);
    await rows(page).first().waitFor();
    await page.getByRole("button", { name: "Live" }).click();
    await page.getByText("lines come in live").waitFor();
    const now = Date.now();
    here.mock.pushTail(tailOf(["ERROR one", "ERROR two"], now));
    await until("the newest", () => rows(page).first().innerText(), (it) => it.includes("ERROR two"));
    await page.getByText("52 lines").waitFor();
    // Labels of the tail come as one set; those of the stream are told from the others.
    await rows(page).first().click();
    await expect.poll(() => page.getByRole("region", { name: "Labels", exact: true }).innerText()).not.toMatch(/trace_id/);
    await expect.poll(() => page.getByRole("region", { name: "Structured metadata" }).innerText()).toMatch(/trace_id/);
    here.mock.cutTails();
    await page.getByText("the connection was lost").waitFor();
    await until("again", async () => here.mock.tailsAsked.length, (it) => it === 2);
    expect(here.mock.tailsAsked[1]?.get("start")).toBe((BigInt(now) * 1_000_000n + 1n).toString());
    await page.getByText("lines come in live").waitFor();
    here.mock.pushTail({ ...(tailOf(["ERROR one", "ERROR two", "ERROR three"], now) as object), dropped_entries: [{}, {}] });
    await until("the newest", () => rows(page).first().innerText(), (it) => it.includes("ERROR three"));
    await page.getByText("53 lines").waitFor();
    await page.getByText("2 that came too fast are missing").waitFor();
    await page.getByRole("button", { name: "Stop live" }).click();
    await until("closed", async () => here.mock.tails, (it) => it === 0);
  });

  test("who reads further down is left there by live lines", async () => {
    const { page } = await at("/logs?expr=%7Bhost%3D%22atlas%22%7D", new Logging(lines(500)).handler);
    await rows(page).first().waitFor();
    await page.getByRole("button", { name: "Live" }).click();
    await page.getByText("lines come in live").waitFor();
    const list = page.getByRole("list", { name: "Lines" });
    await list.evaluate((it) => (it.scrollTop = 2400));
    const place = () => page.locator("[data-line]", { hasText: "line 390:" }).boundingBox();
    const before = await until("the line", place, (it) => it !== null);
    here.mock.pushTail(tailOf(Array.from({ length: 40 }, (_, it) => `INFO new ${it}`)));
    await page.getByText("540 lines").waitFor();
    await page.waitForTimeout(300);
    expect((await place())?.y).toBeCloseTo(before?.y ?? 0, 0);
  });

  test("100,000 lines scroll: few rows are drawn, each place is there at once", async () => {
    const { page } = await at("/logs?expr=%7Bhost%3D%22atlas%22%7D&limit=5000", new Logging(lines(100_500)).handler);
    await rows(page).first().waitFor();
    const list = page.getByRole("list", { name: "Lines" });
    const loaded = async (): Promise<number> => Number((await page.locator("main").getByRole("status").first().innerText()).replace(/\D/g, ""));
    // Each jump to the end brings the next page.
    await until(
      "100,000 lines",
      async () => {
        await list.evaluate((it) => (it.scrollTop = it.scrollHeight));
        return loaded();
      },
      (it) => it === 100_000,
      50_000,
    );
    await page.getByText("The page holds 100,000 lines at most").waitFor();
    await expect.poll(() => rows(page).count()).toBeLessThan(120);
    const slow = await list.evaluate(async (it) => {
      const times: number[] = [];
      const frame = (): Promise<number> => new Promise((resolve) => requestAnimationFrame(resolve));
      let last = await frame();
      for (let step = 0; step < 60; step += 1) {
        it.scrollTop = ((step * 7919) % 60) * (it.scrollHeight / 60);
        const now = await frame();
        times.push(now - last);
        last = now;
      }
      return times.sort((a, b) => a - b)[54] ?? 0;
    });
    console.log(`a jump in 100,000 lines: nine of ten frames within ${slow.toFixed(1)} ms`);
    expect(slow).toBeLessThan(250);
    await list.evaluate((it) => (it.scrollTop = 0));
    await until("the first", () => rows(page).first().innerText(), (it) => it.includes("line 100499:"));
  });

  test("the keyboard goes from line to line and unfolds them", async () => {
    const { page } = await at("/logs?expr=%7Bhost%3D%22atlas%22%7D", new Logging(lines(500)).handler);
    await rows(page).first().focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    const focused = () => page.evaluate(() => (document.activeElement as HTMLElement).innerText);
    await until("the third", focused, (it) => it.includes("line 497:"));
    await page.keyboard.press("Enter");
    await page.getByRole("region", { name: "Labels", exact: true }).waitFor();
    await page.keyboard.press("Escape");
    await expect.poll(() => page.getByRole("button", { name: "Context…" }).count()).toBe(0);
    await page.keyboard.press("End");
    await until("the last", focused, (it) => it.includes("line 0:"));
    await page.keyboard.press("Home");
    await until("the first", focused, (it) => it.includes("line 499:"));
  });

  test("r43 what a line says is text, controls are seen, long lines are folded", async () => {
    const all: StubLine[] = NASTY.map((line, at) => ({ ns: BigInt(Date.now() - at * 1000) * 1_000_000n, stream: { [`job`]: line }, line, metadata: { "x": line }, level: "info" }));
    const { page, faults } = await at("/logs?expr=%7Bjob%3D~%22.%2B%22%7D", new Logging(all).handler);
    await rows(page).first().waitFor();
    await expect.poll(() => rows(page).nth(0).innerText()).toContain("<script>window.pwned=1</script>");
    const second = await rows(page).nth(1).innerText();
    expect(second).toContain("red and bell \u2407 nul \u2400 bidi ⟨U+202E⟩evil");
    for (const row of [0, 1, 2]) {
      await rows(page).nth(row).click();
      await page.getByRole("region", { name: "Labels", exact: true }).waitFor();
      if (row === 1) await page.getByText("3 escape sequences are left out.").waitFor();
    }
    expect((await rows(page).nth(2).innerText()).length).toBeLessThan(1200);
    await page.getByRole("button", { name: "Show 16,009 more characters" }).click();
    expect((await page.locator("pre").innerText()).length).toBe(20_009);
    await expect.poll(() => page.evaluate(() => "pwned" in window)).toBe(false);
    // No control character but newline and tab is anywhere on the page.
    await expect.poll(() => page.evaluate(() => /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/.test(document.body.textContent ?? ""))).toBe(false);
    expect(faults).toEqual([]);
  });

  test("numbers over lines are a chart", async () => {
    const { page } = await at(`/logs?${new URLSearchParams({ expr: 'sum by (container) (rate({host="atlas"}[5m]))' })}`, new Logging(lines(50)).handler);
    await page.locator("canvas").waitFor();
    await page.getByText('{container="backend"}').first().waitFor();
    await expect.poll(() => rows(page).count()).toBe(0);
  });

  test("Lucene and KQL go to Elasticsearch's interface with the range; without one the page says so", async () => {
    const { page } = await at("/logs", new Logging(lines(50)).handler);
    await rows(page).first().waitFor();
    await page.getByLabel("Language", { exact: true }).selectOption("lucene");
    await until("everything", async () => asked("/elasticsearch/_search").at(-1)?.params.get("q"), (it) => /^\(\*\) AND @timestamp:\["\d{4}-.*Z" TO "\d{4}-.*Z"\}$/.test(it ?? ""));
    await rows(page).first().waitFor();
    await rows(page).first().click();
    await page.getByRole("button", { name: "Only container.name equal to backend" }).click();
    await until("the question", async () => asked("/elasticsearch/_search").at(-1)?.params.get("q"), (it) => it?.startsWith('(container.name:"backend") AND ') === true);
    await expect.poll(() => page.getByRole("button", { name: "Live" }).isDisabled()).toBe(true);
    expect(asked("/elasticsearch/_search").at(-1)?.params.get("language")).toBe("lucene");
    await page.getByLabel("Language", { exact: true }).selectOption("kql");
    await until("KQL", async () => asked("/elasticsearch/_search").at(-1)?.params.get("q"), (it) => it?.startsWith('@timestamp >= "') === true);
    expect(asked("/elasticsearch/_search").at(-1)?.params.get("language")).toBe("kql");
    here.mock.handlers.unshift(({ path }) => (path === "/elasticsearch/_search" ? { status: 404, body: { message: "nothing here" } } : undefined));
    await page.getByRole("button", { name: "Run" }).click();
    await page.getByText("LogQL works without it.").waitFor();
    await page.getByLabel("Language", { exact: true }).selectOption("logql");
    await rows(page).first().waitFor();
  });

  test("searches are kept in the browser", async () => {
    const { page } = await at("/logs?expr=%7Bhost%3D%22atlas%22%7D&range=6h", new Logging(lines(50)).handler);
    await page.getByText("Saved searches").click();
    await page.getByLabel("Name of this search").fill("<b>atlas</b>");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.goto(`${here.mock.url}/logs`);
    await page.getByText("Saved searches (1)").click();
    await page.getByRole("link", { name: "<b>atlas</b>" }).click();
    await until("the address", async () => new URL(page.url()).search, (it) => it === "?expr=%7Bhost%3D%22atlas%22%7D&range=6h");
    await page.getByRole("button", { name: "Remove <b>atlas</b>" }).click();
    await page.getByText("None yet.").waitFor();
  });

  test("lines that a parser cannot read are counted all the same", async () => {
    const { page } = await at(`/logs?${new URLSearchParams({ expr: '{host="atlas"} | json' }).toString()}`, new Logging(lines(70)).handler);
    const levels = page.getByRole("figure", { name: "Lines by level over time" }).locator("[data-level]");
    await until("counts", () => levels.allInnerTexts(), (it) => it.length === 4);
    const counts = asked("/loki/api/v1/query_range").map((it) => it.params.get("query")).filter((it) => it?.startsWith("sum by (detected_level)"));
    expect(counts.at(-1)).toMatch(/\| json \| drop __error__, __error_details__ \[\d+s\]/);
  });

  test("a bar narrows the range to itself", async () => {
    const { page } = await at("/logs?expr=%7Bhost%3D%22atlas%22%7D", new Logging(lines(500)).handler);
    const bars = page.getByRole("figure", { name: "Lines by level over time" }).locator("svg");
    await bars.waitFor();
    const place = await bars.boundingBox();
    await bars.click({ position: { x: (place?.width ?? 0) * 0.75, y: 30 } });
    const params = await until("the range", async () => new URL(page.url()).searchParams, (it) => it.has("from"));
    expect(Number(params.get("to")) - Number(params.get("from"))).toBe(60_000);
  });

  test("a server without logs says why there is nothing", async () => {
    const { page } = await at("/logs", new Logging([]).handler);
    await page.getByText("No logs in the last 1 hour.").waitFor();
    await page.getByText("/loki/api/v1/push").waitFor();
    here.mock.handlers.length = 0;
    here.mock.handlers.push(...healthy);
    await page.goto(`${here.mock.url}/logs`);
    await page.getByText("Cannot ask for logs.").waitFor();
    await page.goto(`${here.mock.url}/logs?expr=%7Ba%3D%22b%22%7D`);
    await page.getByText("This server has no").waitFor();
  });
});
