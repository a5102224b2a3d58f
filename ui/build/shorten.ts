// A Vite plugin that writes each program as short as two minifiers make it: what the bundler's own leaves, terser shortens further
// (docs/decisions/0035). Not the choice of what goes into which file.
import { minify as shorten } from "rolldown/utils";
import { minify as shortenMore } from "terser";
import type { Plugin } from "vite";

export function shortened(): Plugin {
  return {
    name: "watchfire-shortened",
    apply: "build",
    renderChunk: {
      // Last, but before files are named after what is in them.
      order: "post",
      async handler(code, chunk) {
        const first = await shorten(chunk.fileName, code, { module: true, compress: { target: "es2022" }, mangle: { toplevel: true }, codegen: { removeWhitespace: true } });
        if (first.errors.length > 0) throw new Error(`cannot shorten ${chunk.fileName}: ${String(first.errors[0]?.message)}`);
        const { code: made } = await shortenMore(first.code, { module: true, ecma: 2020, compress: { passes: 3, unsafe_arrows: true }, format: { comments: false } });
        if (made === undefined) throw new Error(`cannot shorten ${chunk.fileName}`);
        return { code: made, map: null };
      },
    },
  };
}
