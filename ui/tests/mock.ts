// A scripted server for the browser tests: serves dist/ under the strict policy, canned API answers, and a WebSocket by hand.
// Not Watchfire: what is said here is what the contract says, and every test may say otherwise.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import type { Duplex } from "node:stream";

export const DIST = join(import.meta.dirname, "..", "dist");
export const POLICY = "default-src 'self'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; frame-ancestors 'none'";
const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".words": "text/plain; charset=utf-8",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".webmanifest": "application/manifest+json",
  ".png": "image/png",
};

export interface Reply {
  status?: number;
  body: unknown;
  headers?: Record<string, string>;
}
export interface Asked {
  method: string;
  path: string;
  params: URLSearchParams;
  body: string;
  cookie: string;
}
export type Handler = (asked: Asked) => Reply | undefined;

export class Mock {
  readonly #server: Server;
  readonly #sockets = new Set<Duplex>();
  readonly #tails = new Set<Duplex>();
  /** Tried first to last; the first that answers wins. Tests put theirs in front. */
  readonly handlers: Handler[] = [];
  readonly asked: Asked[] = [];
  /** Parameters of the tails of logs that were opened, first to last. */
  readonly tailsAsked: URLSearchParams[] = [];
  /** When false, upgrades are refused and open sockets are cut. */
  #live = true;

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#server.on("upgrade", (request: IncomingMessage, socket: Duplex) => this.#upgrade(request, socket));
  }

  static async start(...handlers: Handler[]): Promise<Mock> {
    const mock = new Mock();
    mock.handlers.push(...handlers);
    await new Promise<void>((resolve) => mock.#server.listen(0, "127.0.0.1", resolve));
    return mock;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
  get listeners(): number {
    return this.#sockets.size;
  }
  get tails(): number {
    return this.#tails.size;
  }

  push(message: unknown): void {
    for (const socket of this.#sockets) socket.write(frame(JSON.stringify(message)));
  }

  pushTail(message: unknown): void {
    for (const socket of this.#tails) socket.write(frame(JSON.stringify(message)));
  }

  cutTails(): void {
    for (const socket of this.#tails) socket.destroy();
  }

  setLive(live: boolean): void {
    this.#live = live;
    if (!live) for (const socket of [...this.#sockets, ...this.#tails]) socket.destroy();
  }

  async stop(): Promise<void> {
    this.setLive(false);
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", this.url);
    let body = "";
    for await (const part of request) body += String(part);
    const asked: Asked = {
      method: request.method ?? "GET",
      path: url.pathname,
      params: body.startsWith("{") || body === "" ? url.searchParams : new URLSearchParams(body),
      body,
      cookie: request.headers.cookie ?? "",
    };
    if (/^\/(?:api|loki|elasticsearch|jaeger|pyroscope)\//.test(asked.path)) {
      this.asked.push(asked);
      let reply: Reply | undefined;
      // One that answers keeps the later ones from doing anything.
      for (const handler of this.handlers) reply ??= handler(asked);
      send(response, reply ?? { status: 404, body: { error: { code: "not_found", message: `no answer for ${asked.path}` } } });
    } else serveFile(asked.path, response);
  }

  #upgrade(request: IncomingMessage, socket: Duplex): void {
    const url = new URL(request.url ?? "/", this.url);
    const sockets = { "/ws/system": this.#sockets, "/loki/api/v1/tail": this.#tails }[url.pathname];
    if (!this.#live || !sockets) {
      socket.end("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n");
      return;
    }
    const key = String(request.headers["sec-websocket-key"]);
    const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    sockets.add(socket);
    if (sockets === this.#tails) this.tailsAsked.push(url.searchParams);
    const drop = (): void => {
      sockets.delete(socket);
      socket.destroy();
    };
    socket.on("close", drop).on("error", drop);
    // A close frame of the page; nothing else is expected from it.
    socket.on("data", (data: Buffer) => ((data[0] ?? 0) & 0x0f) === 8 && drop());
  }
}

function frame(text: string): Buffer {
  const payload = Buffer.from(text);
  if (payload.length < 126) return Buffer.concat([Buffer.from([0x81, payload.length]), payload]);
  const head = Buffer.alloc(payload.length < 65_536 ? 4 : 10);
  head[0] = 0x81;
  head[1] = payload.length < 65_536 ? 126 : 127;
  if (payload.length < 65_536) head.writeUInt16BE(payload.length, 2);
  else head.writeBigUInt64BE(BigInt(payload.length), 2);
  return Buffer.concat([head, payload]);
}

function send(response: ServerResponse, { status = 200, body, headers = {} }: Reply): void {
  response.writeHead(status, { "content-type": "application/json", "content-security-policy": POLICY, ...headers });
  response.end(typeof body === "string" ? body : JSON.stringify(body));
}

function serveFile(path: string, response: ServerResponse): void {
  const file = join(DIST, path);
  const found = path !== "/" && file.startsWith(DIST) && existsSync(file) ? file : join(DIST, "index.html");
  response.writeHead(200, {
    "content-type": TYPES[extname(found)] ?? "application/octet-stream",
    "content-security-policy": POLICY,
  });
  response.end(readFileSync(found));
}
