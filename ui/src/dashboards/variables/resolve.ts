// From the variables of a board and what the address says of them to their values, each after those that it names. Not the looks of
// their fields, and not the asking itself: that is handed in.
import type { Board, SourceRef, Variable } from "../model/types";
import { interpolate, namesIn, type Scope, type Times, type Value } from "./interpolate";
import { chosen, customOptions, type Question, questionOf, sortedOptions, unique } from "./question";
import { intervalMs, lengthMs, lengthText } from "./time";
import { t } from "../../words/t";

export const ALL = "$__all";
export interface Option {
  value: string;
  text: string;
}
export interface AdhocFilter {
  key: string;
  op: string;
  value: string;
}
export interface Resolved {
  variable: Variable;
  options: Option[];
  /** What is chosen: `$__all`, or values. */
  chosen: string[];
  filters: AdhocFilter[];
  problem: string;
}
export type AskNames = (question: Question, source: SourceRef | undefined, times: Times, signal?: AbortSignal) => Promise<string[]>;
export interface Sources {
  ask: AskNames;
  /** Data sources of a type, by name. */
  ofType: (type: string) => Option[];
}

/** More options than this are not offered: a list of them is no choice. */
export const OPTIONS_MAX = 5000;
const FILTER = /^([^|]*)\|(=|!=|=~|!~|<|>)\|(.*)$/s;

/** Variables in an order in which each stands behind those that it names; circles stay as they stand. */
export function ordered(variables: readonly Variable[]): Variable[] {
  const byName = new Map(variables.map((it) => [it.name, it]));
  const done = new Set<string>();
  const found: Variable[] = [];
  const visit = (it: Variable, path: ReadonlySet<string>): void => {
    if (done.has(it.name) || path.has(it.name)) return;
    const below = new Set([...path, it.name]);
    for (const name of namesIn(`${it.query} ${it.regex} ${it.source?.uid ?? ""}`)) {
      const other = byName.get(name);
      if (other) visit(other, below);
    }
    if (!done.has(it.name)) found.push(it);
    done.add(it.name);
  };
  for (const it of variables) visit(it, new Set());
  return found;
}

export async function resolveAll(board: Board, params: URLSearchParams, times: Times, sources: Sources, signal?: AbortSignal): Promise<Map<string, Resolved>> {
  const found = new Map<string, Resolved>();
  // What the address names and no variable is, is a value all the same: links hand such on.
  for (const variable of ordered(board.variables)) {
    const scope = { values: valuesOf(found, board, params), times };
    found.set(variable.name, await resolve(variable, params.getAll(`var-${variable.name}`), scope, sources, signal));
  }
  return new Map(board.variables.map((it) => [it.name, found.get(it.name)]).filter((it): it is [string, Resolved] => it[1] !== undefined));
}

async function resolve(variable: Variable, given: string[], scope: Scope & { times: Times }, sources: Sources, signal?: AbortSignal): Promise<Resolved> {
  if (variable.kind === "adhoc") return { variable, options: [], chosen: [], filters: filtersOf(variable, given), problem: "" };
  let options: Option[] = [];
  let problem = "";
  try {
    options = unique(await optionsOf(variable, scope, sources, signal));
  } catch (error) {
    if (signal?.aborted) throw error;
    problem = error instanceof Error ? error.message : String(error);
  }
  if (options.length > OPTIONS_MAX) problem = t("the first {0} of {1} values are offered", OPTIONS_MAX, options.length);
  options = options.slice(0, OPTIONS_MAX);
  return { variable, options, chosen: choice(variable, options, given), filters: [], problem };
}

async function optionsOf(variable: Variable, scope: Scope & { times: Times }, { ask, ofType }: Sources, signal?: AbortSignal): Promise<Option[]> {
  switch (variable.kind) {
    case "custom":
      return customOptions(interpolate(variable.query, scope));
    case "interval": {
      const list = customOptions(variable.query);
      return variable.auto ? [{ value: "$__auto_interval_" + variable.name, text: "auto" }, ...list] : list;
    }
    case "datasource":
      return chosen(ofType(variable.query).map((it) => it.text), variable.regex);
    case "query": {
      const question = questionOf(interpolate(variable.query, scope, "prometheus"));
      if (!question) throw new Error(t("the question {0} is not understood", variable.query || "(none)"));
      const source = variable.source?.uid === undefined ? variable.source : { ...variable.source, uid: interpolate(variable.source.uid, scope) };
      const names = await ask(question, source, scope.times, signal);
      return sortedOptions(chosen(names, interpolate(variable.regex, scope)), variable.sort);
    }
    case "switch":
      return [{ value: "true", text: "on" }, { value: "false", text: "off" }];
    default:
      return variable.options;
  }
}

/** What the address says, else what the file says where it is still offered, else all, else the first. */
function choice(variable: Variable, options: readonly Option[], given: string[]): string[] {
  const wanted = [...new Set(given.length > 0 ? given.map((it) => (it === "All" && variable.includeAll ? ALL : it)) : variable.current.value)];
  switch (variable.kind) {
    case "constant":
    case "textbox":
      return given.length > 0 ? given : variable.kind === "textbox" && variable.current.value.length > 0 ? variable.current.value : [variable.query || (variable.current.value[0] ?? "")];
    case "unknown":
      return wanted;
  }
  if (wanted.includes(ALL) && variable.includeAll) return [ALL];
  const offered = new Set(options.map((it) => it.value));
  // A value of the address may have no series just now; it still means what it says.
  const kept = given.length > 0 ? wanted : wanted.filter((it) => offered.has(it));
  if (variable.kind === "datasource" && given.length === 0) {
    const byName = options.find((it) => variable.current.text.includes(it.text));
    if (kept.length === 0 && byName) return [byName.value];
  }
  if (kept.length > 0) return variable.multi ? kept : kept.slice(0, 1);
  if (variable.includeAll && variable.current.value.length === 0) return [ALL];
  return options[0] ? [options[0].value] : variable.includeAll ? [ALL] : [];
}

function filtersOf(variable: Variable, given: string[]): AdhocFilter[] {
  if (given.length > 0) return given.flatMap((it) => (([, key = "", op = "", value = ""]) => (key === "" ? [] : [{ key, op, value }]))(FILTER.exec(it) ?? []));
  const list = Array.isArray(variable.raw["filters"]) ? variable.raw["filters"] : [];
  return list.flatMap((it: Record<string, unknown>) => (typeof it?.["key"] === "string" ? [{ key: it["key"], op: String(it["operator"] ?? "="), value: String(it["value"] ?? "") }] : []));
}

/** The values for texts, once variables are resolved. */
export function valuesOf(resolved: ReadonlyMap<string, Resolved>, board: Board, params?: URLSearchParams): Map<string, Value> {
  const values = new Map<string, Value>();
  for (const [name, input] of board.inputs) values.set(name, plain(typeof input === "string" ? input : (input.type ?? name)));
  for (const [key, value] of params ?? []) if (key.startsWith("var-") && !values.has(key.slice(4))) values.set(key.slice(4), plain(value));
  for (const [name, it] of resolved) values.set(name, valueOf(it));
  return values;
}

function plain(value: string): Value {
  return { values: [value], texts: [value], allText: undefined, several: false };
}

function valueOf({ variable, options, chosen: picked }: Resolved): Value {
  const several = variable.multi || variable.includeAll;
  if (picked.includes(ALL)) return { values: options.map((it) => it.value), texts: ["All"], allText: variable.allValue || undefined, several: true };
  const textOf = new Map(options.map((it) => [it.value, it.text]));
  return { values: picked, texts: picked.map((it) => textOf.get(it) ?? it), allText: undefined, several };
}

/** Intervals that fit the range take the place of "auto", which only the times tell. */
export function withIntervals(values: Map<string, Value>, resolved: ReadonlyMap<string, Resolved>, times: Times): Map<string, Value> {
  for (const [name, { variable, chosen: picked }] of resolved) {
    if (variable.kind !== "interval" || !picked[0]?.startsWith("$__auto_interval")) continue;
    const least = lengthMs(variable.autoMin) ?? 10_000;
    values.set(name, plain(lengthText(intervalMs(times.range, variable.autoCount, least))));
  }
  return values;
}

/** Variables as the address carries them. */
export function paramsOf(resolved: ReadonlyMap<string, Resolved>): [string, string][] {
  return [...resolved].flatMap(([name, { variable, chosen: picked, filters }]): [string, string][] => {
    if (variable.kind === "adhoc") return filters.map(({ key, op, value }) => [`var-${name}`, `${key}|${op}|${value}`]);
    return picked.map((it) => [`var-${name}`, it]);
  });
}
