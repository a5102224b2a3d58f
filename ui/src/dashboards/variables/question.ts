// What a variable's question to Prometheus or Loki asks for, out of its text. Not the asking.

export type Question =
  | { kind: "labelNames"; match: string }
  | { kind: "labelValues"; label: string; match: string }
  | { kind: "metrics"; pattern: string }
  | { kind: "result"; expr: string }
  | { kind: "series"; match: string };

export function questionOf(text: string): Question | undefined {
  const plain = text.trim();
  if (plain === "") return undefined;
  const names = /^label_names\((.*)\)$/s.exec(plain);
  if (names) return { kind: "labelNames", match: (names[1] ?? "").trim() };
  const values = /^label_values\((.*)\)$/s.exec(plain);
  if (values) {
    // The label stands behind the last comma that is outside of braces and quotes.
    const inner = (values[1] ?? "").trim();
    const at = lastComma(inner);
    const label = inner.slice(at + 1).trim();
    if (!/^[\w.:"-]+$/.test(label)) return undefined;
    return { kind: "labelValues", label: label.replace(/^"(.*)"$/, "$1"), match: at < 0 ? "" : inner.slice(0, at).trim() };
  }
  const metrics = /^metrics\((.*)\)$/s.exec(plain);
  if (metrics) return { kind: "metrics", pattern: (metrics[1] ?? "").trim() };
  const result = /^query_result\((.*)\)\s*$/s.exec(plain);
  if (result) return { kind: "result", expr: (result[1] ?? "").trim() };
  return { kind: "series", match: plain };
}

function lastComma(text: string): number {
  let [depth, found, quote] = [0, -1, ""];
  for (let index = 0; index < text.length; index += 1) {
    const letter = text.charAt(index);
    if (quote !== "") {
      if (letter === "\\") index += 1;
      else if (letter === quote) quote = "";
    } else if (letter === '"' || letter === "'" || letter === "`") quote = letter;
    else if ("{([".includes(letter)) depth += 1;
    else if ("})]".includes(letter)) depth -= 1;
    else if (letter === "," && depth === 0) found = index;
  }
  return found;
}

/** What a regular expression of a variable makes of what was found: the whole, its first group, or the groups `value` and `text`. */
export function chosen(found: readonly string[], regex: string): { value: string; text: string }[] {
  if (regex.trim() === "") return unique(found.map((it) => ({ value: it, text: it })));
  const parsed = /^\/(.*)\/([gimsuy]*)$/s.exec(regex.trim());
  let pattern: RegExp;
  try {
    pattern = new RegExp(parsed ? (parsed[1] ?? "") : regex.trim(), (parsed?.[2] ?? "").replace(/[gy]/g, "") + "g");
  } catch {
    return [];
  }
  return unique(
    found.flatMap((it) => {
      const matches = [...it.matchAll(pattern)];
      const first = matches[0];
      if (!first) return [];
      const named = (name: string): string | undefined => matches.map((match) => match.groups?.[name]).find((group) => group !== undefined);
      const [value, words] = [named("value"), named("text")];
      if (value !== undefined || words !== undefined) return [{ value: value ?? words ?? "", text: words ?? value ?? "" }];
      if (first.length > 1) return matches.flatMap((match) => (match[1] === undefined ? [] : [{ value: match[1], text: match[1] }]));
      return [{ value: it, text: it }];
    }),
  );
}

/** Each value once: the first of those that are alike. */
export function unique<T extends { value: string }>(list: readonly T[]): T[] {
  const seen = new Set<string>();
  return list.filter(({ value }) => !seen.has(value) && seen.add(value));
}

/** Grafana's eight orders: none, then by alphabet, number, alphabet without case, each up and down; 7 and 8 are natural. */
export function sortedOptions<T extends { text: string }>(options: readonly T[], order: number): T[] {
  if (order <= 0 || order > 8) return [...options];
  const numberIn = (text: string): number => Number(/\d+(\.\d+)?/.exec(text)?.[0] ?? -1);
  const kind = Math.ceil(order / 2);
  const compare = (a: T, b: T): number => {
    if (kind === 1) return a.text < b.text ? -1 : a.text > b.text ? 1 : 0;
    if (kind === 2) return numberIn(a.text) - numberIn(b.text);
    return a.text.localeCompare(b.text, undefined, { sensitivity: "base", numeric: kind === 4 });
  };
  const sign = order % 2 === 1 ? 1 : -1;
  return [...options].sort((a, b) => sign * compare(a, b));
}

/** "a, b : c, d" of custom variables; a backslash keeps a comma; JSON lists are taken too. */
export function customOptions(text: string): { value: string; text: string }[] {
  const parts = text.match(/(?:\\,|[^,])+/g) ?? [];
  return parts.flatMap((it) => {
    const plain = it.replace(/\\,/g, ",").trim();
    if (plain === "") return [];
    const pair = /^(.+)\s:\s(.+)$/.exec(plain);
    return [pair ? { text: (pair[1] ?? "").trim(), value: (pair[2] ?? "").trim() } : { text: plain, value: plain }];
  });
}
