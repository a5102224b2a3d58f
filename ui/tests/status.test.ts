// The System Status page in a real Chromium against the scripted server: the four GPU parts, live changes, the states of panels.
// Not the look, and not the real server (real.test.ts).
import { describe, expect, test } from "vitest";
import { GPU, healthy, NO_GPU } from "./answers.ts";
import { chromiumIsThere, open, until, watched, type Watched } from "./browser.ts";
import { type Handler, Mock } from "./mock.ts";
import { site } from "./site.ts";

const answering =
  (path: string, reply: ReturnType<Handler>): Handler =>
  (asked) =>
    asked.path === path ? reply : undefined;

describe.skipIf(!chromiumIsThere())("System Status", () => {
  const here = site();

  const at = here.at.bind(here);

  function panel({ page }: Watched, name: string) {
    return page.getByRole("region", { name, exact: true }).and(page.locator("[data-state]"));
  }

  test("gpu_28_system_status_has_four_parts", async () => {
    const seen = await at("/");
    const gpu = panel(seen, "GPU");
    const gauge = gpu.getByRole("meter", { name: "GPU utilization" });
    const vram = gpu.getByRole("meter", { name: "VRAM used" });
    await gauge.waitFor();
    await expect.poll(() => gauge.getAttribute("aria-valuenow")).toBe("45");
    await expect.poll(() => gauge.getAttribute("aria-valuetext")).toBe("45%, working");
    await expect.poll(() => vram.getAttribute("aria-valuetext")).toBe("8,192 of 24,576 MB, 33%, pressure NORMAL");
    const text = await gpu.innerText();
    for (const part of ["NVIDIA RTX A5500", "8,192 / 24,576 MB", "WARNING from 85%", "CRITICAL from 95%", "62 °C", "126 W", "of 230 W"]) {
      expect(text).toContain(part);
    }
  });

  test("gpu_28_gauge_is_coloured_and_named_by_value", async () => {
    const seen = await at("/");
    const gauge = panel(seen, "GPU").getByRole("meter", { name: "GPU utilization" });
    const vram = panel(seen, "GPU").getByRole("meter", { name: "VRAM used" });
    await until("the socket", async () => here.mock.listeners, (it) => it === 1);
    const colors = new Set<string>();
    const cases: [number, number, string, string][] = [
      [20, 8192, "20%, working", "NORMAL"],
      [75, 20_889, "75%, busy", "NORMAL"],
      [75, 20_890, "75%, busy", "WARNING"],
      [97, 23_348, "97%, saturated", "CRITICAL"],
    ];
    for (const [utilization, used, words, pressure] of cases) {
      const sample = { ...GPU, gpu_utilization: utilization, memory_used: used };
      here.mock.push({ type: "gpu_stats", data: sample, ...sample });
      await until(words, () => gauge.getAttribute("aria-valuetext"), (it) => it === words);
      await until(pressure, () => vram.getAttribute("aria-valuetext"), (it) => it?.endsWith(`pressure ${pressure}`) === true);
      colors.add(await gauge.locator("path.value").evaluate((it) => getComputedStyle(it).stroke));
    }
    expect(colors.size).toBe(3);
  });

  test("where one machine reports, nothing is asked twice at the start", async () => {
    const seen = await at("/");
    await panel(seen, "Load").getByText("15 min").first().waitFor();
    await seen.page.waitForLoadState("networkidle");
    const queries = here.mock.asked.map((it) => it.params.get("query")).filter((it) => it?.includes("node_load(1|5|15)"));
    expect(queries).toEqual(['{__name__=~"node_load(1|5|15)",job="node"}']);
  });

  test.each(["no-preference", "reduce"] as const)("what moves by itself moves only for those who like it: %s", async (motion) => {
    const mock = await Mock.start(...healthy);
    const browser = await open({ motion });
    try {
      const { page } = await watched(browser, `${mock.url}/`);
      await page.locator('[data-state="ready"]').first().waitFor();
      await until("the socket", async () => mock.listeners, (it) => it >= 1);
      const moving = (): Promise<number> => page.evaluate(() => document.getAnimations().filter((it) => it instanceof CSSAnimation).length);
      if (motion === "reduce") await expect.poll(() => moving()).toBe(0);
      else await until("the beat of the live mark", moving, (it) => it > 0);
    } finally {
      await browser.close();
      await mock.stop();
    }
  });

  test("gpu_29_live_updates_in_both_shapes_change_the_gauge", async () => {
    const seen = await at("/");
    const gauge = panel(seen, "GPU").getByRole("meter", { name: "GPU utilization" });
    await until("the socket", async () => here.mock.listeners, (it) => it === 1);
    await until("live", () => seen.page.locator("[data-freshness]").innerText(), (it) => it === "live");
    here.mock.push({ type: "gpu_stats", data: { ...GPU, gpu_utilization: 71 } });
    await until("nested", () => gauge.getAttribute("aria-valuenow"), (it) => it === "71");
    here.mock.push({ type: "gpu_stats", gpu_utilization: 12, memory_used: 1024, memory_total: 24_576 });
    await until("flat", () => gauge.getAttribute("aria-valuenow"), (it) => it === "12");
    await expect.poll(() => panel(seen, "GPU").innerText()).toContain("not reported");
  });

  test("no GPU is said plainly and shows no zero", async () => {
    const seen = await at("/", answering("/api/system/gpu", { body: NO_GPU }), answering("/api/system/gpu/history", { body: [] }));
    const gpu = panel(seen, "GPU");
    await gpu.getByText("No GPU found.").waitFor();
    const text = await gpu.innerText();
    for (const part of ["Utilization", "VRAM", "Temperature", "Power", "no GPU"]) expect(text).toContain(part);
    expect(text.replaceAll(/(85|95)%/g, "")).not.toMatch(/\d/);
    await expect.poll(() => gpu.getByRole("meter").count()).toBe(0);
  });

  test("a lost socket is said, polling goes on, and the page comes back by itself", async () => {
    let utilization = 45;
    const seen = await at("/", (asked) =>
      asked.path === "/api/system/gpu" ? { body: { ...GPU, gpu_utilization: utilization } } : undefined,
    );
    const word = seen.page.locator("[data-freshness]");
    await until("live", () => word.innerText(), (it) => it === "live");
    utilization = 33;
    here.mock.setLive(false);
    await until("reconnecting", () => word.innerText(), (it) => it.startsWith("reconnecting"));
    const gauge = panel(seen, "GPU").getByRole("meter", { name: "GPU utilization" });
    await until("polled", () => gauge.getAttribute("aria-valuenow"), (it) => it === "33");
    here.mock.setLive(true);
    await until("live again", () => word.innerText(), (it) => it === "live");
  });

  test("a server that is gone leaves figures that are called old, and says since when", async () => {
    here.mock = await Mock.start(...healthy);
    const page = await here.browser.context.newPage();
    await page.clock.install();
    await page.goto(here.mock.url);
    const gpu = page.getByRole("region", { name: "GPU", exact: true }).and(page.locator("[data-state]"));
    await gpu.getByRole("meter", { name: "GPU utilization" }).waitFor();
    await here.mock.stop();
    await until(
      "stale",
      async () => {
        await page.clock.runFor(5000);
        return page.locator("[data-freshness]").innerText();
      },
      (it) => /^stale since \d\d:\d\d:\d\d$/.test(it),
    );
    await gpu.getByText(/^Old: these are the figures of \d\d:\d\d:\d\d/).waitFor();
    await expect.poll(() => gpu.innerText()).toContain("the server cannot be reached");
    await page.close();
  });

  test("services are never healthy by default", async () => {
    const seen = await at("/");
    const services = panel(seen, "Services");
    const redis = services.locator("[data-service=redis]");
    await redis.waitFor();
    await expect.poll(() => redis.innerText()).toMatch(/redis\s+not configured/);
    await expect.poll(() => services.locator("[data-service=database]").innerText()).toMatch(/healthy/);
    await expect.poll(() => panel(seen, "Queues").innerText()).toMatch(/detection\s+not configured\s+nothing reports hsi_detection_queue_depth/);
    await until("the socket", async () => here.mock.listeners, (it) => it === 1);
    here.mock.handlers.unshift(
      answering("/api/system/health", {
        body: {
          status: "degraded",
          services: { rtdetr: "unhealthy" },
          details: { rtdetr: { status: "unhealthy", message: "Health check failed" } },
        },
      }),
    );
    here.mock.push({ type: "service_status", data: { service: "rtdetr", status: "unhealthy", message: "Health check failed" } });
    await services.getByText("Health check failed").waitFor();
    await until("overall", () => services.innerText(), (it) => it.includes("degraded"));
  });

  test("api_06_the_socket_feeds_the_host_figures_between_polls", async () => {
    const seen = await at("/");
    const memory = panel(seen, "Memory").getByRole("meter", { name: "Memory used" });
    await memory.waitFor();
    await until("the socket", async () => here.mock.listeners, (it) => it === 1);
    here.mock.push({ type: "system_status", data: { health: "healthy", host: { load1: 7.77, memory_used_bytes: 20 * 2 ** 30 } } });
    await panel(seen, "Load").getByText("7.77").waitFor();
    await expect.poll(() => memory.getAttribute("aria-valuetext")).toMatch(/^20.0 GiB of 31.2 GiB/);
  });

  test("host panels show figures and a chart with a table", async () => {
    const seen = await at("/");
    for (const [name, part] of [
      ["CPU", "busy"],
      ["Memory", "of 31.2 GiB"],
      ["Disks", "/srv/cameras"],
      ["Network", "eth0"],
      ["Load", "up 3 d 4 h"],
      ["Temperatures", "hottest"],
      ["Watchfire", "38.4 MiB"],
    ] as const) {
      await panel(seen, name).getByText(part).first().waitFor();
    }
    const cpu = panel(seen, "CPU");
    await cpu.locator("canvas").waitFor();
    await cpu.getByText("Table").click();
    await expect.poll(() => cpu.getByRole("row").count()).toBe(5);
    await expect.poll(() => panel(seen, "Network").locator("table").first().locator("tbody th").allInnerTexts()).toEqual([
      "eth0",
      "wlan0",
      "docker0",
      "lo",
    ]);
  });

  test("a panel without data says why, one that fails says what", async () => {
    const seen = await at("/", ({ path, params }) => {
      const expr = params.get("query") ?? "";
      if (path.startsWith("/api/v1/query") && expr.includes("hwmon")) {
        return { body: { status: "success", data: { resultType: path.endsWith("range") ? "matrix" : "vector", result: [] } } };
      }
      if (path.startsWith("/api/v1/query") && expr.includes("node_load(")) {
        return { status: 503, body: { status: "error", errorType: "timeout", error: "query timed out in expression evaluation" } };
      }
      return path === "/api/system/health" ? { status: 500, body: { error: { code: "internal_error", message: "the store is broken" } } } : undefined;
    });
    await panel(seen, "Temperatures").getByText("reports no temperature sensor").waitFor();
    await panel(seen, "Load").getByText("query timed out in expression evaluation").waitFor();
    await panel(seen, "Services").getByText("the store is broken").waitFor();
    await expect.poll(() => panel(seen, "Services").getByText("healthy").count()).toBe(0);
  });

  test("an open server on the network has its banner", async () => {
    const seen = await at(
      "/",
      answering("/api/auth/session", { body: { authenticated: true, user: null, level: "admin", auth_enabled: false, insecure: true } }),
    );
    await seen.page.getByRole("alert").getByText("No authentication.").waitFor();
  });

  test("nothing leaves the origin and nothing breaks the policy", async () => {
    const seen = await at("/");
    await seen.page.locator("canvas").nth(6).waitFor();
    await seen.page.goto(`${here.mock.url}/query?expr=up`);
    await seen.page.locator("canvas").waitFor();
    expect(seen.foreign).toEqual([]);
    expect(seen.faults).toEqual([]);
  });

  test("the keyboard reaches everything and the focus is visible", async () => {
    const seen = await at("/");
    await seen.page.locator("canvas").nth(6).waitFor();
    const reached: string[] = [];
    for (let step = 0; step < 40; step += 1) {
      await seen.page.keyboard.press("Tab");
      const focus = await seen.page.evaluate(() => {
        const it = document.activeElement;
        if (!it || it === document.body) return undefined;
        const style = getComputedStyle(it);
        return { name: it.getAttribute("aria-label") ?? it.id ?? "", text: it.textContent?.trim() ?? "", outline: style.outlineStyle };
      });
      if (!focus) break;
      expect(focus.outline, JSON.stringify(focus)).not.toBe("none");
      reached.push(focus.text || focus.name);
    }
    for (const name of ["Skip to the content", "System Status", "Query", "Auto", "quick", "Table"]) expect(reached).toContain(name);
  });
});

describe.skipIf(!chromiumIsThere())("sizes and themes", () => {
  const overflow = (): number => document.documentElement.scrollWidth - document.documentElement.clientWidth;

  test("a phone shows everything without scrolling sideways", async () => {
    const browser = await open({ width: 390, height: 844 });
    const mock = await Mock.start(...healthy);
    try {
      const seen = await watched(browser, `${mock.url}/`);
      await seen.page.locator("canvas").nth(6).waitFor();
      await expect.poll(() => seen.page.evaluate(overflow)).toBe(0);
      for (const summary of await seen.page.locator("summary").all()) await summary.click();
      await expect.poll(() => seen.page.evaluate(overflow)).toBe(0);
      await seen.page.goto(`${mock.url}/query?expr=up`);
      await seen.page.locator("canvas").waitFor();
      await expect.poll(() => seen.page.evaluate(overflow)).toBe(0);
    } finally {
      await browser.close();
      await mock.stop();
    }
  });

  test("dark and light follow the system, and the button overrules it and is remembered", async () => {
    const browser = await open({ scheme: "dark" });
    const mock = await Mock.start(...healthy);
    try {
      const { page } = await watched(browser, `${mock.url}/`);
      const lightness = async (): Promise<number> =>
        page.evaluate(() => Number(/\d+/.exec(getComputedStyle(document.documentElement).backgroundColor)?.[0]));
      await expect.poll(() => lightness()).toBeLessThan(60);
      await page.getByRole("button", { name: /^Theme: Auto/ }).click();
      await expect.poll(() => lightness()).toBeGreaterThan(200);
      await page.reload();
      await page.getByRole("button", { name: /^Theme: Light/ }).waitFor();
      await expect.poll(() => lightness()).toBeGreaterThan(200);
    } finally {
      await browser.close();
      await mock.stop();
    }
  });
});
