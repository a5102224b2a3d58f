// The one way to the server: every answer or failure of the HTTP API comes through `request`, failures in one shape.
// Not a cache and not a poller (poll.svelte.ts); it knows no address of its own.
import { t } from "../words/t";

export type ErrorKind = "network" | "timeout" | "unauthorized" | "forbidden" | "refused" | "server" | "shape";

/** What can go wrong with one request, in words for people. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  constructor(
    readonly kind: ErrorKind,
    message: string,
    readonly status: number | undefined = undefined,
    /** The machine-readable code of the answer, when it has one. */
    readonly code: string | undefined = undefined,
  ) {
    super(message);
  }
}

/** Not a failure: the server answered and there is nothing to show, for a reason that the panel prints. */
export class NoData extends Error {
  override readonly name = "NoData";
}

export interface RequestOptions {
  method?: "GET" | "POST" | "DELETE";
  params?: Record<string, string | number>;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as a form. */
  form?: Record<string, string | number>;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

export const REQUEST_TIMEOUT_MS = 30_000;

let skewMs = 0;
let whenUnauthorized: (() => void) | undefined;

/** Now by the server's clock (to about a second), because a browser's clock may be hours off. */
export function serverNowMs(): number {
  return Date.now() + skewMs;
}

/** Registers who is told that the server wants a log-in. */
export function onUnauthorized(callback: () => void): void {
  whenUnauthorized = callback;
}

export async function request(path: string, options: RequestOptions = {}): Promise<unknown> {
  const response = await send(path, options);
  learnClock(response.headers.get("date"));
  const text = await readText(response, path);
  if (response.ok) return text === "" ? undefined : parseJson(text, path);
  const error = failure(response.status, text, path);
  if (error.kind === "unauthorized") whenUnauthorized?.();
  throw error;
}

async function send(path: string, options: RequestOptions): Promise<Response> {
  const query = options.params ? `?${form(options.params).toString()}` : "";
  const init: RequestInit = { method: options.method ?? "GET", credentials: "same-origin", cache: "no-store" };
  const headers: Record<string, string> = { accept: "application/json", ...options.headers };
  if (options.json !== undefined) {
    headers["content-type"] = "application/json";
    init.body = JSON.stringify(options.json);
  } else if (options.form) {
    init.body = form(options.form);
  }
  init.headers = headers;
  const timeout = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  init.signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
  try {
    return await fetch(path + query, init);
  } catch (cause) {
    throw sendFailure(cause, path);
  }
}

async function readText(response: Response, path: string): Promise<string> {
  try {
    return await response.text();
  } catch (cause) {
    throw sendFailure(cause, path);
  }
}

function sendFailure(cause: unknown, path: string): unknown {
  if (cause instanceof DOMException && cause.name === "AbortError") return cause;
  if (cause instanceof DOMException && cause.name === "TimeoutError") {
    return new ApiError("timeout", t("{0} gave no answer within {1} s", path, REQUEST_TIMEOUT_MS / 1000));
  }
  return new ApiError("network", t("the server cannot be reached"));
}

function form(values: Record<string, string | number>): URLSearchParams {
  return new URLSearchParams(Object.entries(values).map(([key, value]) => [key, String(value)]));
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError("shape", t("{0} answered something that is not JSON", path));
  }
}

/** Reads the message of an error answer: Prometheus' envelope, ours, Jaeger's, Alertmanager's or plain text. */
export function failure(status: number, text: string, path: string): ApiError {
  const { message, code } = messageOf(text);
  const kind = kindOf(status);
  return new ApiError(kind, message ?? t("{0} answered with status {1}", path, status), status, code);
}

function kindOf(status: number): ErrorKind {
  if (status === 401) return "unauthorized";
  if (status === 403) return "forbidden";
  return status >= 500 ? "server" : "refused";
}

function messageOf(text: string): { message?: string; code?: string } {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    const plain = text.trim();
    return plain !== "" && plain.length <= 2000 && !plain.startsWith("<") ? { message: plain } : {};
  }
  if (!isRecord(body)) return typeof body === "string" ? { message: body } : {};
  const inner = [body["error"], Array.isArray(body["errors"]) && body["errors"][0], body].find(isRecord) ?? body;
  const found: { message?: string; code?: string } = {};
  const message = [inner["message"], inner["msg"], body["error"], body["detail"], body["message"]].find((it) => typeof it === "string");
  const code = [inner["code"], body["errorType"], body["code"]].find((it) => typeof it === "string");
  if (typeof message === "string") found.message = message;
  if (typeof code === "string") found.code = code;
  return found;
}

function learnClock(date: string | null): void {
  const server = date ? Date.parse(date) : Number.NaN;
  if (Number.isNaN(server)) return;
  const difference = server + 500 - Date.now();
  // The header has whole seconds: small differences are its rounding, not a wrong clock.
  skewMs = Math.abs(difference) > 2000 ? difference : 0;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
