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
    // A page's own file is asked for anyway, and the runtime is there already: only styles and what pages share are worth naming.
    modulePreload: {
      polyfill: false,
      resolveDependencies: (_, names, { hostType }) => (hostType === "js" ? names.filter((it) => /\.css$|\/(shared|draw)-/.test(it)) : names),
    },
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        // What several pages need is one file: the first page names every file of the others, and each name is bytes that it sends.
        codeSplitting: { groups: [{ name: "shared", test: /\/src\/(parts|pages|api\/(dlq|doctor|rules))\b/, minShareCount: 2 }], includeDependenciesRecursively: false },
      },
    },
  },
  server: {
    proxy: {
      "/api": server,
      "/-": server,
      "/health": server,
      "/loki": { target: server, ws: true },
      "/elasticsearch": server,
      "/jaeger": server,
      "/pyroscope": server,
      "/ws": { target: server, ws: true },
    },
  },
});
