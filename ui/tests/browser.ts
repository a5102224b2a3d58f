// A fresh Chromium for one test file, and a page that notes everything it must not do. Not the tests.
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, chromium, type Page } from "playwright-core";

export const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** False, said loudly, where there is no Chromium to test with. */
export function chromiumIsThere(): boolean {
  if (existsSync(CHROMIUM)) return true;
  console.error(`SKIPPED: the browser tests need Chromium at ${CHROMIUM} (or the path in CHROMIUM)`);
  return false;
}

export interface Browser {
  context: BrowserContext;
  close(): Promise<void>;
}

export interface Look {
  width?: number;
  height?: number;
  scheme?: "light" | "dark";
  motion?: "reduce" | "no-preference";
}

export async function open({ width = 1280, height = 900, scheme = "light", motion = "reduce" }: Look = {}): Promise<Browser> {
  const folder = mkdtempSync(join(tmpdir(), "watchfire-ui-"));
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: CHROMIUM,
    headless: true,
    args: FLAGS,
    viewport: { width, height },
    colorScheme: scheme,
    reducedMotion: motion,
  });
  context.setDefaultTimeout(20_000);
  return {
    context,
    async close() {
      await context.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export interface Watched {
  page: Page;
  /** Requests that left the page's own origin. */
  foreign: string[];
  /** Violations of the content security policy, and errors that no code caught. */
  faults: string[];
}

export async function watched({ context }: Browser, address: string): Promise<Watched> {
  const page = await context.newPage();
  const origin = new URL(address).origin;
  const foreign: string[] = [];
  const faults: string[] = [];
  page.on("request", (request) => {
    const to = new URL(request.url());
    if (to.origin !== origin && to.protocol !== "ws:") foreign.push(request.url());
  });
  page.on("websocket", (socket) => {
    if (new URL(socket.url()).host !== new URL(origin).host) foreign.push(socket.url());
  });
  page.on("console", (message) => {
    if (/content security policy/i.test(message.text())) faults.push(message.text());
  });
  page.on("pageerror", (error) => faults.push(String(error)));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      console.error(`Content Security Policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
  });
  await page.goto(address);
  return { page, foreign, faults };
}

/** Repeats a look until it is true; says what was last seen when it never is. */
export async function until<T>(what: string, look: () => Promise<T>, isSo: (seen: T) => boolean, withinMs = 20_000): Promise<T> {
  const end = Date.now() + withinMs;
  let seen = await look();
  while (!isSo(seen)) {
    if (Date.now() > end) throw new Error(`${what}: not within ${withinMs} ms; last seen: ${JSON.stringify(seen)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
    seen = await look();
  }
  return seen;
}
