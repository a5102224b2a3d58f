// Screenshots for people to look at: SHOTS=folder npm run test:browser. Nothing is compared.
import { test } from "vitest";
import { healthy, NO_GPU } from "./answers.ts";
import { chromiumIsThere, type Look, open, watched } from "./browser.ts";
import { type Handler, Mock } from "./mock.ts";

const folder = process.env["SHOTS"];
const noGpu: Handler = ({ path }) => (path === "/api/system/gpu" ? { body: NO_GPU } : undefined);
const SHOTS: [string, string, Look, Handler[]][] = [
  ["dark", "/", { scheme: "dark" }, healthy],
  ["light", "/", { scheme: "light" }, healthy],
  ["phone", "/", { scheme: "dark", width: 390, height: 844 }, healthy],
  ["query", "/query?expr=up", { scheme: "light" }, healthy],
  ["no-gpu", "/", { scheme: "light" }, [noGpu, ...healthy]],
];

test.skipIf(!folder || !chromiumIsThere()).each(SHOTS)("screenshot %s", async (name, path, look, handlers) => {
  const mock = await Mock.start(...handlers);
  const browser = await open(look);
  try {
    const { page } = await watched(browser, mock.url + path);
    await page.locator("canvas").first().waitFor();
    // All charts are drawn a moment after the first.
    await page.waitForTimeout(1500);
    await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
  } finally {
    await browser.close();
    await mock.stop();
  }
});
