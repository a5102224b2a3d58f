// The log-in page in a real Chromium: shown on 401, wrong and right credentials, log-out. Not the server's protection.
import { describe, expect, test } from "vitest";
import { chromiumIsThere } from "./browser.ts";
import { type Handler } from "./mock.ts";
import { site } from "./site.ts";

const REFUSED = { status: 401, body: { error: { code: "unauthorized", message: "log in first" } } };

/** A server that wants a log-in: one user, one token, one cookie. */
const guarded: Handler = ({ method, path, body, cookie }) => {
  const known = cookie.includes("session=good");
  if (path === "/api/auth/login" && method === "POST") {
    const right = body === '{"username":"ada","password":"correct"}' || body === '{"token":"t0ken"}';
    return right ? { body: {}, headers: { "set-cookie": "session=good; HttpOnly; SameSite=Strict; Path=/" } } : REFUSED;
  }
  if (path === "/api/auth/logout" && method === "POST") {
    return { body: {}, headers: { "set-cookie": "session=; Max-Age=0; Path=/" } };
  }
  if (path === "/api/auth/session") {
    return { body: { authenticated: known, user: known ? "ada" : null, level: known ? "admin" : null, auth_enabled: true } };
  }
  return known ? undefined : REFUSED;
};

describe.skipIf(!chromiumIsThere())("Log-in", () => {
  const here = site();

  test("a user logs in where they wanted to go, and out again", async () => {
    const { page, faults } = await here.at("/query?expr=up", guarded);
    await page.getByRole("heading", { name: "Log in" }).waitFor();
    await page.getByLabel("User", { exact: true }).fill("ada");
    await page.getByLabel("Password", { exact: true }).fill("wrong");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByText("Wrong user or password.").waitFor();
    await expect.poll(() => page.getByLabel("Password", { exact: true }).inputValue()).toBe("");
    await page.getByLabel("Password", { exact: true }).fill("correct");
    await page.getByLabel("Password", { exact: true }).press("Enter");
    await page.getByRole("cell", { name: /^up/ }).first().waitFor();
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByRole("heading", { name: "Log in" }).waitFor();
    expect(faults).toEqual([]);
  });

  test("a token logs in as well", async () => {
    const { page } = await here.at("/", guarded);
    await page.getByLabel("Token", { exact: true }).check();
    await page.getByRole("textbox", { name: "Token" }).or(page.locator("input[name=token]")).fill("t0ken");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("heading", { name: "System Status" }).waitFor();
  });

  test("a session that ends while one looks leads to the log-in", async () => {
    let ended = false;
    const { page } = await here.at("/", (asked) => (ended && asked.path !== "/api/auth/session" ? REFUSED : undefined));
    await page.getByRole("heading", { name: "System Status" }).waitFor();
    ended = true;
    // Coming back to the page makes every panel ask again.
    await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
    await page.getByRole("heading", { name: "Log in" }).waitFor();
  });
});
