// The pages Alerts, Rules and Doctor on the real server: rules that fire and fail, a receiver that refuses, a silence in two clicks.
// Not run without WATCHFIRE_BIN, and then says so (server.ts).
import { writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Browser, chromiumIsThere, open, until, watched } from "./browser.ts";
import { BINARY, Watchfire } from "./server.ts";

const EVIL = "<img src=x onerror=alert(1)>";
const RULES = `groups:
  - name: page
    interval: 1s
    rules:
      - alert: AlwaysOn
        expr: vector(7)
        labels: {severity: critical, zone: north}
        annotations: {summary: "value {{ $value }} ${EVIL}"}
      - alert: NotYet
        expr: vector(1)
        for: 1h
        labels: {severity: warning}
      - alert: CannotBe
        expr: '{__name__=~"node_cpu.+"} / on (job) {__name__=~"node_cpu.+"} > 2'
      - alert: RatedGauge
        expr: rate(hsi_detection_queue_depth[5m]) > 1
`;

function files(folder: string, hook: string): string {
  writeFileSync(join(folder, "rules.yml"), RULES);
  writeFileSync(join(folder, "prometheus.yml"), "rule_files: [rules.yml]\n");
  const alertmanager = `route: {receiver: hook, group_by: [alertname], group_wait: 1s, group_interval: 5m}
receivers:
  - name: hook
    webhook_configs: [{url: "${hook}"}]
`;
  writeFileSync(join(folder, "alertmanager.yml"), alertmanager);
  return `prometheus: ${join(folder, "prometheus.yml")}\nalertmanager: ${join(folder, "alertmanager.yml")}\n`;
}

describe.skipIf(!BINARY || !chromiumIsThere())("alerts on the real server", () => {
  const server = new Watchfire();
  let browser: Browser;
  let hook: Server;

  beforeAll(async () => {
    // A receiver that will never take it: the notification is given up at once.
    hook = createServer((_, response) => response.writeHead(400).end("not here"));
    await new Promise<void>((resolve) => hook.listen(0, "127.0.0.1", resolve));
    const address = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/hook`;
    await server.start((folder) => files(folder, address));
    browser = await open();
  });
  afterAll(async () => {
    await browser?.close();
    await server.stop();
    hook?.close();
  });

  test("an alert fires, is silenced in two clicks and is told again when the silence ends", async () => {
    const { page, foreign, faults } = await watched(browser, `${server.address}/alerts`);
    const alert = page.locator("[data-alert=AlwaysOn]");
    const kinds = () => alert.getAttribute("data-kinds");
    await alert.waitFor({ timeout: 60_000 });
    await until("firing", kinds, (it) => it === "firing", 30_000);
    await expect.poll(() => alert.innerText()).toContain(`value 7 ${EVIL}`);
    await until("pending", () => page.locator("[data-alert=NotYet]").getAttribute("data-kinds"), (it) => it === "pending", 30_000);
    await page.getByText("given up: nobody was told.").waitFor({ timeout: 60_000 });
    await page.getByRole("region", { name: "Deliveries" }).locator("[data-dead]").getByText("400").waitFor();
    // The counters begin with the first try: what they were worth when they appeared counts.
    const told = async () => {
      await page.getByRole("button", { name: "Reload" }).click();
      return page.getByRole("region", { name: "Deliveries" }).getByRole("row", { name: /^webhook/ }).getByRole("cell").allInnerTexts();
    };
    await until("counted", told, (it) => it.join() === "1,0,1", 60_000);
    await page.getByRole("region", { name: "History" }).locator("[data-track=AlwaysOn]").waitFor({ timeout: 90_000 });

    await alert.getByRole("button", { name: "Silence…" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("Hits 1 alert now").waitFor();
    await dialog.getByRole("button", { name: "Silence 1 alert" }).click();
    await until("silenced", kinds, (it) => it === "silenced");
    const silence = page.locator("[data-silence]");
    await expect.poll(() => silence.innerText()).toMatch(/keeps 1 alert quiet until 20/);

    // The server judges matchers, also those that are only being written.
    await page.getByRole("button", { name: "New silence…" }).click();
    await dialog.getByLabel("Label 1", { exact: true }).fill("zone");
    await dialog.getByLabel("Comparison 1").selectOption("=~");
    await dialog.getByLabel("Value 1").fill("nor.*|sou.*");
    await dialog.getByText("Hits 1 alert now").waitFor();
    await dialog.getByText("silenced already").waitFor();
    await dialog.getByLabel("Value 1").fill("(");
    await dialog.getByRole("alert").waitFor();
    await page.keyboard.press("Escape");

    await silence.getByRole("button", { name: "End…" }).click();
    await dialog.getByRole("button", { name: "End it" }).click();
    await until("firing again", kinds, (it) => it === "firing");
    expect(foreign).toEqual([]);
    expect(faults).toEqual([]);
  }, 240_000);

  test("a rule that fails says why, and the doctor finds the one that cannot work", async () => {
    const { page, foreign, faults } = await watched(browser, `${server.address}/rules`);
    const rule = (name: string) => page.locator(`[data-rule=${name}]`);
    await until("failed", () => rule("CannotBe").getAttribute("data-health"), (it) => it === "err", 90_000);
    await expect.poll(() => rule("CannotBe").innerText()).toMatch(/The last evaluation failed\..+many/);
    await expect.poll(() => rule("AlwaysOn").innerText()).toMatch(/firing[\s\S]+1 alert/);
    await rule("RatedGauge").locator("[data-finding=rate-of-gauge]").waitFor();
    await page.getByRole("link", { name: /^errors 1$/ }).click();
    await until("errors", () => page.locator("[data-rule]").count(), (it) => it === 1);
    await page.getByRole("navigation", { name: "Alerts, rules and doctor" }).getByRole("link", { name: "Doctor" }).click();
    const finding = page.locator("[data-code=rate-of-gauge]");
    await finding.waitFor();
    await expect.poll(() => finding.innerText()).toMatch(/warning\s+RatedGauge\s+.*rules\.yml:16:20\s+rate-of-gauge[\s\S]+every fall counts as a reset[\s\S]+deriv\(\)/);
    expect(foreign).toEqual([]);
    expect(faults).toEqual([]);
  }, 180_000);
});
