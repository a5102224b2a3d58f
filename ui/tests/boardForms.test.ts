// The forms of dashboards in a real Chromium: overrides of panels, variables of all kinds, annotations; narrow, and what axe says of them.
// Not the other changes (dashboardEdits.test.ts).
import type { Locator } from "playwright-core";
import { describe, expect, test } from "vitest";
import { violations } from "./axe.ts";
import { Boarding } from "./boarding.ts";
import { chromiumIsThere, until, watched } from "./browser.ts";
import { site } from "./site.ts";

type Page = Awaited<ReturnType<typeof watched>>["page"];
type Fields = Record<string, unknown>;
const panel = (page: Page, name: string) => page.getByRole("region", { name, exact: true }).and(page.locator("[data-panel]"));
/** A select's label has the words of its options in it, so fields are found by role. */
const field = (group: Locator, name: string) => group.getByRole("textbox", { name, exact: true }).or(group.getByRole("combobox", { name, exact: true }));
const dialogOf = (page: Page) => page.getByRole("dialog");

function board(): Fields {
  const chart = { id: 1, type: "timeseries", title: "Load", gridPos: { x: 0, y: 0, w: 24, h: 10 }, datasource: { type: "prometheus" }, targets: [{ refId: "A", expr: "node_cpu", legendFormat: "{{mode}}" }], options: { legend: { showLegend: true, displayMode: "table", placement: "bottom", calcs: ["max"] } }, fieldConfig: { defaults: { unit: "short", custom: { stacking: { group: "A", mode: "none" } } }, overrides: [{ matcher: { id: "byValue", options: { reducer: "max", op: ">", value: 1e9 } }, properties: [{ id: "custom.x", value: { odd: [1] } }] }] } };
  return { uid: "forms", title: "Forms", schemaVersion: 39, time: { from: "now-1h", to: "now" }, panels: [chart], templating: { list: [{ type: "query", name: "machine", label: "Machine", query: { query: "label_values(up, instance)", refId: "x" }, definition: "label_values(up, instance)", datasource: { type: "prometheus", uid: "${DS}" }, multi: true, includeAll: true, current: { text: ["All"], value: ["$__all"] } }] }, annotations: { list: [{ builtIn: 1, name: "Annotations & Alerts", enable: true, datasource: { type: "grafana", uid: "-- Grafana --" } }] } };
}

describe.skipIf(!chromiumIsThere())("Forms of dashboards", () => {
  const here = site();
  async function edited(): Promise<{ page: Page; boarding: Boarding }> {
    const boarding = new Boarding();
    boarding.put(board());
    const { page } = await here.at("/d/forms/x", boarding.handler);
    await page.getByRole("button", { name: "Edit", exact: true }).click();
    return { page, boarding };
  }
  async function saved(page: Page, boarding: Boarding): Promise<Fields> {
    await page.getByRole("button", { name: "Save…" }).click();
    await dialogOf(page).getByRole("button", { name: "Save" }).click();
    await until("saved", async () => boarding.saves.length, (it) => it > 0);
    return boarding.saves.at(-1)?.["dashboard"] as Fields;
  }

  test("overrides fit fields by name, pattern, type and query, set properties, and change the picture", async () => {
    const { page, boarding } = await edited();
    await panel(page, "Load").locator("canvas").waitFor();
    await page.getByRole("button", { name: "Menu of Load" }).click();
    await page.getByRole("button", { name: "Edit", exact: true }).last().click();
    const dialog = dialogOf(page);
    await dialog.getByRole("row", { name: /^user/ }).waitFor();
    // Files have the fields of an object in any order.
    await expect.poll(() => field(dialog, "Stack").locator("option:checked").innerText()).toBe("none");
    // What the form has no field for stands there as JSON, and stays.
    const kept = dialog.getByRole("group", { name: "Override 1" });
    await expect.poll(() => field(kept, "Fields by").locator("option:checked").innerText()).toBe("value");
    await expect.poll(() => field(kept, "custom.x, as JSON").inputValue()).toBe('{"odd":[1]}');
    await dialog.getByRole("button", { name: "Add an override" }).click();
    const own = dialog.getByRole("group", { name: "Override 2" });
    await expect.poll(() => own.locator("datalist option").evaluateAll((all) => all.map((it) => it.getAttribute("value")))).toEqual(expect.arrayContaining(["user", "system", "iowait", "idle"]));
    await field(own, "Name").fill("user");
    await field(own, "What override 2 sets as well").selectOption("Unit");
    await field(own, "Unit").fill("percent");
    await field(own, "What override 2 sets as well").selectOption("Name");
    await field(own, "Name").last().fill("People");
    await field(own, "Name").last().press("Tab");
    await dialog.getByRole("row", { name: /^People .*%/ }).waitFor();
    await field(own, "What override 2 sets as well").selectOption("Stack");
    await field(own, "Stack").selectOption("normal");
    await field(own, "What override 2 sets as well").selectOption("Colour");
    await field(own, "Colour").fill("#ff8800");
    await field(own, "What override 2 sets as well").selectOption("Decimals");
    await own.getByRole("button", { name: "Remove Decimals of override 2" }).click();
    // Another way to fit begins with options of its own.
    await dialog.getByRole("button", { name: "Add an override" }).click();
    const other = dialog.getByRole("group", { name: "Override 3" });
    await field(other, "Fields by").selectOption("query");
    await expect.poll(() => field(other, "Query").locator("option:checked").innerText()).toBe("A");
    await field(other, "Fields by").selectOption("type");
    await field(other, "Type").selectOption("time");
    await field(other, "Fields by").selectOption("pattern of names");
    await field(other, "Pattern").fill("/^s/");
    await field(other, "What override 3 sets as well").selectOption("Axis");
    await field(other, "Axis").selectOption("right");
    await dialog.getByRole("button", { name: "Override 3 earlier" }).click();
    expect(await violations(page)).toEqual([]);
    await dialog.getByRole("button", { name: "Take" }).click();
    const raw = await saved(page, boarding);
    expect(((raw["panels"] as Fields[])[0]?.["fieldConfig"] as Fields)["overrides"]).toEqual([
      { matcher: { id: "byValue", options: { reducer: "max", op: ">", value: 1e9 } }, properties: [{ id: "custom.x", value: { odd: [1] } }] },
      { matcher: { id: "byRegexp", options: "/^s/" }, properties: [{ id: "custom.axisPlacement", value: "right" }] },
      { matcher: { id: "byName", options: "user" }, properties: [{ id: "unit", value: "percent" }, { id: "displayName", value: "People" }, { id: "custom.stacking", value: { mode: "normal", group: "A" } }, { id: "color", value: { mode: "fixed", fixedColor: "#ff8800" } }] },
    ]);
  });

  test("variables of every kind are added, changed, ordered and taken out, and the board has them", async () => {
    const { page, boarding } = await edited();
    await page.getByRole("button", { name: "Settings…" }).click();
    const dialog = dialogOf(page);
    await dialog.getByText("Variables (1)").click();
    const one = (name: string) => dialog.getByRole("group", { name: `variable ${name}`, exact: true });
    await expect.poll(() => field(one("machine"), "Question").inputValue()).toBe("label_values(up, instance)");
    await expect.poll(() => field(one("machine"), "Chosen at first").inputValue()).toBe("All");
    await field(one("machine"), "Question").fill("label_values(up, job)");
    await field(one("machine"), "Chosen at first").fill("node, web");
    const add = async (kind: string, name: string): Promise<void> => {
      await dialog.getByRole("button", { name: "Add a variable" }).click();
      await field(one("variable1"), "Kind").selectOption(kind);
      await field(one("variable1"), "Name").fill(name);
      await field(one("variable1"), "Name").press("Tab");
      await one(name).waitFor();
    };
    await add("list of values", "colour");
    await field(one("colour"), "Values").fill("red, Dark blue : navy, a\\,b");
    await field(one("colour"), "Chosen at first").fill("navy");
    await add("constant", "fixed");
    await field(one("fixed"), "Value").fill("7");
    await add("interval", "step");
    await one("step").getByLabel("one that fits the range").check();
    await field(one("step"), "Steps in the range").fill("50");
    await add("data source", "source");
    await field(one("source"), "Of type").selectOption("Loki");
    await add("text box", "word");
    await field(one("word"), "Value").fill("hello");
    await add("ad hoc filters", "filters");
    await field(one("filters"), "Filters at first, one on a line").fill("job=web\ninstance=~a|b=c\nnonsense");
    await add("switch", "onoff");
    await field(one("onoff"), "At first").selectOption("off");
    await add("query", "gone");
    await dialog.getByRole("button", { name: "Remove the variable gone" }).click();
    await dialog.getByRole("button", { name: "Earlier: variable colour" }).click();
    expect(await violations(page)).toEqual([]);
    // A name that another has, or none, is refused in words.
    await field(one("word"), "Name").fill("fixed");
    await dialog.getByRole("button", { name: "Take" }).click();
    await dialog.getByText("Cannot take this: two variables are called fixed").waitFor();
    await field(one("fixed").last(), "Name").fill("w o r d");
    await dialog.getByRole("button", { name: "Take" }).click();
    await dialog.getByText("the variable w o r d needs a name of letters").waitFor();
    await field(one("w o r d"), "Name").fill("word");
    await dialog.getByRole("button", { name: "Take" }).click();
    const bar = page.getByRole("group", { name: "Variables" });
    await until("the bar", () => bar.locator("[data-variable]").evaluateAll((all) => all.map((it) => it.getAttribute("data-variable"))), (it) => it.join() === "colour,machine,step,source,word,filters,onoff");
    await expect.poll(() => bar.locator("[data-variable=colour] option").allInnerTexts()).toEqual(["red", "Dark blue", "a,b"]);
    await expect.poll(() => bar.locator("[data-variable=colour] select").inputValue()).toBe("navy");
    await expect.poll(() => bar.locator("[data-variable=source] option").allInnerTexts()).toEqual(["Loki"]);
    await expect.poll(() => bar.locator("[data-variable=filters] .filter").allInnerTexts()).toEqual(["job=web×", "instance=~a|b=c×"]);
    await expect.poll(() => bar.locator("[data-variable=onoff] select").inputValue()).toBe("false");
    const list = ((await saved(page, boarding))["templating"] as { list: Fields[] }).list;
    const at = (name: string) => list.find((it) => it["name"] === name);
    expect(at("machine")).toEqual({ type: "query", name: "machine", label: "Machine", query: { query: "label_values(up, job)", refId: "x" }, definition: "label_values(up, job)", datasource: { type: "prometheus", uid: "${DS}" }, multi: true, includeAll: true, current: { text: ["node", "web"], value: ["node", "web"] } });
    expect(at("colour")).toMatchObject({ type: "custom", current: { text: "Dark blue", value: "navy" }, options: [{ value: "red" }, { value: "navy" }, { value: "a,b" }] });
    expect(at("fixed")).toMatchObject({ type: "constant", query: "7", current: { value: "7" } });
    expect(at("step")).toMatchObject({ type: "interval", auto: true, auto_count: 50, query: "1m,10m,30m,1h" });
    expect(at("filters")).toMatchObject({ type: "adhoc", filters: [{ key: "job", operator: "=", value: "web" }, { key: "instance", operator: "=~", value: "a|b=c" }] });
  });

  test("annotations are a form, and what Grafana brings itself is only switched", async () => {
    const { page, boarding } = await edited();
    await page.getByRole("button", { name: "Settings…" }).click();
    const dialog = dialogOf(page);
    await dialog.getByText("Annotations (1)").click();
    const own = dialog.getByRole("group", { name: "annotation Annotations & Alerts" });
    await expect.poll(() => own.getByRole("textbox").count()).toBe(1);
    await own.getByLabel("drawn at first").uncheck();
    await dialog.getByRole("button", { name: "Add an annotation" }).click();
    const made = dialog.getByRole("group", { name: "annotation Marks 2" });
    await field(made, "Query").fill("changes(process_start_time_seconds[1m]) > 0");
    await field(made, "Words above").fill("{{instance}}");
    await field(made, "Name").fill("Restarts");
    await dialog.getByRole("button", { name: "Take" }).click();
    await page.getByRole("checkbox", { name: "Restarts" }).waitFor();
    const list = ((await saved(page, boarding))["annotations"] as { list: Fields[] }).list;
    expect(list).toMatchObject([{ builtIn: 1, enable: false }, { name: "Restarts", enable: true, iconColor: "red", expr: "changes(process_start_time_seconds[1m]) > 0", titleFormat: "{{instance}}" }]);
  });

  test("what is no JSON is refused where it stands, and a phone shows all of a form", async () => {
    const { page } = await edited();
    await page.setViewportSize({ width: 390, height: 800 });
    await page.getByRole("button", { name: "Menu of Load" }).click();
    await page.getByRole("button", { name: "Edit", exact: true }).last().click();
    const kept = dialogOf(page).getByRole("group", { name: "Override 1" });
    await field(kept, "custom.x, as JSON").fill("{");
    await field(kept, "custom.x, as JSON").press("Tab");
    await kept.getByText("This is no JSON.").waitFor();
    const wide = async (): Promise<number> => dialogOf(page).evaluate((it) => it.scrollWidth - it.clientWidth);
    await expect.poll(() => wide()).toBeLessThanOrEqual(0);
    await dialogOf(page).getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "Settings…" }).click();
    await dialogOf(page).getByText("Variables (1)").click();
    await dialogOf(page).getByText("Annotations (1)").click();
    await expect.poll(() => wide()).toBeLessThanOrEqual(0);
  });
});
