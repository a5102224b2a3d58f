// Every page, light and dark, by axe: no violation. Not whether it is understood.
import { describe, expect, test } from "vitest";
import { Alerting } from "./alerting.ts";
import { healthy } from "./answers.ts";
import { violations } from "./axe.ts";
import { Boarding } from "./boarding.ts";
import { type Browser, chromiumIsThere, open, watched } from "./browser.ts";
import { collected } from "./collecting.ts";
import { DeadLetters } from "./deadLetters.ts";
import { lines, Logging } from "./logging.ts";
import { type Handler, Mock } from "./mock.ts";
import { pipeline } from "./pipeline.ts";
import { CPU, Profiling } from "./profiling.ts";
import { Supervision } from "./supervised.ts";
import { Tracing } from "./tracing.ts";
import { Watching } from "./watching.ts";

/** Answers of dashboards, but for queries of their own that other pages ask. */
const boards = new Boarding("house", "types", "prometheus-stats");
const dashboards: Handler = (asked) => (asked.path.startsWith("/api/v1/query") || asked.path.startsWith("/loki/") ? undefined : boards.handler(asked));
const PAGES = ["/", "/dashboards", "/d/house/x", "/d/types/x", "/d/prometheus-stats/x?kiosk", "/explore", "/overview", "/overview?kiosk", "/alerts", "/rules", "/doctor", "/logs", "/traces", "/traces/map", "/profiles", `/profiles?service=backend&type=${encodeURIComponent(CPU)}`, "/pipeline", "/cameras", "/services", "/processes", "/targets", "/targets?of=probes", "/storage", "/query?expr=up", "/settings", "/settings/dlq", "/nowhere"];

describe.skipIf(!chromiumIsThere())("axe", () => {
  test.each(["light", "dark"] as const)("finds nothing, %s", { timeout: 180_000 }, async (scheme) => {
    const mock = await Mock.start(new Alerting().handler, new DeadLetters().handler, new Supervision().handler, new Watching().handler, new Logging(lines(50)).handler, new Tracing().handler, new Profiling().handler, dashboards, collected, ...pipeline, ...healthy);
    let browser: Browser | undefined;
    try {
      browser = await open({ scheme });
      const found: string[] = [];
      for (const path of PAGES) {
        const { page } = await watched(browser, mock.url + path);
        await page.locator("h1").first().waitFor();
        await page.waitForLoadState("networkidle");
        found.push(...(await violations(page)).map((it) => `${path} ${it}`));
        await page.close();
      }
      expect(found).toEqual([]);
    } finally {
      await browser?.close();
      await mock.stop();
    }
  });
});
