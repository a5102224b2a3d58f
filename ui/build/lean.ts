// A Vite plugin that builds Svelte's runtime and components without hydration, which a page without a server's rendering never does, and
// uPlot without its legend, which this page draws itself. Not a change of what they do otherwise: where one of the places that it changes is
// not there, the build fails.
import type { Plugin } from "vite";

const COMPONENT = /\.svelte$/;
/** What stands in a package's file, and what it is in this page: then whatever only that asks for goes as well. */
const CHANGES: readonly (readonly [file: RegExp, changes: readonly (readonly [RegExp, string])[]])[] = [
  [/\/svelte\/src\/internal\/client\/dom\/hydration\.js$/, [
    [/export let hydrating = false;/, "export const hydrating = false;"],
    [/hydrating = value;/, ""],
  ]],
  [/\/uplot\/dist\/uPlot\.esm\.js$/, [
    [/const showLegend = legend\.show;/, "const showLegend = false;"],
    [/legend\.show && legend\.live/, "false"],
    [/uPlot\.join = join;/, ""],
  ]],
];
/** What components of the older kind ask for the parts that they are given by. None of ours does. */
const SLOTS = /,?\s*\$\$slots: \{[^{}]*\}/g;
/** Calls in components that do nothing but while hydrating. Each stands on a line of its own. */
const CALLS = /^\s*\$\.(?:reset\(\w+\)|next\(\d*\)|remove_input_defaults\(\w+\)|remove_textarea_child\(\w+\)|replay_events\(\w+\));$/gm;

export function lean(): Plugin {
  return {
    name: "watchfire-lean",
    apply: "build",
    enforce: "post",
    transform(code, id) {
      if (COMPONENT.test(id)) return { code: code.replace(CALLS, "").replace(SLOTS, ""), map: null };
      const changes = CHANGES.find(([file]) => file.test(id))?.[1];
      if (!changes) return undefined;
      let made = code;
      for (const [from, to] of changes) {
        if (!from.test(made)) throw new Error(`cannot leave something out: ${from} is not in ${id}`);
        made = made.replace(from, to);
      }
      return { code: made, map: null };
    },
  };
}
