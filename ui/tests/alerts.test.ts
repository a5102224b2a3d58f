// The pages Alerts, Rules and Doctor in a real Chromium against a scripted server that remembers silences: what they show, what they
// say where there is nothing, who is offered what. Not the real server (realAlerts.test.ts).
import { describe, expect, test } from "vitest";
import { Alerting, EVIL, quiet } from "./alerting.ts";
import { chromiumIsThere, until } from "./browser.ts";
import { type Handler } from "./mock.ts";
import { session, site } from "./site.ts";

describe.skipIf(!chromiumIsThere())("alerts, rules, doctor", () => {
  const here = site();
  let alerting: Alerting;

  function at(path: string, ...handlers: Handler[]) {
    alerting = new Alerting();
    return here.at(path, ...handlers, alerting.handler);
  }
  type Page = Awaited<ReturnType<typeof at>>["page"];
  const alert = (page: Page, name: string) => page.locator(`[data-alert="${name}"]`);
  const chip = (page: Page, name: string) => page.getByRole("navigation", { name: "Which alerts" }).getByRole("link", { name: new RegExp(`^${name} \\d`) });

  test("every alert has its state in words, and why nobody is told", async () => {
    const { page } = await at("/alerts");
    await alert(page, "CameraOffline").first().waitFor();
    const seen = await page.locator("[data-alert]").evaluateAll((all) => all.map((it) => [it.getAttribute("data-alert"), it.getAttribute("data-kinds")]));
    expect(seen).toEqual([
      ["FromElsewhere", "firing"],
      ["CameraOffline", "firing"],
      ["CameraOffline", "firing"],
      ["QueueDeep", "pending"],
      ["DiskNearlyFull", "silenced"],
      ["SlowAnswers", "inhibited"],
      ["NightlyReport", "muted"],
    ]);
    await expect.poll(() => alert(page, "DiskNearlyFull").innerText()).toMatch(/Silenced until 20.+ by ada: the new disk arrives on Friday/);
    await expect.poll(() => alert(page, "SlowAnswers").innerText()).toContain("Inhibited by CameraOffline");
    await expect.poll(() => alert(page, "NightlyReport").innerText()).toContain("Muted by the time interval working_hours");
    await expect.poll(() => alert(page, "QueueDeep").innerText()).toMatch(/Fires in [23] min.*, unless it ends before/);
    // The rule's alert is the one that the Alertmanager holds: it is there once, with the rule's value and expression.
    const camera = alert(page, "CameraOffline").filter({ hasText: "front_door" });
    await camera.getByText("Details").click();
    await camera.getByRole("link", { name: 'camera_connection_status{job="vms"} == 0' }).waitFor();
    await expect.poll(() => camera.innerText()).toMatch(/Value\s+0e\+00/);
  });

  test("a state, words and both are filters that the address keeps", async () => {
    const { page } = await at("/alerts");
    await chip(page, "firing").click();
    await until("firing", () => page.locator("[data-alert]").count(), (it) => it === 3);
    await page.getByLabel("Filter alerts by words").fill("garage offline");
    await until("one", () => page.locator("[data-alert]").count(), (it) => it === 1);
    expect(new URL(page.url()).search).toBe("?show=firing&q=garage+offline");
    await page.reload();
    await alert(page, "CameraOffline").waitFor();
    await expect.poll(() => page.locator("[data-alert]").count()).toBe(1);
    await page.getByLabel("Filter alerts by words").fill("nothing like it");
    await page.getByText("No alert is firing with these words.").waitFor();
  });

  test("two clicks silence an alert, after a look at what it hits", async () => {
    const { page } = await at("/alerts");
    const garage = alert(page, "CameraOffline").filter({ hasText: "garage" });
    await garage.getByRole("button", { name: "Silence…" }).click();
    const dialog = page.getByRole("dialog", { name: "Silence alerts" });
    await dialog.getByText("Hits 1 alert now").waitFor();
    expect(alerting.changes).toEqual([]);
    await dialog.getByRole("button", { name: "Silence 1 alert" }).click();
    await until("silenced", () => garage.getAttribute("data-kinds"), (it) => it === "silenced");
    await expect.poll(() => garage.getByRole("button", { name: "Silence…" }).count()).toBe(0);
    const [change = ""] = alerting.changes;
    const sent = JSON.parse(change.replace("POST /api/v2/silences ", ""));
    expect(sent.matchers).toContainEqual({ name: "camera_id", value: "garage", isEqual: true, isRegex: false });
    expect(sent.matchers).toHaveLength(5);
    expect(Date.parse(sent.endsAt) - Date.parse(sent.startsAt)).toBe(2 * 3_600_000);
    await expect.poll(() => chip(page, "silenced").innerText()).toBe("silenced 2");
  });

  test("the preview follows every change, and what is no silence is not offered", async () => {
    const { page } = await at("/alerts");
    const group = page.locator("[data-group]").filter({ has: page.getByText("garage") });
    await group.getByRole("button", { name: "Silence group…" }).click();
    const dialog = page.getByRole("dialog");
    const preview = () => dialog.locator("[data-preview]").getAttribute("data-preview");
    await until("both", preview, (it) => it === "2");
    await dialog.getByRole("button", { name: "Add label" }).click();
    await dialog.getByLabel("Label 2", { exact: true }).fill("camera_id");
    await dialog.getByLabel("Comparison 2").selectOption("=~");
    await dialog.getByLabel("Value 2").fill("gar.*|x");
    await until("one", preview, (it) => it === "1");
    await dialog.getByText('camera_id="garage"').waitFor();
    await dialog.getByRole("button", { name: "Remove camera_id" }).click();
    await until("both again", preview, (it) => it === "2");
    await dialog.getByRole("button", { name: "Remove alertname" }).click();
    await dialog.getByText("It needs a label with a value.").waitFor();
    await expect.poll(() => dialog.getByRole("button", { name: "Silence", exact: true }).isDisabled()).toBe(true);
    await page.keyboard.press("Escape");
    await until("closed", () => page.getByRole("dialog").count(), (it) => it === 0);
    expect(alerting.changes).toEqual([]);
  });

  test("a refusal of the server is shown in its words, and the dialog stays", async () => {
    const { page } = await at("/alerts");
    await page.getByRole("button", { name: "New silence…" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Comparison 1").selectOption("=~");
    await dialog.getByLabel("Value 1").fill(".*");
    await dialog.getByText("Hits 6 alerts now").waitFor();
    await dialog.getByRole("button", { name: "Silence 6 alerts" }).click();
    await dialog.getByText("Not done: invalid silence: at least one matcher must not match the empty string").waitFor();
  });

  test("a silence gets another end, ends after a question, and is set again", async () => {
    const { page } = await at("/alerts");
    const silence = page.locator('[data-silence="5d1"]');
    await expect.poll(() => silence.innerText()).toContain("keeps 1 alert quiet");
    await silence.getByRole("button", { name: "Change…" }).click();
    const dialog = page.getByRole("dialog", { name: "Change a silence" });
    await expect.poll(() => dialog.getByLabel("Until", { exact: true }).inputValue()).toMatch(/^20\d\d-\d\d-\d\dT\d\d:\d\d$/);
    await dialog.getByLabel("For").selectOption("1d");
    await dialog.getByRole("button", { name: "Change silence" }).click();
    await until("changed", async () => alerting.changes.length, (it) => it === 1);
    expect(JSON.parse(alerting.changes[0]?.replace("POST /api/v2/silences ", "") ?? "")).toMatchObject({ id: "5d1", createdBy: "ada", comment: "the new disk arrives on Friday" });
    await silence.getByRole("button", { name: "End…" }).click();
    const question = page.getByRole("dialog", { name: "End this silence?" });
    await question.getByText("People are told of 1 alert that it keeps quiet now.").waitFor();
    await question.getByRole("button", { name: "Cancel" }).click();
    expect(alerting.changes).toHaveLength(1);
    await silence.getByRole("button", { name: "End…" }).click();
    await question.getByRole("button", { name: "End it" }).click();
    await until("told again", () => alert(page, "DiskNearlyFull").getAttribute("data-kinds"), (it) => it === "firing");
    expect(alerting.changes[1]).toBe("DELETE /api/v2/silence/5d1");
    await page.getByText("2 over, shown for five days").click();
    await page.locator('[data-silence="9f3"]').getByRole("button", { name: "Set again…" }).click();
    await page.getByRole("dialog", { name: "Silence alerts" }).getByText("Hits no alert at the moment.").waitFor();
  });

  test("who may only read sees everything and is offered nothing", async () => {
    const { page } = await at("/alerts", session("read"));
    await alert(page, "CameraOffline").first().waitFor();
    await page.getByText("Silencing needs the level admin.").waitFor();
    for (const name of [/Silence/, /Change…/, /End…/, /New silence/]) await expect.poll(() => page.getByRole("button", { name }).count(), { message: String(name) }).toBe(0);
  });

  test("the name of who is logged in goes with the silence", async () => {
    const { page } = await at("/alerts", session("admin"));
    await alert(page, "FromElsewhere").getByRole("button", { name: "Silence…" }).click();
    await page.getByRole("dialog").getByText("Hits 1 alert now").waitFor();
    await expect.poll(() => page.getByRole("dialog").getByLabel("By").count()).toBe(0);
    await page.getByRole("dialog").getByLabel("Why").fill("seen");
    await page.getByRole("dialog").getByRole("button", { name: "Silence 1 alert" }).click();
    await until("sent", async () => alerting.changes.length, (it) => it === 1);
    expect(alerting.changes[0]).toMatch(/"createdBy":"rita","comment":"seen"/);
  });

  test("what could not be told is seen, and when alerts fired", async () => {
    const { page } = await at("/alerts");
    await page.getByText("A notification was given up: nobody was told.").waitFor();
    const deliveries = page.getByRole("region", { name: "Deliveries" });
    await expect.poll(() => deliveries.getByRole("row", { name: /^email/ }).getByRole("cell").allInnerTexts()).toEqual(["44", "41", "1"]);
    await deliveries.getByText("550 5.1.1 no such mailbox").waitFor();
    await expect.poll(() => deliveries.innerText()).toContain("2 waiting");
    const history = page.getByRole("region", { name: "History" });
    await history.getByRole("listitem").first().waitFor();
    await expect.poll(() => history.locator("[data-track]").evaluateAll((all) => all.map((it) => it.getAttribute("data-track")))).toEqual(["CameraOffline", "QueueDeep"]);
    await expect.poll(() => history.locator("[data-track=CameraOffline]").innerText()).toMatch(/firing since 20/);
    await history.locator("[data-track=QueueDeep] summary").click();
    await expect.poll(() => history.locator("[data-track=QueueDeep] ol li").allInnerTexts()).toHaveLength(2);
    await page.getByRole("link", { name: "Last 1 hour" }).click();
    await until("the range", async () => here.mock.asked.some((it) => it.params.get("query")?.includes("[15s]")), (it) => it);
    expect(new URL(page.url()).search).toBe("?range=1h");
  });

  test("what senders write is text, and only web addresses are links", async () => {
    const seen = await at("/alerts");
    const evil = alert(seen.page, "FromElsewhere");
    await evil.getByText(EVIL).first().waitFor();
    await evil.getByText("Details").click();
    await expect.poll(() => evil.locator("img, b:text-is('not bold')").count()).toBe(0);
    await expect.poll(() => evil.locator("a").evaluateAll((all) => all.map((it) => it.getAttribute("href")))).toEqual(["https://runbooks.example.net/camera"]);
    expect(seen.faults).toEqual([]);
  });

  test("every rule has its state, its last evaluation and its error", async () => {
    const { page } = await at("/rules");
    const rule = (name: string) => page.locator(`[data-rule="${name}"]`);
    await rule("ErrorBudget").waitFor();
    await expect.poll(() => rule("ErrorBudget").innerText()).toMatch(/inactive[\s\S]+The last evaluation failed\. found duplicate series for the match group[\s\S]+140 ms/);
    await expect.poll(() => rule("CameraOffline").innerText()).toMatch(/firing[\s\S]+for 5 min[\s\S]+1 alert[\s\S]+1\.2 ms/);
    await expect.poll(() => rule("NeverLooked").innerText()).toContain("not evaluated yet");
    await expect.poll(() => rule("job:queue_depth:max").innerText()).toMatch(/^recording/);
    await expect.poll(() => page.locator("[data-group=pipeline] summary").first().innerText()).toMatch(/1 failing[\s\S]+4 rules[\s\S]+every 15 s[\s\S]+took 21\.5 s/);
    await page.getByText("This group takes longer than its interval").waitFor();
    // What the doctor found in a rule stands at the rule, as text.
    await until("findings", () => page.locator("[data-finding]").count(), (it) => it === 2);
    await expect.poll(() => rule("QueueDeep").locator("[data-finding]").innerText()).toBe("no catalog and no rule knows hsi_detection_queue_size");
    await page.getByRole("link", { name: /^errors 1/ }).click();
    await until("errors", () => page.locator("[data-rule]").count(), (it) => it === 1);
    await page.goto(`${here.mock.url}/rules?order=slowest`);
    await rule("ErrorBudget").waitFor();
    await expect.poll(() => page.locator("[data-rule]").first().getAttribute("data-rule")).toBe("ErrorBudget");
    await rule("CameraOffline").getByRole("link", { name: "1 alert" }).click();
    await alert(page, "CameraOffline").first().waitFor();
    await expect.poll(() => page.locator("[data-alert]").count()).toBe(2);
  });

  test("the doctor's findings have place, reason and change, and are filtered by kind and words", async () => {
    const { page, faults } = await at("/doctor");
    const finding = page.locator("[data-code]").first();
    await finding.waitFor();
    await expect.poll(() => finding.innerText()).toMatch(/warning\s+QueueDeep\s+\/etc\/prometheus\/rules\/pipeline\.yml:12:11\s+unknown-metric\s+no catalog and no rule knows[\s\S]+hsi_detection_queue_depth > 5/);
    await page.getByText("5 findings in 6 files").waitFor();
    await page.getByRole("region", { name: "The machine" }).getByText("nobody keeps the clock").waitFor();
    await page.getByRole("navigation", { name: "Kinds of findings" }).getByRole("link", { name: "unknown-metric 2" }).click();
    await page.getByText("2 of 5 findings in 6 files").waitFor();
    await page.getByLabel("Filter findings by words").fill("worker");
    await page.getByText("1 of 5 findings in 6 files").waitFor();
    expect(new URL(page.url()).search).toBe("?code=unknown-metric&q=worker");
    alerting.findings = [];
    await page.getByRole("button", { name: "Reload" }).click();
    await page.getByText("Looked at 6 files and the machine.").waitFor();
    expect(faults).toEqual([]);
  });

  test("files that could not be read are told as errors, and not as nothing found", async () => {
    const { page } = await at("/doctor");
    await page.locator("[data-code]").first().waitFor();
    alerting.findings = [{ severity: "error", code: "", file: "/etc/prometheus/rules/broken.yml", line: 3, column: 5, subject: "groups", message: "a list is expected" }];
    await page.getByRole("button", { name: "Reload" }).click();
    await page.getByText("1 finding in 6 files; 1 error: what such a file says beyond it was not looked at").waitFor();
    await expect.poll(() => page.locator("[data-code]").innerText()).toMatch(/^error\s+groups\s+\/etc\/prometheus\/rules\/broken\.yml:3:5/);
    alerting.files = 0;
    await page.getByRole("button", { name: "Reload" }).click();
    await page.getByText("No file was looked at.").waitFor();
    await page.locator("[data-code]").waitFor();
  });

  test("two rules of one name in a file have their own findings", async () => {
    const { page } = await at("/rules");
    await page.locator("[data-rule]").first().waitFor();
    const file = "/etc/prometheus/rules/twice.yml";
    const rule = (query: string) => ({ type: "alerting", name: "DiskFull", query, health: "ok", state: "inactive", alerts: [] });
    alerting.groups = [{ name: "disks", file, interval: 60, limit: 0, rules: [rule("disk_used_percent > 80"), rule("disk_used_percnt > 90")] }];
    alerting.findings = [{ severity: "warning", code: "unknown-metric", file, line: 9, column: 15, subject: "DiskFull", message: "no catalog and no rule knows disk_used_percnt" }];
    await page.getByRole("button", { name: "Reload" }).click();
    const found = () => page.locator("[data-rule=DiskFull]").evaluateAll((all) => all.map((it) => it.querySelectorAll("[data-finding]").length));
    await until("the second's", found, (it) => it.join() === "0,1");
  });

  test("where there is nothing, the reason stands", async () => {
    const { page } = await here.at("/alerts", quiet().handler);
    await page.getByText("No alerting rule is loaded, and no other sender has sent one").waitFor();
    await page.getByText("No silence is set.").waitFor();
    await page.getByRole("region", { name: "Deliveries" }).getByText("Nobody was told of anything in the last 24 hours.").waitFor();
    await page.getByRole("region", { name: "History" }).getByText("No alert of a rule fired in the last 24 hours.").waitFor();
    await page.goto(`${here.mock.url}/rules`);
    await page.getByText("No rule is loaded.").waitFor();
    await page.goto(`${here.mock.url}/doctor`);
    // Files that could not be read are not counted either: that nothing was found in them is not said.
    await page.getByText("No file was looked at.").waitFor();
    await expect.poll(() => page.getByText("Nothing found.", { exact: true }).count()).toBe(0);
    here.mock.handlers.unshift(({ path }) => (path === "/api/v1/rules" ? { status: 503, body: { status: "error", errorType: "unavailable", error: "shutting down" } } : undefined));
    await page.goto(`${here.mock.url}/rules`);
    await page.getByRole("alert").getByText("shutting down").waitFor();
    await page.goto(`${here.mock.url}/alerts`);
    await page.getByRole("alert").getByText("shutting down").waitFor();
  });

  test("a thousand alerts of one fault are one group, shown in parts", async () => {
    const { page } = await at("/alerts");
    const [first] = alerting.held;
    if (!first) throw new Error("no alert to copy");
    const many = Array.from({ length: 1000 }, (_, index) => ({ ...first, labels: { ...first.labels, instance: `10.1.${index >> 8}.${index & 255}:9100` } }));
    alerting.groups = [];
    alerting.held.splice(0, alerting.held.length, ...many);
    await page.getByRole("button", { name: "Reload" }).click();
    await until("counted", () => chip(page, "firing").innerText(), (it) => it === "firing 1000");
    await expect.poll(() => page.locator("[data-group=notified]").count()).toBe(1);
    await expect.poll(() => page.locator("[data-group=notified] [data-alert]").count()).toBe(20);
    await page.getByRole("button", { name: "Show all 1000" }).click();
    await until("all", () => page.locator("[data-group=notified] [data-alert]").count(), (it) => it === 1000);
  });
});
