// The tests: pure functions under plain Node ("unit"), and the built page in a real Chromium ("browser"); what the page costs ("bench", by name only).
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";
import { phrases, words } from "./build/words.ts";

export default defineConfig({
  plugins: [svelte({ preprocess: phrases() }), words()],
  test: {
    projects: [
      {
        extends: true,
        test: { name: "unit", include: ["src/**/*.test.ts"], environment: "node", testTimeout: 60_000 },
      },
      {
        extends: true,
        test: {
          name: "browser",
          include: ["tests/**/*.test.ts"],
          environment: "node",
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // A page changes when it gets to it: what is expected of it is looked at until it is so.
          expect: { poll: { timeout: 20_000 } },
          // Once more for what only chance broke; the report says `retry`.
          retry: 1,
        },
      },
      {
        extends: true,
        test: { name: "bench", include: ["bench/**/*.bench.ts"], environment: "node", fileParallelism: false },
      },
    ],
  },
});
