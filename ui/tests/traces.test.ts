// The page Traces in a real Chromium against a scripted server: the search, one trace with ten thousand spans, what is odd in traces, two
// compared, the map, and what is said where there are none. Not the real server, and not the order of spans (src/pages/traces).
import { describe, expect, test } from "vitest";
import { chromiumIsThere, open, until, type Watched, watched } from "./browser.ts";
import { type Handler } from "./mock.ts";
import { site } from "./site.ts";
import { MANY, MANY_ID, ODD_ID, Tracing } from "./tracing.ts";

describe.skipIf(!chromiumIsThere())("Traces", () => {
  const here = site();
  let tracing: Tracing;

  function at(path: string, ...handlers: Handler[]): Promise<Watched> {
    tracing = new Tracing();
    return here.at(path, ...handlers, tracing.handler);
  }
  type Page = Watched["page"];
  const asked = (path: string) => here.mock.asked.filter((it) => it.path === path).at(-1)?.params;
  const spans = (page: Page) => page.getByRole("list", { name: "Spans" });
  /** The names of rows that are drawn, by place. */
  const drawn = async (page: Page): Promise<string[]> => {
    const rows = await spans(page).getByRole("listitem").evaluateAll((all) => all.map((it) => [Number(it.getAttribute("aria-posinset")), it.querySelector(".name")?.textContent.replace(/\s+/g, " ").trim() ?? ""] as const));
    return rows.sort((a, b) => a[0] - b[0]).map(([place, name]) => `${place} ${name}`);
  };

  test("a service is chosen, its traces are found, narrowed, ordered and gone to", async () => {
    const { page, faults } = await at("/");
    await page.getByRole("link", { name: "Traces", exact: true }).click();
    await page.getByText("Choose a service and find its traces").waitFor();
    await page.getByLabel("Service", { exact: true }).selectOption("nemotron-backend");
    await page.getByLabel("Operation").selectOption("POST /api/detections");
    await page.getByLabel("Tags").fill("http.status_code=200");
    await page.getByLabel("Min Duration").fill("50ms");
    await page.getByLabel("Max Duration").fill("0.9s");
    await page.getByLabel("Limit Results").fill("10");
    await page.getByLabel("Lookback").selectOption("Last 6 hours");
    await page.getByRole("button", { name: "Find Traces" }).click();
    await page.getByText("10 traces, which is the limit: there may be more").waitFor();
    expect(new URL(page.url()).search).toBe("?service=nemotron-backend&operation=POST+%2Fapi%2Fdetections&tags=http.status_code%3D200&minDuration=50ms&maxDuration=0.9s&limit=10&lookback=6h");
    const params = asked("/jaeger/api/traces");
    expect(Object.fromEntries([...(params ?? [])].filter(([name]) => name !== "start" && name !== "end"))).toEqual({
      service: "nemotron-backend",
      operation: "POST /api/detections",
      tags: '{"http.status_code":"200"}',
      minDuration: "50ms",
      maxDuration: "0.9s",
      limit: "10",
      lookback: "6h",
    });
    expect(Number(params?.get("end")) - Number(params?.get("start"))).toBe(21_600_000_000);

    const lengths = () => page.locator("[data-trace] .length").allInnerTexts();
    await page.getByLabel("Sort").selectOption("longest");
    const longest = await lengths();
    await page.getByLabel("Sort").selectOption("shortest");
    await until("the other way round", lengths, (it) => it.join() === [...longest].reverse().join());
    await expect.poll(() => page.locator("[data-point]").count()).toBe(10);
    // A row of the table of lengths asks for such lengths.
    const figure = page.getByRole("figure", { name: "Traces by duration" });
    await figure.locator("summary").click();
    await figure.getByRole("button", { name: "100 ms to 200 ms" }).click();
    await until("the lengths", async () => asked("/jaeger/api/traces")?.get("minDuration"), (it) => it === "100ms");
    expect(asked("/jaeger/api/traces")?.get("maxDuration")).toBe("200ms");
    await until("fewer", () => page.locator("[data-point]").count(), (it) => it > 0 && it < 10);
    await page.locator("[data-point]").first().click();
    await spans(page).waitFor();
    expect(new URL(page.url()).pathname).toMatch(/^\/traces\/[0-9a-f]{32}$/);
    await page.goBack();
    await page.locator("[data-trace]").first().waitFor();
    expect(faults).toEqual([]);
  });

  test("what cannot be meant is not asked, and what the server refuses is told in its words", async () => {
    const { page } = await at("/traces");
    await page.getByLabel("Tags").fill("no pair");
    await page.getByRole("button", { name: "Find Traces" }).click();
    await page.getByRole("alert").getByText("Tags are pairs").waitFor();
    expect(asked("/jaeger/api/traces")).toBeUndefined();
    await page.getByLabel("Tags").fill("refused=1");
    await page.getByRole("button", { name: "Find Traces" }).click();
    await page.getByRole("alert").getByText("tags that are refused here").waitFor();
    await page.getByLabel("Tags").fill("nobody=has-this");
    await page.getByRole("button", { name: "Find Traces" }).click();
    await page.getByText("No trace fits this question.").waitFor();
    await page.getByLabel("Trace ID").fill("not hexadecimal");
    await page.getByRole("button", { name: "Go to trace" }).click();
    await page.getByRole("alert").getByText("up to 32 hexadecimal digits").waitFor();
    await page.getByLabel("Trace ID").fill("ffff");
    await page.getByRole("button", { name: "Go to trace" }).click();
    await page.getByText("The server has no trace ffff").waitFor();
  });

  test("of ten thousand spans those are drawn that are seen, wherever one goes", async () => {
    const { page, faults } = await at(`/traces/${MANY_ID}`);
    await spans(page).getByRole("listitem").first().waitFor();
    await expect.poll(() => page.getByText("10,000", { exact: true }).count()).toBe(1);
    const whole = await spans(page).evaluate((it) => it.scrollHeight);
    const most = 120;
    const row = whole / MANY;
    for (const share of [0, 0.25, 0.5, 0.9, 1]) {
      await spans(page).evaluate((it, top) => it.scrollTo(0, top), whole * share);
      const first = Math.min(MANY - 1, Math.floor((whole * share) / row) + 1);
      const seen = await until(`rows at ${share}`, () => drawn(page), (it) => it.some((one) => one.startsWith(`${first} `)));
      expect(seen.length).toBeLessThan(most);
    }
    expect((await drawn(page)).at(-1)).toMatch(/^10000 /);
    // From the keyboard: the end, the begin, folding.
    await spans(page).locator("[data-row]").last().focus();
    await page.keyboard.press("Home");
    await until("the first", () => page.evaluate(() => document.activeElement?.getAttribute("data-row")), (it) => it === "0");
    await page.keyboard.press("ArrowDown");
    await until("the second", () => page.evaluate(() => document.activeElement?.getAttribute("data-row")), (it) => it === "1");
    await page.keyboard.press("ArrowLeft");
    await until("folded", () => drawn(page), (it) => it[1] === "2 nemotron-backend batch 0 +99" && it[2] === "3 nemotron-backend batch 1");
    await page.keyboard.press("ArrowRight");
    await until("unfolded", () => drawn(page), (it) => it[2] === "3 postgres step 1");
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    await until("the parent", () => page.evaluate(() => document.activeElement?.getAttribute("data-row")), (it) => it === "0");
    await page.getByRole("button", { name: "Fold all", exact: true }).click();
    await until("all folded", () => drawn(page), (it) => it.join() === "1 ! nemotron-backend POST /api/batch +9,999");
    await page.getByRole("button", { name: "Unfold one level" }).click();
    await until("one level", () => drawn(page), (it) => it[1] === "2 nemotron-backend batch 0 +99");
    await page.getByRole("button", { name: "Unfold all" }).click();

    await page.getByLabel("Find spans").fill("id = 9771");
    await page.getByText("1 found").waitFor();
    await page.getByRole("button", { name: "Next" }).click();
    await until("the one that was found", () => drawn(page), (it) => it.some((one) => one.startsWith("9771 ")));
    expect(new URL(page.url()).searchParams.get("find")).toBe("id = 9771");
    expect(faults).toEqual([]);
  });

  test("a span that the address names is unfolded and seen, and time is narrowed to it", async () => {
    const { page } = await at(`/traces/${MANY_ID}?span=${(5000).toString(16).padStart(16, "0")}`);
    const details = spans(page).getByRole("region", { name: "Tags" });
    await details.getByText("select * from detections where id = 5000").waitFor();
    const inList = () => details.evaluate((it) => {
      const list = it.closest("[role=list]")?.getBoundingClientRect();
      const { top } = it.getBoundingClientRect();
      return list !== undefined && top >= list.top && top <= list.bottom;
    });
    await until("in view", inList, (it) => it);
    await expect.poll(() => page.locator(".zoom [role=status]").innerText()).toBe("the whole trace");
    await page.getByRole("button", { name: "Show its time alone" }).click();
    await until("its time", () => page.locator(".zoom [role=status]").innerText(), (it) => it === "24.9 s to 24.9 s");
    await page.getByRole("button", { name: "Show more time" }).click();
    await page.getByRole("button", { name: "Whole trace" }).click();
    await until("the whole", () => page.locator(".zoom [role=status]").innerText(), (it) => it === "the whole trace");
    // A part of the small map that is drawn over is shown.
    const box = await page.locator(".map svg").boundingBox();
    if (!box) throw new Error("there is no small map");
    await page.mouse.move(box.x + box.width * 0.2, box.y + 20);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.4, box.y + 30);
    await page.mouse.up();
    await until("a fifth", () => page.locator(".zoom [role=status]").innerText(), (it) => it === "10 s to 20 s");
    await page.getByRole("button", { name: "Go to its parent" }).click();
    await until("its parent", () => drawn(page), (it) => it.some((one) => one.endsWith(" batch 49")));
  });

  test("what spans say is text, and what is odd is said", async () => {
    const { page, faults } = await at(`/traces/${ODD_ID}?span=0000000000000002`);
    await page.getByText("Spans are missing: one stands without the parent that it names.").waitFor();
    await spans(page).getByText('<img src=x onerror="document.title=1"> <b>not bold</b>').first().waitFor();
    await expect.poll(() => page.locator("main img").count()).toBe(0);
    await expect.poll(() => page.title()).toBe("Traces · Watchfire");
    const tags = spans(page).getByRole("region", { name: "Tags" });
    await expect.poll(() => tags.getByRole("row", { name: /otel.status_description/ }).innerText()).toContain("model is gone␇⟨U+202E⟩");
    await tags.getByRole("button", { name: "Show 5000 more characters" }).click();
    const logs = spans(page).getByRole("region", { name: "Logs" });
    // In the order of time, with line breaks.
    await expect.poll(() => logs.innerText()).toMatch(/retry[\s\S]*exception[\s\S]*line 1\n\s*line 2/);
    await spans(page).getByText("the clock was set back").waitFor();
    await expect.poll(() => spans(page).getByRole("button", { name: /publish/ }).getAttribute("aria-label")).toBe("nemotron-backend: publish, 20 ms");
    await expect.poll(() => page.getByRole("button", { name: /: orphan,/ }).getAttribute("aria-label")).toContain("Its parent is not in this trace");

    // Clocks: as they were told first, right on request.
    await expect.poll(() => page.locator("dl").first().innerText()).toMatch(/Duration\s+1 h/);
    await page.getByLabel("Set them right").check();
    await until("the right length", () => page.locator("dl").first().innerText(), (it) => /Duration\s+900 ms/.test(it));
    await page.getByRole("button", { name: /yolo26: detect/ }).click();
    await spans(page).getByText(/its clock seems to be 1 h behind/).waitFor();

    await page.getByRole("button", { name: /publish/ }).click();
    await spans(page).getByRole("link", { name: `trace ${MANY_ID}` }).click();
    await until("the other trace", async () => new URL(page.url()).pathname + new URL(page.url()).search, (it) => it === `/traces/${MANY_ID}?span=0000000000000005`);
    await spans(page).getByText("select * from detections where id = 5", { exact: true }).waitFor();
    expect(faults).toEqual([]);
  });

  test("from a trace to its logs, and to traces like it", async () => {
    const { page } = await at(`/traces/${ODD_ID}?span=0000000000000002`);
    const logs = await page.getByRole("link", { name: "Logs of this trace" }).getAttribute("href");
    expect(new URL(logs ?? "", page.url()).searchParams.get("expr")).toBe(`{service_name=~".+"} | trace_id="${ODD_ID}"`);
    const span = await page.getByRole("link", { name: "Logs of this span" }).getAttribute("href");
    expect(new URL(span ?? "", page.url()).searchParams.get("expr")).toBe(`{service_name=~".+"} | trace_id="${ODD_ID}" | span_id="0000000000000002"`);
    await page.getByRole("link", { name: "Find traces with this error" }).click();
    await page.getByText("2 traces", { exact: true }).waitFor();
    await expect.poll(() => page.getByLabel("Tags").inputValue()).toBe("error=true");
    expect(asked("/jaeger/api/traces")?.get("tags")).toBe('{"error":"true"}');
  });

  test("two traces are chosen and compared", async () => {
    const { page } = await at("/traces?service=nemotron-backend&operation=POST+%2Fapi%2Fdetections&limit=50");
    const boxes = page.getByRole("checkbox", { name: /^Compare nemotron-backend: POST \/api\/detections/ });
    await boxes.nth(0).check();
    await page.getByText("Choose one more to compare.").waitFor();
    await boxes.nth(1).check();
    await page.getByRole("link", { name: "Compare the two" }).click();
    // The first of them asks the cache twice, the second once.
    const row = page.getByRole("row", { name: /redis: redis GET/ });
    expect((await row.getByRole("cell").allInnerTexts()).slice(0, 2)).toEqual(["2", "1"]);
    await expect.poll(() => row.getAttribute("data-change")).toBe("fewer");
    await page.getByLabel("Only what changed").check();
    await until("one row", () => page.locator("[data-change]").count(), (it) => it === 1);
    await page.getByRole("button", { name: "Swap A and B" }).click();
    await until("swapped", () => page.locator("[data-change]").getAttribute("data-change"), (it) => it === "more");
    await page.getByRole("textbox", { name: "Trace B" }).fill("ffff");
    await page.getByRole("button", { name: "Compare", exact: true }).click();
    await page.getByText("The server has no trace ffff.").waitFor();
  });

  test("the map has every service once, and the table every pair", async () => {
    const { page } = await at("/traces/map");
    await page.locator("[data-service=nemotron-backend]").waitFor();
    await expect.poll(() => page.locator("[data-service]").count()).toBe(7);
    await expect.poll(() => page.getByRole("row", { name: "frontend nemotron-backend 8,123" }).count()).toBe(1);
    expect(Number(asked("/jaeger/api/dependencies")?.get("lookback"))).toBe(86_400_000);
    await page.getByRole("link", { name: "Last 1 hour" }).click();
    await until("the hour", async () => asked("/jaeger/api/dependencies")?.get("lookback"), (it) => it === "3600000");
    tracing.calls = [];
    await page.getByRole("link", { name: "Last 7 days" }).click();
    await page.getByText("No service called another in the last 7 days").waitFor();
    tracing.calls = [["a", "b", 1]];
    await page.getByRole("link", { name: "Last 6 hours" }).click();
    await page.locator("[data-service=a]").click();
    await until("its traces", async () => new URL(page.url()).search, (it) => it === "?service=a");
  });

  test("a server without traces says so, and one that fails says how", async () => {
    const { page, faults } = await here.at("/traces");
    for (const path of ["/traces", "/traces/abc", "/traces/map", "/traces/compare"]) {
      await page.goto(here.mock.url + path);
      await page.getByText("There are no traces yet. This version of the server keeps none").waitFor();
    }
    tracing = new Tracing();
    tracing.traces = [];
    here.mock.handlers.unshift(tracing.handler);
    await page.goto(`${here.mock.url}/traces`);
    await page.getByText("No program has sent any").waitFor();
    here.mock.handlers.unshift(({ path }) => (path.startsWith("/jaeger/") ? { status: 503, body: { data: null, errors: [{ code: 503, msg: "the store is shutting down" }] } } : undefined));
    await page.goto(`${here.mock.url}/traces`);
    await page.getByRole("alert").getByText("the store is shutting down").waitFor();
    expect(faults).toEqual([]);
  });

  test("what a server says twice is shown once, and an id that stands twice in a trace is two rows", async () => {
    const { page, faults } = await at("/traces/map");
    await page.locator("[data-service=redis]").waitFor();
    tracing.calls = [["a", "b", 3], ["a", "b", 4]];
    await page.getByRole("link", { name: "Last 1 hour" }).click();
    await page.getByRole("row", { name: "a b 7" }).waitFor();
    const [first] = tracing.traces.slice(-1);
    if (!first) throw new Error("there is no trace");
    first.spans.push({ ...first.spans[1], operationName: "the other" });
    tracing.traces = [first, first];
    await page.goto(`${here.mock.url}/traces?service=nemotron-backend`);
    await page.getByText("1 trace", { exact: true }).waitFor();
    await page.locator("[data-trace] a").click();
    await spans(page).getByRole("button", { name: /the other, .*same id/ }).click();
    await until("the second", () => spans(page).getByRole("button", { expanded: true }).filter({ hasNot: page.locator("i") }).evaluateAll((all) => all.map((it) => it.getAttribute("aria-label")).join()), (it) => it.includes("the other"));
    expect(faults).toEqual([]);
  });

  test("on a phone nothing is wider than it", async () => {
    tracing = new Tracing();
    const { page: first } = await here.at("/traces", tracing.handler);
    await first.close();
    const phone = await open({ width: 390, height: 844 });
    try {
      for (const path of ["/traces?service=nemotron-backend", `/traces/${ODD_ID}?span=0000000000000002`, `/traces/${MANY_ID}`, `/traces/compare?a=${ODD_ID}&b=${MANY_ID}`, "/traces/map"]) {
        const { page, faults } = await watched(phone, here.mock.url + path);
        await page.locator("[data-trace], [data-row], [data-change], [data-service]").first().waitFor();
        await expect.poll(() => page.evaluate(() => document.documentElement.scrollWidth), { message: path }).toBeLessThanOrEqual(390);
        expect(faults, path).toEqual([]);
        await page.close();
      }
    } finally {
      await phone.close();
    }
  });
});
