// The build: one page and its lazy parts into dist/, with precompressed copies and the notices of the packages it ships.
// Not the tests: those are vitest.config.ts.
import { fileURLToPath } from "node:url";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";
import { ahead } from "./build/ahead.ts";
import { lean } from "./build/lean.ts";
import { notices } from "./build/notices.ts";
import { precompress } from "./build/precompress.ts";
import { shortened } from "./build/shorten.ts";
import { phrases, words } from "./build/words.ts";

const server = process.env["WATCHFIRE_URL"] ?? "http://127.0.0.1:8000";

const [ENTRY, START] = ["main.ts", "app/start.ts"].map((it) => fileURLToPath(new URL(`src/${it}`, import.meta.url))) as [string, string];
interface Graph {
  getModuleInfo: (id: string) => { importedIds: readonly string[] } | null;
}

/** A file and everything that it needs before it runs. */
function within(graph: Graph, start: string): Set<string> {
  const found = new Set([start]);
  for (const id of found) for (const needed of graph.getModuleInfo(id)?.importedIds ?? []) found.add(needed);
  return found;
}

const FIRST_APIS = "request|system|fields|prometheus|auth|poll|answers";
const FIRST_PAGES = "Status|NotFound|registry";
// Few files pack better than many, and each name of a file is bytes that the first page sends.
const FILES = [
  // The first page, but for what loads the reader's words before it.
  { name: (id: string, graph: Graph) => (within(graph, START).has(id) && !within(graph, ENTRY).has(id) ? "start" : null), priority: 1 },
  // Styles of all other pages are much alike: together they take 4 KB less than apart.
  { name: "styles", test: /[?&]type=style|\/(charts|dashboards)\/.*\.css$/ },
  // What draws dashboards, and their pages: its parts are asked for together.
  { name: "boards", test: /\/src\/(dashboards\/(?!panels\/timeseries\/plot|model\/values)|reactivity\/map|parts\/download|pages\/Dashboards?Page)/ },
  // What dashboards show of signals, too.
  { name: "shared", test: /\/src\/(pages\/(logs|traces|profiles|query|explore)\/|dashboards\/model\/values|api\/(elasticsearch|jaeger|loki|pyroscope))/, minShareCount: 2 },
  // What somebody looks for signals with.
  { name: "signals", test: /\/src\/(pages\/((Logs|Traces|Profiles)Page|(logs|traces|profiles)\/)|api\/(elasticsearch|jaeger|loki|pyroscope))/ },
  // The pages that are not large by themselves, and what only they ask: who opens one opens others.
  { name: "rooms", test: new RegExp(`/src/(charts/ExemplarStrip|api/(cameras|targets|services|telemetry)|pages/(?!${FIRST_PAGES}|Overview|overview))`) },
  // What several pages need, but what the first page has anyway.
  { name: "shared", test: new RegExp(`/src/(parts/|charts/exemplars|pages/|api/(?!${FIRST_APIS}))`), minShareCount: 2 },
];

// What the bundler itself still does to a program: build/shorten.ts does the rest before.
const WHITE_SPACE = { compress: false, mangle: false, codegen: { removeWhitespace: true } };

export default defineConfig({
  plugins: [lean(), svelte({ preprocess: phrases() }), words(), ahead(), notices(), shortened(), precompress()],
  build: {
    target: "es2022",
    // The content security policy allows no data: addresses, so nothing is inlined.
    assetsInlineLimit: 0,
    // A page's own file is asked for anyway, and the runtime is there already: only styles and what pages share are worth naming.
    modulePreload: {
      polyfill: false,
      resolveDependencies: (_, names, { hostType }) => (hostType === "js" ? names.filter((it) => /\.css$|\/(shared|boards|draw)-/.test(it)) : names),
    },
    minify: false,
    cssMinify: true,
    reportCompressedSize: false,
    rolldownOptions: {
      // Constants of other files stand where they are used, so that what they rule out goes: build/lean.ts.
      optimization: { inlineConst: { mode: "all", pass: 3 } },
      output: {
        minify: WHITE_SPACE,
        codeSplitting: { groups: FILES, includeDependenciesRecursively: false },
      },
    },
  },
  worker: { format: "es", plugins: () => [shortened()], rolldownOptions: { output: { minify: WHITE_SPACE } } },
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
