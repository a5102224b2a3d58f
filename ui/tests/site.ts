// What most browser tests begin with: one Chromium for a file, a scripted server for each test, a page on it. Not the tests, and not
// the server (mock.ts).
import { afterAll, afterEach, beforeAll } from "vitest";
import { healthy } from "./answers.ts";
import { type Browser, open, watched, type Watched } from "./browser.ts";
import { type Handler, Mock } from "./mock.ts";

export class Site {
  browser!: Browser;
  mock!: Mock;

  /** Starts a server with these answers before those of a healthy machine, and opens a page of it. */
  async at(path: string, ...handlers: Handler[]): Promise<Watched> {
    this.mock = await Mock.start(...handlers, ...healthy);
    return watched(this.browser, this.mock.url + path);
  }
}

/** To be called in a suite: its tests get a site, which is gone after them. */
export function site(): Site {
  const found = new Site();
  beforeAll(async () => {
    found.browser = await open();
  });
  afterAll(async () => found.browser?.close());
  afterEach(async () => {
    await found.browser?.context.clearCookies();
    await found.mock?.stop();
  });
  return found;
}

/** What a server says of a session of this level. */
export const session = (level: "read" | "admin"): Handler => ({ path }) =>
  path === "/api/auth/session" ? { body: { authenticated: true, user: "rita", level, auth_enabled: true, insecure: false } } : undefined;
