// The page Cameras in a real Chromium against a scripted server: which camera lives, what it sends, why not, and what is said where there is
// none. Not the real server, and not what all pages have in common (pages.test.ts).
import { describe, expect, test } from "vitest";
import { chromiumIsThere, until } from "./browser.ts";
import { session, site } from "./site.ts";
import { camera, Watching } from "./watching.ts";

describe.skipIf(!chromiumIsThere())("Cameras", () => {
  const here = site();

  test("every camera has its state in words, its frames and its bit rate", async () => {
    const { page, faults } = await here.at("/cameras", new Watching().handler);
    const card = (id: string) => page.locator(`[data-camera=${id}]`);
    await card("front").waitFor();
    for (const [id, words] of [
      ["back", "offline"],
      ["front", "live"],
      ["garage", "frozen"],
      ["yard", "live"],
    ] as const) {
      await expect.poll(() => card(id).locator(".state").innerText()).toBe(words);
    }
    await expect.poll(() => page.locator(".counts").innerText()).toMatch(/1 offline\s*1 frozen\s*2 live/);
    await expect.poll(() => card("front").innerText()).toMatch(/25 of 25 frames\/s[\s\S]*4\.2 Mbit\/s[\s\S]*1920×1080 H264[\s\S]*Last picture/);
    await expect.poll(() => card("garage").innerText()).toMatch(/Connected, and no new picture comes\.[\s\S]*1 min 3\d s ago/);
    await expect.poll(() => card("garage").innerText()).toMatch(/The picture is identical, blurred\./);
    await page.getByRole("img", { name: "The latest picture of garage" }).waitFor();
    await expect.poll(() => page.locator("[data-server=media]").innerText()).toMatch(/mediamtx at http:\/\/mtx:9997\/[\s\S]*3 streams, 12 viewers/);
    await expect.poll(() => page.locator("[data-server=nvr]").innerText()).toMatch(/the server answers 502/);
    // What nobody knows is not a zero.
    await expect.poll(() => card("back").innerText()).toMatch(/the camera closed the connection[\s\S]*– frames\/s[\s\S]*Last picture not seen yet/);
    await expect.poll(() => card("yard").locator("b.warning").innerText()).toBe("11.5");
    await card("yard").getByText("More").click();
    await expect.poll(() => card("yard").innerText()).toMatch(/rtsp:\/\/10\.0\.0\.5\/yard via hls[\s\S]*Latency\s+6\.2 s[\s\S]*Packets lost\s+10 of 10,000[\s\S]*Frames missing\s+3/);
    await expect.poll(() => page.title()).not.toBe("1");
    expect(faults).toEqual([]);
  });

  test("a camera that freezes is shown so without a reload, and its frames are a click away", async () => {
    const watching = new Watching();
    const { page } = await here.at("/cameras", watching.handler);
    const front = page.locator("[data-camera=front]");
    await front.waitFor();
    watching.cameras[1] = camera("front", "frozen", { name: "Front door" });
    await until("frozen", () => front.locator(".state").innerText(), (it) => it === "frozen", 10_000);
    await front.getByRole("link", { name: "Front door over time" }).click();
    await until("the query", async () => new URL(page.url()).searchParams.get("expr"), (it) => it === 'camera_fps{camera_id="front"}');
  });

  test("who may looks for cameras, and what answers is text with lines to be copied", async () => {
    const watching = new Watching();
    const { page, faults } = await here.at("/cameras", watching.handler, session("admin"));
    await page.getByRole("button", { name: "Look for cameras" }).click();
    const found = page.locator('[data-found="10.0.0.9"]');
    await found.waitFor();
    await expect.poll(() => page.getByRole("region", { name: "Cameras in the network" }).getByRole("status").innerText()).toMatch(/2 answered; asked from 10\.0\.0\.2; 1 answers left out/);
    await expect.poll(() => found.innerText()).toMatch(/<b>Hall<\/b>[\s\S]*rtsp:\/\/10\.0\.0\.9\/PATH/);
    await expect.poll(() => page.locator('[data-found="10.0.0.5"]').innerText()).toMatch(/Watched as front/);
    watching.search = undefined;
    await page.getByRole("button", { name: "Look for cameras" }).click();
    await page.getByText("Cannot look for cameras.").waitFor();
    expect(faults.filter((it) => !it.includes("429"))).toEqual([]);
  });

  test("who may only read is not offered to look for cameras", async () => {
    const { page } = await here.at("/cameras", new Watching().handler, session("read"));
    await page.locator("[data-camera=front]").waitFor();
    await expect.poll(() => page.getByRole("button", { name: "Look for cameras" }).count()).toBe(0);
  });

  test("where no camera is watched, and where they cannot be had, it is said", async () => {
    const watching = new Watching();
    watching.cameras.length = 0;
    watching.servers.length = 0;
    const { page } = await here.at("/cameras", watching.handler);
    await page.getByText("No camera is watched").waitFor();
    await expect.poll(() => page.locator("[data-camera]").count()).toBe(0);
    here.mock.handlers.unshift(({ path }) => (path === "/api/cameras" ? { status: 503, body: { error: { code: "unavailable", message: "not now" } } } : undefined));
    await page.goto(`${here.mock.url}/cameras`);
    await page.getByText("Cannot load the cameras.").waitFor();
  });
});
