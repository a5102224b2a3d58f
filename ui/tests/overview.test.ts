// The page Overview in a real Chromium against the scripted server: what it says of a healthy machine and of one that is not, in both
// languages, since when, and the way to each evidence. Not the pages that it leads to.
import { describe, expect, test } from "vitest";
import { Alerting } from "./alerting.ts";
import { series } from "./answers.ts";
import { chromiumIsThere } from "./browser.ts";
import { DeadLetters } from "./deadLetters.ts";
import { fullDisk, trouble, waiting } from "./household.ts";
import { type Handler } from "./mock.ts";
import { pipeline } from "./pipeline.ts";
import { site } from "./site.ts";

describe.skipIf(!chromiumIsThere())("Overview", () => {
  const here = site();
  const at = here.at.bind(here);
  type Page = Awaited<ReturnType<typeof at>>["page"];
  const topic = (page: Page, name: string) => page.locator(`[data-topic="${name}"]`);
  const states = (page: Page) => page.locator("[data-topic]").evaluateAll((all) => Object.fromEntries(all.map((it) => [it.getAttribute("data-topic"), it.getAttribute("data-state")])));

  test("a machine that is well is said to be, and what is not set up is never called well", async () => {
    const quiet: Handler = ({ path }) => (path === "/api/v2/alerts/groups" ? { body: [] } : undefined);
    const well = series((expr) => (expr.startsWith("max by (job, instance) (up)") ? [{ labels: { job: "node", instance: "a" }, at: () => 1 }] : undefined));
    const { page } = await at("/overview", quiet, well);
    await page.getByText("Everything is all right").waitFor();
    await expect.poll(() => states(page)).toEqual({ alerts: "fine", services: "fine", cameras: "absent", graphics: "fine", models: "absent", queues: "absent", disk: "fine", programs: "fine" });
    await expect.poll(() => topic(page, "graphics").innerText()).toContain("NVIDIA RTX A5500 works, 45% busy");
    await expect.poll(() => topic(page, "disk").innerText()).toContain("49% of the disk is used");
    await expect.poll(() => topic(page, "cameras").innerText()).toMatch(/Not set up[^]*No camera reports/);
  });

  test("what is not well says what, since when, what to do, and leads to its evidence", async () => {
    const { page } = await at("/overview", trouble, fullDisk, waiting, new DeadLetters().handler, new Alerting().handler, ...pipeline);
    await page.getByText(/things are broken$/).waitFor();
    const cameras = await topic(page, "cameras").innerText();
    expect(cameras).toContain("front_door is not connected; garage is connected but its picture stands still");
    expect(cameras).toMatch(/since \d\d:\d\d, for 40 min/);
    expect(cameras).toContain("What to do: Look at its power and cable");
    await expect.poll(() => topic(page, "disk").innerText()).toContain("96% of the disk is used, 18.0 GiB are free");
    await expect.poll(() => topic(page, "programs").innerText()).toContain("1 of 2 watched programs does not answer: backend backend:1, for more than a day");
    await expect.poll(() => topic(page, "queues").innerText()).toMatch(/\d+ jobs failed too often and lie aside/);
    const alerts = topic(page, "alerts");
    // Silenced, inhibited and muted ones do not count; those of the worst severity stand first.
    await expect.poll(() => alerts.innerText()).toContain("3 alerts are firing, since");
    await expect.poll(() => alerts.getByRole("listitem").first().innerText()).toBe("Camera front_door has not answered for 5 min");
    // The worst stand first, and each one's evidence is another page.
    const order = await page.locator("[data-topic]").evaluateAll((all) => all.map((it) => it.getAttribute("data-state") ?? ""));
    expect(order).toEqual([...order].sort((a, b) => ["broken", "attention", "unknown", "fine", "absent"].indexOf(a) - ["broken", "attention", "unknown", "fine", "absent"].indexOf(b)));
    await topic(page, "queues").getByRole("link", { name: "DLQ Monitor" }).click();
    await page.getByRole("heading", { name: "DLQ Monitor" }).waitFor();
  });

  test("what does not answer is unknown, never well", async () => {
    const silent: Handler = ({ path }) => (path === "/api/system/storage/stats" ? { status: 500, body: { error: { code: "internal", message: "the store is away" } } } : undefined);
    const { page } = await at("/overview", silent, new Alerting().handler);
    await topic(page, "disk").getByText("the store is away").waitFor();
    await expect.poll(() => topic(page, "disk").getAttribute("data-state")).toBe("unknown");
  });

  test("German is spoken where it is wanted, and stays chosen", async () => {
    const { page } = await at("/overview", trouble, new Alerting().handler);
    await page.getByLabel("Language / Sprache").selectOption("de");
    await page.getByText("Sachen sind defekt").waitFor();
    await expect.poll(() => page.getByRole("navigation", { name: "Seiten" }).getByRole("link").first().innerText()).toBe("Systemzustand");
    await expect.poll(() => topic(page, "cameras").innerText()).toMatch(/front_door ist nicht verbunden; garage ist verbunden, aber das Bild steht, seit \d\d:\d\d, also 40 Min\./);
    await expect.poll(() => page.title()).toBe("Überblick · Watchfire");
    await expect.poll(() => page.locator("html").getAttribute("lang")).toBe("de");
    await page.getByRole("link", { name: "Speicher" }).first().click();
    await page.getByRole("heading", { name: "Was aufbewahrt wird" }).waitFor();
    await page.reload();
    await page.getByRole("navigation", { name: "Seiten" }).waitFor();
  });

  test("on a wall the page stands alone", async () => {
    const { page } = await at("/overview?kiosk", new Alerting().handler);
    await page.locator("[data-topic]").first().waitFor();
    await expect.poll(() => page.getByRole("navigation").count()).toBe(0);
    await page.getByRole("link", { name: "Back to all pages" }).click();
    await page.getByRole("navigation", { name: "Pages" }).waitFor();
  });

  test("the browser would install it", async () => {
    const { page } = await at("/overview");
    const session = await page.context().newCDPSession(page);
    const { errors } = await session.send("Page.getAppManifest");
    expect(errors).toEqual([]);
    const { installabilityErrors } = await session.send("Page.getInstallabilityErrors");
    expect(installabilityErrors).toEqual([]);
  });
});
