// A Vite plugin that lays a .gz and a .br copy beside every text file of dist/, so that the server never compresses.
// Not a decision about what is served: the server chooses by Accept-Encoding.
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import type { Plugin } from "vite";

const COMPRESSIBLE = /\.(html|js|css|svg|txt|json)$/;
/** Below this a compressed copy saves less than one packet. */
const BYTES_MIN = 512;

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
  if (plain.length < BYTES_MIN) return;
  const gzipped = gzipSync(plain, { level: 9 });
  // Byte 9 of a gzip header names the operating system; 255 (unknown) keeps the build equal everywhere.
  gzipped[9] = 255;
  await writeFile(`${path}.gz`, gzipped);
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length };
  await writeFile(`${path}.br`, brotliCompressSync(plain, { params }));
}
