// The page on the real server: starts the binary named by WATCHFIRE_BIN with an empty data directory and looks at what it shows.
// Not run without that variable, and then says so.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Browser, chromiumIsThere, open, until, watched } from "./browser.ts";

const BINARY = process.env["WATCHFIRE_BIN"];
if (!BINARY) console.error("SKIPPED: the tests of the page on the real server need WATCHFIRE_BIN, the path of the binary");

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

describe.skipIf(!BINARY || !chromiumIsThere())("on the real server", () => {
  let server: ChildProcess;
  let browser: Browser;
  let address = "";
  let said = "";
  const folder = mkdtempSync(join(tmpdir(), "watchfire-real-"));

  beforeAll(async () => {
    const port = await freePort();
    address = `http://127.0.0.1:${port}`;
    server = spawn(BINARY ?? "", ["serve", "--listen", `127.0.0.1:${port}`, "--data-dir", join(folder, "data")], { cwd: folder });
    server.stdout?.on("data", (data) => (said += String(data)));
    server.stderr?.on("data", (data) => (said += String(data)));
    const ready = async (): Promise<boolean> => {
      if (server.exitCode !== null) throw new Error(`the server ended with ${server.exitCode}: ${said}`);
      return fetch(`${address}/health`).then((it) => it.ok, () => false);
    };
    await until("the server", ready, (it) => it, 30_000);
    browser = await open();
  });
  afterAll(async () => {
    await browser?.close();
    server?.kill("SIGTERM");
    if (server && server.exitCode === null) await new Promise((resolve) => server.once("exit", resolve));
    rmSync(folder, { recursive: true, force: true });
  });

  test("api_05_api_06_the_page_shows_this_machine_and_changes_live", async () => {
    const { page, foreign, faults } = await watched(browser, `${address}/`);
    await page.getByRole("heading", { name: "System Status" }).waitFor();
    await until("live", () => page.locator("[data-freshness]").innerText(), (it) => it === "live");
    const state = (name: string): Promise<string | null> =>
      page.getByRole("region", { name, exact: true }).and(page.locator("[data-state]")).getAttribute("data-state");
    // Rates need two samples of the host collector.
    for (const name of ["Memory", "Load", "CPU", "Network", "Disks", "Watchfire"]) {
      await until(`panel ${name}`, () => state(name), (it) => it === "ready", 90_000);
    }
    for (const name of ["GPU", "Services", "Queues"]) await until(`panel ${name}`, () => state(name), (it) => it === "ready");
    expect(["ready", "empty"]).toContain(await state("Temperatures"));
    // Nothing is configured, so none of these may look well.
    for (const name of ["database", "redis", "rtdetr", "nemotron"]) {
      expect(await page.locator(`[data-service=${name}]`).innerText()).toMatch(/not configured/);
    }

    const cpu = page.getByRole("region", { name: "CPU", exact: true });
    const before = await cpu.innerText();
    await until("a change", () => cpu.innerText(), (it) => it !== before, 60_000);
    expect(foreign).toEqual([]);
    expect(faults).toEqual([]);
  }, 240_000);

  test("a query is answered, and a wrong one says where", async () => {
    const { page } = await watched(browser, `${address}/query?expr=node_load1`);
    await page.getByRole("cell", { name: /^node_load1\{/ }).waitFor();
    const input = page.getByRole("combobox", { name: "PromQL expression" });
    await input.fill("sum(node_load1");
    await input.press("Enter");
    await page.getByRole("alert").getByText(/Line 1, column \d+/).waitFor();
  });
});
