// A Vite plugin that lays a .gz copy beside every text file of dist/: that is what the server carries and sends, so it is packed as small
// as the format allows (docs/decisions/0035). Not a decision about what is served: the server unpacks for whoever does not take it.
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipAsync } from "@gfx/zopfli";
import type { Plugin } from "vite";

const COMPRESSIBLE = /\.(html|js|css|svg|txt|json|words)$/;
/** Below this a compressed copy saves less than one packet; the server carries programs and styles packed only. */
const BYTES_MIN = 512;
const ALWAYS = /\.(js|css|words)$/;
/** More of them take longer and save less than one byte in a thousand. */
const ITERATIONS = 30;

export function precompress(): Plugin {
  let folder = "";
  return {
    name: "watchfire-precompress",
    apply: "build",
    configResolved(config) {
      folder = config.build.outDir;
    },
    async closeBundle() {
      for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
        if (entry.isFile() && COMPRESSIBLE.test(entry.name)) await compress(join(entry.parentPath, entry.name));
      }
    },
  };
}

async function compress(path: string): Promise<void> {
  const plain = await readFile(path);
  if (plain.length < BYTES_MIN && !ALWAYS.test(path)) return;
  const gzipped = await gzipAsync(plain, { numiterations: ITERATIONS });
  // Byte 9 of a gzip header names the operating system; 255 (unknown) keeps the build equal everywhere.
  gzipped[9] = 255;
  await writeFile(`${path}.gz`, gzipped);
}
