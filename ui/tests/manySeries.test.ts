// A time series panel with more series than the page draws by itself, in a real Chromium: a worker draws all of them. Not how fast (bench).
import { expect, describe, test } from "vitest";
import { violations } from "./axe.ts";
import { Boarding } from "./boarding.ts";
import { chromiumIsThere, until } from "./browser.ts";
import { site } from "./site.ts";

const board = (custom: object): Record<string, unknown> => ({ uid: "many", title: "Many", schemaVersion: 39, time: { from: "now-1h", to: "now" }, panels: [{ id: 1, type: "timeseries", title: "All", gridPos: { x: 0, y: 0, w: 24, h: 14 }, datasource: { type: "prometheus" }, targets: [{ refId: "A", expr: "many", legendFormat: "{{n}}" }], options: { tooltip: { mode: "multi" } }, fieldConfig: { defaults: { custom }, overrides: [] } }] });
const COUNT = 400;

describe.skipIf(!chromiumIsThere())("Very many series", () => {
  const here = site();
  async function at(custom: object) {
    const boarding = new Boarding();
    boarding.put(board(custom));
    // Level lines, the first at 0 and the last at the top.
    boarding.known = () => Array.from({ length: COUNT }, (_, n) => ({ labels: { n: String(n) }, at: () => n }));
    return here.at("/d/many/x", boarding.handler);
  }

  test("all of them are drawn, the legend has the first, and the nearest is told", async () => {
    const { page, faults } = await at({});
    const canvas = page.locator("[data-panel] canvas");
    await canvas.waitFor();
    /** Points of the picture that have a colour, in the upper and the lower half. */
    const inked = () => canvas.evaluate((it: HTMLCanvasElement) => {
      const [w, h] = [it.width, it.height];
      const count = (top: number): number => {
        const { data } = it.getContext("2d")?.getImageData(Math.round(w * 0.2), top, Math.round(w * 0.6), Math.round(h * 0.3)) ?? { data: new Uint8ClampedArray() };
        let found = 0;
        for (let at = 0; at < data.length; at += 4) if (Math.max(data[at] ?? 0, data[at + 1] ?? 0, data[at + 2] ?? 0) - Math.min(data[at] ?? 0, data[at + 1] ?? 0, data[at + 2] ?? 0) > 40) found += 1;
        return found;
      };
      return [count(Math.round(h * 0.1)), count(Math.round(h * 0.55))];
    });
    await until("lines above and below", inked, (it) => it.every((count) => count > 5000));
    await page.getByText(`All ${COUNT} series are drawn; the legend has the first 120.`).waitFor();
    await expect.poll(() => page.getByText("more series are not drawn").count()).toBe(0);
    const box = (await canvas.boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
    await page.mouse.move(box.x + box.width / 2, box.y + box.height * 0.85);
    const told = async (): Promise<number> => Number(await page.locator(".tip .row b").innerText().catch(() => "NaN"));
    const low = await until("a line near the bottom", told, (it) => it < COUNT / 4);
    await page.mouse.move(box.x + box.width / 2, box.y + box.height * 0.12);
    expect(await until("a line near the top", told, (it) => it > COUNT / 2)).toBeGreaterThan(low);
    await expect.poll(() => page.locator(".tip .row").count()).toBe(1);
    await page.mouse.move(0, 0);
    await until("nothing told", () => page.locator(".tip").count(), (it) => it === 0);
    expect(await violations(page)).toEqual([]);
    expect(faults).toEqual([]);
  });

  test("another theme draws all of them in its colours", async () => {
    const { page } = await at({});
    await page.addInitScript(() => {
      const [post, colors] = [Worker.prototype.postMessage, [] as string[]];
      Worker.prototype.postMessage = function (order: { load?: { color: string }[] }, more?: StructuredSerializeOptions | Transferable[]) {
        if (order.load) colors.push(order.load[0]?.color ?? "");
        post.call(this, order, more as StructuredSerializeOptions);
      };
      Object.assign(window, { colors });
    });
    await page.reload();
    const newest = () => page.evaluate(() => (window as unknown as { colors: string[] }).colors.at(-1) ?? "");
    const light = await until("lines", newest, (it) => it !== "");
    await page.evaluate(() => (document.documentElement.dataset["theme"] = "dark"));
    await until("lines of another colour", newest, (it) => it !== light);
  });

  test("stacks cannot be drawn plainly: the first are drawn, and how many are left is said", async () => {
    const { page } = await at({ stacking: { mode: "normal", group: "A" } });
    await page.locator("[data-panel] canvas").waitFor();
    await page.getByText(`${COUNT - 120} more series are not drawn.`).waitFor();
  });
});
