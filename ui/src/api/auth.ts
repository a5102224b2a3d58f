// Log in, log out, and who we are. Not the cookie (the server sets it, scripts cannot read it) and not the form.
import { ApiError, isRecord, request } from "./request";
import { t } from "../words/t";

export interface Session {
  authenticated: boolean;
  authEnabled: boolean;
  user: string | null;
  level: string | null;
  /** Authentication is off although the server can be reached from other machines. */
  insecure: boolean;
}
export type Credentials = { username: string; password: string } | { token: string };

export async function session(signal?: AbortSignal): Promise<Session> {
  try {
    return parseSession(await request("/api/auth/session", { signal }));
  } catch (error) {
    if (error instanceof ApiError && error.kind === "unauthorized") {
      return { authenticated: false, authEnabled: true, user: null, level: null, insecure: false };
    }
    throw error;
  }
}

export async function logIn(credentials: Credentials): Promise<void> {
  await request("/api/auth/login", { method: "POST", json: credentials });
}

export async function logOut(): Promise<void> {
  await request("/api/auth/logout", { method: "POST", json: {} });
}

export function parseSession(body: unknown): Session {
  if (!isRecord(body)) throw new ApiError("shape", t("/api/auth/session answered without a session"));
  const text = (key: string): string | null => (typeof body[key] === "string" ? body[key] : null);
  return {
    authenticated: body["authenticated"] === true,
    authEnabled: body["auth_enabled"] !== false,
    user: text("user"),
    level: text("level"),
    insecure: body["insecure"] === true,
  };
}
