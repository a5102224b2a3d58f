// The tree of a query as /api/v1/parse_query gives it, walked. Not what is said of it (lint.ts, explain.ts).
import { isRecord } from "../../api/request";

export interface Matcher {
  name: string;
  type: string;
  value: string;
}
/** A node; what it has beside its type depends on that. */
export type Node = Record<string, unknown> & { type: string };

export function nodeOf(value: unknown): Node | undefined {
  return isRecord(value) && typeof value["type"] === "string" ? (value as Node) : undefined;
}

export function childrenOf(node: Node): Node[] {
  const list = [node["param"], node["expr"], node["lhs"], node["rhs"], ...(Array.isArray(node["args"]) ? node["args"] : [])];
  return list.flatMap((it) => nodeOf(it) ?? []);
}

export function matchersOf(node: Node): Matcher[] {
  const list = Array.isArray(node["matchers"]) ? node["matchers"].filter(isRecord) : [];
  return list.map((it) => ({ name: String(it["name"]), type: String(it["type"]), value: String(it["value"]) }));
}

export const textsIn = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);
export const isSelector = ({ type }: Node): boolean => type === "vectorSelector" || type === "matrixSelector";
/** The function of a call, or the operator. */
export const nameOf = (node: Node): string => (isRecord(node["func"]) ? String(node["func"]["name"]) : String(node["op"] ?? node["name"] ?? ""));

/** Every node with those above it, outer first. */
export function walk(node: Node, visit: (node: Node, above: readonly Node[]) => void, above: readonly Node[] = []): void {
  visit(node, above);
  for (const it of childrenOf(node)) walk(it, visit, [...above, node]);
}

/** The selectors below a node. */
export function selectorsIn(node: Node): Node[] {
  const found: Node[] = [];
  walk(node, (it) => {
    if (isSelector(it)) found.push(it);
  });
  return found;
}
