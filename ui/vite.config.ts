// The build: one page and its lazy parts into dist/, with precompressed copies and the notices of the packages it ships.
// Not the tests: those are vitest.config.ts.
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";
import { notices } from "./build/notices.ts";
import { precompress } from "./build/precompress.ts";

const server = process.env["WATCHFIRE_URL"] ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [svelte(), notices(), precompress()],
  build: {
    target: "es2022",
    // The content security policy allows no data: addresses, so nothing is inlined.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    proxy: {
      "/api": server,
      "/-": server,
      "/health": server,
      "/ws": { target: server, ws: true },
    },
  },
});
