// A real server for a browser test: the binary that WATCHFIRE_BIN names, with a data directory of its own. Not the tests.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./browser.ts";

export const BINARY = process.env["WATCHFIRE_BIN"];
if (!BINARY) console.error("SKIPPED: the tests of the page on the real server need WATCHFIRE_BIN, the path of the binary");

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

/** A real server with an empty data directory, which is removed when it stops. */
export class Watchfire {
  readonly folder = mkdtempSync(join(tmpdir(), "watchfire-real-"));
  address = "";
  #process: ChildProcess | undefined;

  async start(configuration?: (folder: string) => string): Promise<void> {
    const port = await freePort();
    this.address = `http://127.0.0.1:${port}`;
    const args = ["serve", "--listen", `127.0.0.1:${port}`, "--data-dir", join(this.folder, "data")];
    if (configuration) {
      const file = join(this.folder, "watchfire.yml");
      // Commands are taken only from a file that nobody else may write.
      writeFileSync(file, configuration(this.folder), { mode: 0o600 });
      args.push("--config", file);
    }
    let said = "";
    const process = spawn(BINARY ?? "", args, { cwd: this.folder });
    this.#process = process;
    process.stdout.on("data", (data) => (said += String(data)));
    process.stderr.on("data", (data) => (said += String(data)));
    const ready = async (): Promise<boolean> => {
      if (process.exitCode !== null) throw new Error(`the server ended with ${process.exitCode}: ${said}`);
      return fetch(`${this.address}/health`).then((it) => it.ok, () => false);
    };
    await until("the server", ready, (it) => it, 30_000);
  }

  async stop(): Promise<void> {
    const process = this.#process;
    process?.kill("SIGTERM");
    if (process && process.exitCode === null) await new Promise((resolve) => process.once("exit", resolve));
    rmSync(this.folder, { recursive: true, force: true });
  }
}
