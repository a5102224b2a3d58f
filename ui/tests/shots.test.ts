// Screenshots for people to look at: SHOTS=folder npm run test:browser; those of the documents by `make screenshots`. Nothing is compared.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Alerting, quiet } from "./alerting.ts";
import { healthy, NO_GPU } from "./answers.ts";
import { Boarding } from "./boarding.ts";
import { fullDisk, trouble, waiting } from "./household.ts";
import { DeadLetters } from "./deadLetters.ts";
import { Supervision } from "./supervised.ts";
import { chromiumIsThere, type Look, open, watched } from "./browser.ts";
import { lines, Logging } from "./logging.ts";
import { type Handler, Mock } from "./mock.ts";
import { histograms, pipeline } from "./pipeline.ts";
import { CPU, Profiling, SPAN } from "./profiling.ts";
import { MANY_ID, ODD_ID, Tracing, usualId } from "./tracing.ts";
import { Watching } from "./watching.ts";

const folder = process.env["SHOTS"];
const noGpu: Handler = ({ path }) => (path === "/api/system/gpu" ? { body: NO_GPU } : undefined);
const TRACES: readonly [string, string][] = [
  ["search", "/traces?service=nemotron-backend&limit=50"],
  ["usual", `/traces/${usualId(3)}`],
  ["odd", `/traces/${ODD_ID}?span=0000000000000002`],
  ["many", `/traces/${MANY_ID}`],
  ["compare", `/traces/compare?a=${usualId(0)}&b=${usualId(2)}`],
  ["map", "/traces/map"],
];
const PROFILES: readonly [string, string][] = [
  ["one", `/profiles?service=backend&type=${encodeURIComponent(CPU)}`],
  ["span", `/profiles?service=backend&type=${encodeURIComponent(CPU)}&span=${SPAN}&trace=${ODD_ID}`],
  ["compare", `/profiles/compare?service=backend&type=${encodeURIComponent(CPU)}`],
];
const SHOTS: readonly [string, string, Look, readonly Handler[]][] = [
  ["dark", "/", { scheme: "dark" }, healthy],
  ["light", "/", { scheme: "light" }, healthy],
  ["phone", "/", { scheme: "dark", width: 390, height: 844 }, healthy],
  ["query", "/query?expr=up", { scheme: "light" }, healthy],
  ["no-gpu", "/", { scheme: "light" }, [noGpu, ...healthy]],
  ["histograms", "/query?expr=latency", { scheme: "light" }, [histograms, ...healthy]],
  ...TRACES.flatMap(([name, path]): [string, string, Look, readonly Handler[]][] => {
    const handlers = [new Tracing().handler, ...healthy];
    return [
      [`traces-${name}-light`, path, { scheme: "light" }, handlers],
      [`traces-${name}-phone-dark`, path, { scheme: "dark", width: 390, height: 844 }, handlers],
    ];
  }),
  ...PROFILES.flatMap(([name, path]): [string, string, Look, readonly Handler[]][] => {
    const handlers = [new Profiling().handler, ...healthy];
    return [
      [`profiles-${name}-light`, path, { scheme: "light" }, handlers],
      [`profiles-${name}-dark`, path, { scheme: "dark" }, handlers],
      [`profiles-${name}-phone-dark`, path, { scheme: "dark", width: 390, height: 844 }, handlers],
    ];
  }),
  ["profiles-none", "/profiles", { scheme: "light" }, [new Profiling(true).handler, ...healthy]],
  ["traces-none", "/traces", { scheme: "light" }, healthy],
  ...(["/overview", "/logs", "/alerts", "/rules", "/doctor", "/pipeline", "/storage", "/cameras", "/services", "/settings", "/settings/dlq"] as const).flatMap((path): [string, string, Look, readonly Handler[]][] => {
    const name = path.slice(1).replace("/", "-");
    const handlers = [trouble, fullDisk, waiting, new Alerting().handler, new DeadLetters().handler, new Supervision().handler, new Watching().handler, new Logging(lines(4000)).handler, ...pipeline, ...healthy];
    return [
      [`${name}-dark`, path, { scheme: "dark" }, handlers],
      [`${name}-light`, path, { scheme: "light" }, handlers],
      [`${name}-phone-dark`, path, { scheme: "dark", width: 390, height: 844 }, handlers],
      [`${name}-phone-light`, path, { scheme: "light", width: 390, height: 844 }, handlers],
      [`${name}-empty`, path, { scheme: "light" }, [quiet().handler, new Logging([]).handler, ...healthy]],
    ];
  }),
];

test.skipIf(!folder || !chromiumIsThere()).each(SHOTS)("screenshot %s", async (name, path, look, handlers) => {
  const mock = await Mock.start(...handlers);
  const browser = await open(look);
  try {
    const { page } = await watched(browser, mock.url + path);
    await page.locator("h1").waitFor();
    // All charts are drawn a moment after the first words.
    await page.waitForTimeout(2000);
    for (const queue of await page.locator("details[data-queue]").all()) await queue.locator("summary").first().click();
    if (name.startsWith("alerts-") && !name.endsWith("-empty")) {
      await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
      await page.getByRole("button", { name: "Silence…" }).first().click();
      await page.screenshot({ path: `${folder}/${name}-silence.png` });
      return;
    }
    if (name.startsWith("logs-") && !name.endsWith("-empty")) {
      if (!name.includes("phone")) await page.locator("[data-facet=container] summary").click();
      await page.screenshot({ path: `${folder}/${name}.png` });
      await page.locator("[data-level=error][data-line]").first().click();
      await page.waitForTimeout(300);
      await page.screenshot({ path: `${folder}/${name}-line.png` });
      await page.getByRole("button", { name: "Context…" }).click();
      await page.waitForTimeout(300);
      await page.screenshot({ path: `${folder}/${name}-context.png` });
      return;
    }
    await page.waitForTimeout(500);
    await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
  } finally {
    await browser.close();
    await mock.stop();
  }
});

/** Pictures that stand in the documents, with the page that each shows; the viewport is all of it. */
const DOCUMENTED: readonly [string, string, Look][] = [
  ["status", "/", { scheme: "light" }],
  ["overview", "/overview", { scheme: "light" }],
  ["overview-phone", "/overview", { scheme: "dark", width: 390, height: 844 }],
  ["dashboard", "/d/house/x", { scheme: "light" }],
  ["alerts", "/alerts", { scheme: "light" }],
  ["doctor", "/doctor", { scheme: "light" }],
  ["logs", "/logs", { scheme: "light" }],
  ["trace", `/traces/${usualId(3)}`, { scheme: "light" }],
  ["profiles", `/profiles?service=backend&type=${encodeURIComponent(CPU)}`, { scheme: "light" }],
  ["pipeline", "/pipeline", { scheme: "dark" }],
  ["cameras", "/cameras", { scheme: "light" }],
  ["dead-letters", "/settings/dlq", { scheme: "light" }],
];
/** The same answers without the texts that try to be HTML. */
const tame = (handler: Handler): Handler => (asked) => {
  const reply = handler(asked);
  return reply?.body === undefined ? reply : { ...reply, body: JSON.parse(JSON.stringify(reply.body).replaceAll(/<img src=x[^>]*>( <b>not bold<\/b>)?/g, "Nothing is heard of it")) };
};
const DOCUMENTS = join(import.meta.dirname, "../../docs/screenshots");

test("the documents have their pictures, and no others", () => {
  expect(readdirSync(DOCUMENTS).sort()).toEqual(DOCUMENTED.map(([name]) => `${name}.png`).sort());
});

test.skipIf(process.env["SCREENSHOTS"] === undefined || !chromiumIsThere()).each(DOCUMENTED)("picture %s of the documents", async (name, path, look) => {
  const boards = new Boarding("house", "types", "prometheus-stats");
  const dashboards: Handler = (asked) => (path.startsWith("/d/") ? boards.handler(asked) : undefined);
  const handlers = [dashboards, trouble, fullDisk, waiting, new Alerting().handler, new DeadLetters().handler, new Supervision().handler, new Watching().handler, new Tracing().handler, new Profiling().handler, new Logging(lines(4000)).handler, ...pipeline, ...healthy];
  const mock = await Mock.start(...handlers.map(tame));
  const browser = await open({ width: 1320, height: 800, ...look });
  try {
    const { page } = await watched(browser, mock.url + path);
    await page.locator("h1").waitFor();
    await page.waitForLoadState("networkidle");
    await page.waitForTimeout(2000);
    await page.screenshot({ path: join(DOCUMENTS, `${name}.png`) });
  } finally {
    await browser.close();
    await mock.stop();
  }
});
