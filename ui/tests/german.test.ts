// The page in German: no page says anything in English that has German words, nothing is wider than a phone, axe finds nothing, numbers and
// dates are written as Germans write them. Not whether the German is good.
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { de } from "../src/words/de/index.ts";
import { Alerting } from "./alerting.ts";
import { healthy } from "./answers.ts";
import { violations } from "./axe.ts";
import { Boarding } from "./boarding.ts";
import { type Browser, chromiumIsThere, type Look, open, watched } from "./browser.ts";
import { collected } from "./collecting.ts";
import { DeadLetters } from "./deadLetters.ts";
import { fullDisk, trouble, waiting } from "./household.ts";
import { lines, Logging } from "./logging.ts";
import { type Handler, Mock } from "./mock.ts";
import { pipeline } from "./pipeline.ts";
import { CPU, Profiling } from "./profiling.ts";
import { Supervision } from "./supervised.ts";
import { MANY_ID, ODD_ID, Tracing, usualId } from "./tracing.ts";
import { Watching } from "./watching.ts";

const boards = new Boarding("house", "types", "prometheus-stats");
const dashboards: Handler = (asked) => (asked.path.startsWith("/api/v1/query") || asked.path.startsWith("/loki/") ? undefined : boards.handler(asked));
const PAGES = [
  ...["/", "/overview", "/overview?kiosk", "/dashboards", "/d/house/x", "/d/types/x", "/d/none/x", "/alerts", "/alerts?show=muted&q=nothing", "/rules", "/doctor", "/logs", "/explore", "/query?expr=up", "/query?expr=histogram_quantile(0.9,sum(rate(x[5m])))"],
  ...["/traces", "/traces?service=nemotron-backend&limit=50", `/traces/${ODD_ID}?span=0000000000000002`, `/traces/${MANY_ID}`, `/traces/compare?a=${usualId(0)}&b=${usualId(2)}`, "/traces/map"],
  ...[`/profiles?service=backend&type=${encodeURIComponent(CPU)}`, `/profiles/compare?service=backend&type=${encodeURIComponent(CPU)}`],
  ...["/pipeline", "/cameras", "/services", "/processes", "/targets", "/targets?of=probes", "/storage", "/settings", "/settings/dlq", "/nowhere"],
];
const everything = (): Handler[] => [trouble, fullDisk, waiting, new Alerting().handler, new DeadLetters().handler, new Supervision().handler, new Watching().handler, new Logging(lines(50)).handler, new Tracing().handler, new Profiling().handler, dashboards, collected, ...pipeline, ...healthy];
const nothing = (): Handler[] => healthy.slice();

/** Phrases whose German differs, as patterns: what stands in the places of their values may be anything. */
const patterns = Object.entries(de)
  .filter(([phrase, words]) => phrase !== words)
  .map(([phrase]) => phrase.trim())
  // A phrase that is mostly values fits what people wrote, too.
  .filter((phrase) => phrase.replace(/\{\d\}|[^A-Za-z]/g, "").length >= (phrase.includes("{0}") ? 12 : 3))
  .map((phrase) => new RegExp(`^${phrase.split(/\{\d\}/).map((it) => it.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("[^]{1,80}?")}$`));
/** What the scripted server's data have as values of labels, too. */
const DATA = /^(warning|error|container|Trace ID|connection refused|: connection refused)$/;
/** Titles, fields and values of a dashboard are its writer's: only what no writer says is looked for there. */
const isWritten = (path: string, text: string): boolean => path.startsWith("/d/") && !/\S \S+ \S/.test(text);

/** Texts that are read, by eye or out, but for code and what people wrote. */
async function texts(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const found = new Set<string>();
    const skip = "code, kbd, pre, samp, .mono, [translate=no], script, style, textarea, datalist";
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const text = node.textContent?.replace(/\s+/g, " ").trim() ?? "";
      if (text !== "" && !node.parentElement?.closest(skip)) found.add(text);
    }
    for (const element of document.body.querySelectorAll("[title], [aria-label], [placeholder], [alt]")) {
      for (const name of ["title", "aria-label", "placeholder", "alt"]) {
        const text = element.getAttribute(name)?.replace(/\s+/g, " ").trim() ?? "";
        if (text !== "" && !element.closest("[translate=no]")) found.add(text);
      }
    }
    return [...found];
  });
}

async function german(look: Look): Promise<Browser> {
  const browser = await open(look);
  await browser.context.addInitScript(() => localStorage.setItem("watchfire.language", "de"));
  return browser;
}

async function settled(page: Page): Promise<void> {
  await page.locator("h1, [role=alert]").first().waitFor();
  await page.waitForLoadState("networkidle");
}

async function unfold(page: Page): Promise<void> {
  await page.evaluate(() => {
    for (const it of document.querySelectorAll("details")) it.open = true;
  });
  await page.waitForLoadState("networkidle");
}

function english(path: string, found: readonly string[]): string[] {
  return found.filter((text) => !DATA.test(text) && !isWritten(path, text) && patterns.some((it) => it.test(text))).map((it) => `${path}: ${it}`);
}

/** By how much the page is wider than its window, and what reaches furthest. */
async function wide(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    const furthest = [...document.body.querySelectorAll("*")].sort((a, b) => b.getBoundingClientRect().right - a.getBoundingClientRect().right)[0];
    return [`is ${scrollWidth - clientWidth} pixels too wide: ${furthest?.outerHTML.slice(0, 120)}`];
  });
}

describe.skipIf(!chromiumIsThere())("German", () => {
  test.each([
    ["with much to say", everything],
    ["with nothing there", nothing],
  ] as const)("no page says anything in English, %s", { timeout: 300_000 }, async (_, handlers) => {
    const mock = await Mock.start(...handlers());
    const browser = await german({});
    try {
      const left: string[] = [];
      for (const path of PAGES) {
        const { page, faults } = await watched(browser, mock.url + path);
        await settled(page);
        await unfold(page);
        await expect.poll(() => page.locator("html").getAttribute("lang"), { message: path }).toBe("de");
        left.push(...english(path, await texts(page)), ...faults.map((it) => `${path}: ${it}`));
        await page.close();
      }
      expect(left).toEqual([]);
    } finally {
      await browser.close();
      await mock.stop();
    }
  });

  test("nothing is wider than a phone", { timeout: 300_000 }, async () => {
    const mock = await Mock.start(...everything());
    const browser = await german({ width: 390, height: 844 });
    try {
      const found: string[] = [];
      for (const path of PAGES) {
        const { page } = await watched(browser, mock.url + path);
        await settled(page);
        found.push(...(await wide(page)).map((it) => `${path} ${it}`));
        await unfold(page);
        found.push(...(await wide(page)).map((it) => `${path} unfolded ${it}`));
        await page.close();
      }
      expect(found).toEqual([]);
    } finally {
      await browser.close();
      await mock.stop();
    }
  });

  test("axe finds nothing", { timeout: 300_000 }, async () => {
    const mock = await Mock.start(...everything());
    const browser = await german({});
    try {
      const found: string[] = [];
      // Bars of a flame graph are as narrow as what they stand for, which axe takes for targets that are too small.
      for (const path of PAGES.filter((it) => !/^\/profiles|^\/d\/types/.test(it))) {
        const { page } = await watched(browser, mock.url + path);
        await settled(page);
        found.push(...(await violations(page)).map((it) => `${path} ${it}`));
        await page.close();
      }
      expect(found).toEqual([]);
    } finally {
      await browser.close();
      await mock.stop();
    }
  });

  test("numbers, dates and lengths are written as Germans write them", async () => {
    const mock = await Mock.start(...everything());
    const browser = await german({});
    try {
      const { page } = await watched(browser, `${mock.url}/storage`);
      await page.getByText("18,0 GiB").first().waitFor();
      await expect.poll(() => page.getByRole("navigation", { name: "Seiten" }).getByRole("link").first().innerText()).toBe("Systemzustand");
      await page.goto(`${mock.url}/traces/${ODD_ID}`);
      await page.getByText(/^\d\d\.\d\d\.\d{4} \d\d:\d\d:\d\d/).first().waitFor();
      // What is sent is written as ever.
      await page.goto(`${mock.url}/logs?from=2026-03-01T09:00&to=2026-03-01T10:00`);
      await page.getByText(/01\.03\.2026 09:00:00/).first().waitFor();
    } finally {
      await browser.close();
      await mock.stop();
    }
  });
});
