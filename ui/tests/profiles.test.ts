// The page Profiles in a real Chromium against a scripted server: a flame graph and its functions, two times compared, the samples of a
// span, the way from a trace and back, and what is said where there are none. Not the real server, not the arithmetic (src/pages/profiles).
import { describe, expect, test } from "vitest";
import { chromiumIsThere, until, type Watched } from "./browser.ts";
import { type Handler } from "./mock.ts";
import { CPU, HEAP, Profiling, SPAN } from "./profiling.ts";
import { site } from "./site.ts";
import { ODD_ID, Tracing } from "./tracing.ts";

describe.skipIf(!chromiumIsThere())("Profiles", () => {
  const here = site();
  const at = (path: string, ...handlers: Handler[]): Promise<Watched> => here.at(path, ...handlers, new Profiling().handler, new Tracing().handler);
  const asked = (path: string) => here.mock.asked.filter((it) => it.path === path).at(-1)?.params;
  type Page = Watched["page"];
  const graph = (page: Page) => page.getByRole("group", { name: "Flame graph" });
  const names = (page: Page) => page.locator("[data-function]").evaluateAll((all) => all.map((it) => it.getAttribute("data-function")));

  test("stk_07 a service is chosen, its flame graph is looked into, functions are found", async () => {
    const { page, faults } = await at("/");
    await page.getByRole("link", { name: "Profiles", exact: true }).click();
    // The first service has only its heap.
    await graph(page).waitFor();
    expect(asked("/pyroscope/render")?.get("query")).toBe(`${HEAP}{service_name="ai-yolo26"}`);
    await page.getByLabel("Service").selectOption("backend");
    await page.getByLabel("What is counted").selectOption("process cpu: cpu");
    await until("the question", async () => asked("/pyroscope/render")?.get("query"), (it) => it === `${CPU}{service_name="backend"}`);
    await page.getByText("1 s in all").waitFor();
    expect(Number(asked("/pyroscope/render")?.get("until")) - Number(asked("/pyroscope/render")?.get("from"))).toBe(3_600_000);
    await page.getByRole("figure", { name: "process cpu: cpu over time" }).waitFor();
    const bars = graph(page).getByRole("button");
    await expect.poll(() => bars.count()).toBe(7);
    await expect.poll(() => names(page)).toEqual(["nms", "store_event", "detect_objects", "resize", '<img src=x onerror="document.title=1">', "main"]);

    const width = async (name: string): Promise<number> => Math.round((await graph(page).locator(`[data-bar="${name}"]`).boundingBox())?.width ?? 0);
    const [whole, part] = [await width("main"), await width("detect_objects")];
    expect(part / whole).toBeCloseTo(0.7, 1);
    await graph(page).locator('[data-bar="detect_objects"]').click();
    await until("it as wide as all", () => width("detect_objects"), (it) => Math.abs(it - whole) <= 1);
    await expect.poll(() => graph(page).locator('[data-bar="store_event"]').count()).toBe(0);
    await page.getByRole("button", { name: "Show all", exact: true }).click();
    await until("all again", () => bars.count(), (it) => it === 7);

    await page.getByLabel("Find functions").fill("nms");
    await page.getByText("50% in functions with “nms”").waitFor();
    await expect.poll(() => names(page)).toEqual(["nms"]);
    await page.getByRole("button", { name: "nms", exact: true }).click();
    await until("nothing looked for", () => page.getByLabel("Find functions").inputValue(), (it) => it === "");
    await page.getByRole("table", { name: "Functions" }).getByRole("button", { name: "Total" }).click();
    expect((await names(page))[0]).toBe("main");

    await page.getByRole("link", { name: "Last 6 hours" }).click();
    await until("six hours", async () => Number(asked("/pyroscope/render")?.get("until")) - Number(asked("/pyroscope/render")?.get("from")), (it) => it === 21_600_000);
    await page.getByLabel("Labels").fill('camera="front_door"');
    await page.getByLabel("Labels").press("Enter");
    await until("the labels", async () => asked("/pyroscope/render")?.get("query"), (it) => it === `${CPU}{service_name="backend", camera="front_door"}`);
    await expect.poll(() => page.title()).not.toBe("1");
    expect(faults).toEqual([]);
  });

  test("stk_08 before and after are compared", async () => {
    const { page, faults } = await at(`/profiles?service=backend&type=${encodeURIComponent(CPU)}`);
    await graph(page).waitFor();
    await page.getByRole("link", { name: "Compare" }).click();
    await page.getByText("a larger share than before").waitFor();
    const [left, right] = ["left", "right"].map((side) => ({ from: Number(asked("/pyroscope/render-diff")?.get(`${side}From`)), until: Number(asked("/pyroscope/render-diff")?.get(`${side}Until`)) }));
    expect([left?.until, (left?.until ?? 0) - (left?.from ?? 0)]).toEqual([right?.from, 3_600_000]);
    await graph(page).getByRole("button", { name: "store_event: 25% before, 67% after, +41.7 points" }).waitFor();
    await expect.poll(() => names(page)).toEqual(["detect_objects", "store_event", "main"]);
    await page.getByLabel("compared with").selectOption("a week before");
    await until("a week", async () => Number(asked("/pyroscope/render-diff")?.get("rightFrom")) - Number(asked("/pyroscope/render-diff")?.get("leftFrom")), (it) => it === 604_800_000);
    expect(new URL(page.url()).searchParams.get("before")).toBe("7d");
    expect(faults).toEqual([]);
  });

  test("from a trace to the profile of its service, and back", async () => {
    const { page, faults } = await at(`/traces/${ODD_ID}`);
    await page.getByRole("list", { name: "Spans" }).getByRole("listitem").first().click();
    await page.getByRole("link", { name: "Profile of its service" }).first().click();
    await graph(page).waitFor();
    expect(new URL(page.url()).pathname).toBe("/profiles");
    await page.getByRole("link", { name: "Back to the trace" }).click();
    await page.getByRole("list", { name: "Spans" }).waitFor();
    expect(new URL(page.url()).pathname).toBe(`/traces/${ODD_ID}`);
    expect(faults).toEqual([]);
  });

  test("the samples of one span, and of one that has none", async () => {
    const address = (span: string): string => `/profiles?service=backend&type=${encodeURIComponent(CPU)}&from=1767089600000&until=1767089700000&span=${span}`;
    const { page, faults } = await at(address(SPAN));
    await page.getByText("30 ms in all").waitFor();
    await expect.poll(() => graph(page).getByRole("button").count()).toBe(2);
    const sent = here.mock.asked.find((it) => it.path.endsWith("/SelectMergeSpanProfile"));
    expect(JSON.parse(sent?.body ?? "")).toEqual({ profileTypeID: CPU, labelSelector: '{service_name="backend"}', spanSelector: [SPAN], start: 1767089600000, end: 1767089700000, maxNodes: 8192 });
    await page.getByRole("link", { name: "All of backend in this time" }).click();
    await page.getByText("1 s in all").waitFor();
    await page.goto(here.mock.url + address("ffffffffffffffff"));
    await page.getByText("No sample of this service names this span.").waitFor();
    expect(faults).toEqual([]);
  });

  test("what is said where there are none, and what is wrong", async () => {
    const { page } = await at("/profiles", new Profiling(true).handler);
    await page.getByText("There are no profiles yet.").waitFor();
    here.mock.handlers.unshift(new Profiling().handler);
    await page.goto(`${here.mock.url}/profiles?service=backend&labels=broken`);
    await page.getByRole("alert").getByText("cannot read the label selector: no").waitFor();
  });
});
