// A Vite plugin that names the page's own files in index.html, so that they are asked for at once and not only when the entry, which waits
// for the reader's words, asks for them. Not what comes with other pages.
import type { Plugin } from "vite";

const START = /\/src\/app\/start\.ts$/;

export function ahead(): Plugin {
  return {
    name: "watchfire-ahead",
    apply: "build",
    transformIndexHtml: {
      order: "post",
      handler(html, { bundle = {} }) {
        const chunks = Object.values(bundle).filter((it) => it.type === "chunk");
        const start = chunks.find((it) => it.moduleIds.some((id) => START.test(id)));
        if (!start) throw new Error("cannot name the page's own files: no chunk is src/app/start.ts");
        const needed = [start.fileName, ...start.imports].filter((it) => !html.includes(it));
        const styles = [...(start.viteMetadata?.importedCss ?? [])].filter((it) => !html.includes(it));
        return [
          ...needed.map((it) => ({ tag: "link", attrs: { rel: "modulepreload", crossorigin: true, href: `/${it}` }, injectTo: "head" as const })),
          ...styles.map((it) => ({ tag: "link", attrs: { rel: "stylesheet", crossorigin: true, href: `/${it}` }, injectTo: "head" as const })),
        ];
      },
    },
  };
}
