// Conditions on labels as `{severity="critical", team=~"a|b"}`. Not a query.
import { patternOf } from "../../fields/display";

export function filterOf(given: string): (labels: Record<string, string>) => boolean {
  const conditions = [...given.matchAll(/([\w.]+)\s*(=~|!~|!=|=)\s*"((?:\\.|[^"\\])*)"/g)].map((it) => ({ name: it[1] ?? "", op: it[2] ?? "", value: (it[3] ?? "").replace(/\\(.)/g, "$1") }));
  return (labels) =>
    conditions.every(({ name, op, value }) => {
      const label = labels[name] ?? "";
      const same = op.includes("~") ? (patternOf(`^(?:${value})$`)?.test(label) ?? false) : label === value;
      return op.startsWith("!") ? !same : same;
    });
}
