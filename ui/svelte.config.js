// What the Svelte compiler is told. Not the build: that is vite.config.ts.
import { readdirSync } from "node:fs";

// A class that scopes a component's styles stands many times in the programs: its number is shorter than its hash.
const components = readdirSync(new URL("src", import.meta.url), { recursive: true }).map((it) => `src/${String(it).replaceAll("\\", "/")}`).filter((it) => it.endsWith(".svelte")).sort();

function cssHash({ filename }) {
  const number = components.findIndex((it) => filename.replaceAll("\\", "/").endsWith(it));
  if (number < 0) throw new Error(`cannot number the styles of ${filename}: it is not below src`);
  return `S${number.toString(36)}`;
}

export default { compilerOptions: { runes: true, fragments: "tree", cssHash } };
