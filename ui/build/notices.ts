// A Vite plugin that writes third-party-notices.txt: name, version and licence text of every package that ended up in the
// bundle, found from the bundle itself. Not a licence check: a package without a licence file fails the build, that is all.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

export function notices(): Plugin {
  return {
    name: "watchfire-notices",
    apply: "build",
    generateBundle(_options, bundle) {
      const folders = new Set<string>();
      for (const part of Object.values(bundle)) {
        if (part.type !== "chunk") continue;
        for (const id of Object.keys(part.modules)) {
          const folder = packageFolder(id);
          if (folder) folders.add(folder);
        }
      }
      const texts = [...folders].map(notice).sort();
      this.emitFile({ type: "asset", fileName: "third-party-notices.txt", source: texts.join("\n\n") });
    },
  };
}

function packageFolder(id: string): string | undefined {
  const match = /^\0?(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id);
  return match?.[1];
}

function notice(folder: string): string {
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Record<string, unknown>;
  const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
  const text = file && existsSync(join(folder, file)) ? readFileSync(join(folder, file), "utf8").trim() : undefined;
  if (!text) throw new Error(`cannot find the licence text of ${String(manifest["name"])}`);
  return `${String(manifest["name"])} ${String(manifest["version"])} (${String(manifest["license"])})\n\n${text}`;
}
