// Boards in the manner of others' (boards/others) in a real Chromium: none blanks the page, each panel that is open shows something or says
// why not. Not what stands in them (src/dashboards/model/others.test.ts).
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parsedBoard } from "../src/dashboards/edit/importing.ts";
import { Boarding, boardFile } from "./boarding.ts";
import { chromiumIsThere } from "./browser.ts";
import { site } from "./site.ts";

const names = readdirSync(join(import.meta.dirname, "boards", "others")).map((it) => it.replace(/\.json$/, "")).sort();

describe.skipIf(!chromiumIsThere())("Boards of others", () => {
  const here = site();

  test.each(names)("%s", async (name) => {
    const raw = { ...parsedBoard(JSON.stringify(boardFile(`others/${name}`))), uid: "others" };
    const boarding = new Boarding("house");
    boarding.put(raw);
    const { page, faults } = await here.at("/d/others/x", boarding.handler);
    const panels = page.locator("[data-panel]");
    await panels.first().waitFor();
    // A panel says that there is nothing, why it cannot ask, or has something in it that can be seen.
    const blank = (): Promise<string[]> =>
      panels.evaluateAll((all) =>
        all.filter((it) => {
          const inside = [...it.querySelectorAll(".content > *, .none, [role=alert]")];
          return !inside.some((part) => part.getBoundingClientRect().height > 4) || (it.textContent ?? "").includes("cannot be drawn");
        }).map((it) => it.querySelector("h3")?.textContent ?? "?"),
      );
    await expect.poll(blank, { timeout: 30_000 }).toEqual([]);
    await expect.poll(() => page.locator("h1").first().innerText()).toContain(String((raw as Record<string, unknown>)["title"]));
    expect(faults).toEqual([]);
  });
});
