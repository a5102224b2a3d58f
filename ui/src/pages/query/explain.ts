// A query in plain words, as a tree: what each part gives, of what. Not what is odd about it (lint.ts).
import { type Metadata, metadataOf } from "../../api/prometheus";
import { isRecord } from "../../api/request";
import { duration } from "../../units/format";
import { wordOf } from "./functions";
import { childrenOf, matchersOf, type Node, nameOf, nodeOf, textsIn } from "./tree";
import { t } from "../../words/t";

export interface Said {
  words: string;
  of: Said[];
}
const MATCHES: Record<string, string> = { "=": t("is"), "!=": t("is not"), "=~": t("fits"), "!~": t("does not fit") };
const OPERATORS: Record<string, string> = { "+": t("the sum of two sides"), "-": t("the left side less the right"), "*": t("the product of two sides"), "/": t("the left side divided by the right"), "%": t("the remainder of the left side divided by the right"), "^": t("the left side to the power of the right"), and: t("the left side where the right has such series, too"), or: t("the left side, and what only the right has"), unless: t("the left side where the right has no such series"), atan2: t("the arc tangent of two sides") };
const COMPARED: Record<string, string> = { "==": t("equals"), "!=": t("differs from"), ">": t("is above"), "<": t("is below"), ">=": t("is at least"), "<=": t("is at most") };

export function explain(node: Node, metadata: ReadonlyMap<string, Metadata>): Said {
  const of = (): Said[] => childrenOf(node).map((it) => explain(it, metadata));
  switch (node.type) {
    case "numberLiteral":
      return { words: t("the number {0}", String(node["val"])), of: [] };
    case "stringLiteral":
      return { words: t("the text {0}", JSON.stringify(node["val"])), of: [] };
    case "parenExpr": {
      const inner = nodeOf(node["expr"]);
      return inner ? explain(inner, metadata) : { words: "", of: [] };
    }
    case "unaryExpr":
      return { words: node["op"] === "-" ? t("with the other sign") : t("as it is"), of: of() };
    case "vectorSelector":
      return { words: t("the newest value of {0}{1}", series(node, metadata), when(node)), of: [] };
    case "matrixSelector":
      return { words: t("the samples of the last {0} of {1}{2}", span(node["range"]), series(node, metadata), when(node)), of: [] };
    case "subquery":
      return { words: t("this, computed {0} over the last {1}{2}", Number(node["step"]) > 0 ? t("every {0}", span(node["step"])) : t("again and again"), span(node["range"]), when(node)), of: of() };
    case "call":
      return { words: `${nameOf(node)}: ${wordOf(nameOf(node))?.words ?? t("a function")}`, of: of() };
    case "aggregation":
      return { words: `${nameOf(node)}: ${wordOf(nameOf(node))?.words ?? t("an aggregation")}, ${groups(node)}`, of: of() };
    case "binaryExpr":
      return { words: binary(node), of: of() };
    default:
      return { words: node.type, of: of() };
  }
}

const span = (ms: unknown): string => (Number(ms) > 0 ? duration(Number(ms) / 1000) : t("time that the query's step tells"));

function series(node: Node, metadata: ReadonlyMap<string, Metadata>): string {
  const name = String(node["name"] ?? "");
  const matchers = matchersOf(node).filter((it) => it.name !== "__name__" || name === "").map(({ name: label, type, value }) => `${label === "__name__" ? t("the name") : label} ${MATCHES[type] ?? type} ${JSON.stringify(value)}`);
  const help = metadataOf(metadata, name)?.help ?? "";
  return `${name === "" ? t("all series") : name}${help === "" ? "" : ` (${help.replace(/\.$/, "")})`}${matchers.length === 0 ? "" : t(" where {0}", matchers.join(t(" and ")))}`;
}

function when(node: Node): string {
  const offset = Number(node["offset"] ?? 0);
  const moved = offset === 0 ? "" : `, ${duration(Math.abs(offset) / 1000)} ${offset > 0 ? t("before") : t("later")}`;
  const { timestamp, startOrEnd } = node;
  return `${moved}${typeof timestamp === "number" ? t(", at {0}", new Date(timestamp).toISOString()) : startOrEnd ? t(", at the {0} of the range", String(startOrEnd)) : ""}`;
}

function groups(node: Node): string {
  const labels = textsIn(node["grouping"]).join(", ");
  if (node["without"] === true) return labels === "" ? t("for each series") : t("over {0}, for each of the other labels", labels);
  return labels === "" ? t("of all together") : t("for each {0}", labels);
}

function binary(node: Node): string {
  const op = nameOf(node);
  const by = isRecord(node["matching"]) ? node["matching"] : undefined;
  const labels = textsIn(by?.["labels"]).join(", ");
  const matched = by && (labels !== "" || by["on"] === true) ? (by["on"] === true ? t(", matched by {0}", labels || t("nothing: all with all")) : t(", matched by all labels but {0}", labels)) : "";
  const many = by?.["card"] === "many-to-one" ? t(", many on the left for one on the right") : by?.["card"] === "one-to-many" ? t(", many on the right for one on the left") : "";
  const words = COMPARED[op] ? (node["bool"] === true ? t("1 where the left side {0} the right, else 0", COMPARED[op]) : t("the left side where it {0} the right", COMPARED[op])) : (OPERATORS[op] ?? op);
  return words + matched + many;
}
