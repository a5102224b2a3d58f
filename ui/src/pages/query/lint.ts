// What is odd about a query that can be computed all the same: functions over metrics of another type, names and labels that nothing has.
// Not errors, which the server says.
import { type Metadata, metadataOf } from "../../api/prometheus";
import { isSelector, matchersOf, type Node, nameOf, selectorsIn, textsIn, walk } from "./tree";
import { t } from "../../words/t";

export interface Knowledge {
  /** Names of all metrics; none where they could not be had. */
  names: ReadonlySet<string>;
  metadata: ReadonlyMap<string, Metadata>;
  /** The labels of each metric of the query, as far as they are known. */
  labels: ReadonlyMap<string, readonly string[]>;
}
const OF_COUNTERS: ReadonlySet<string> = new Set(["rate", "irate", "increase", "resets"]);
const OF_GAUGES: ReadonlySet<string> = new Set(["delta", "idelta", "deriv", "predict_linear", "double_exponential_smoothing"]);
/** What asks for counters as such, not for how far they are. */
const OF_ANY = /^(absent|absent_over_time|present_over_time|count_over_time|changes|timestamp|start_timestamp|ts_of_\w+|count|group|count_values|info|scalar|label_replace|label_join)$/;
const MAKES_LABELS = /^(label_replace|label_join|info|count_values|histogram_quantiles)$/;

export function lint(tree: Node, known: Knowledge): string[] {
  const found = new Set<string>();
  walk(tree, (node, above) => {
    if (isSelector(node)) selector(node, above, known, found);
    else if (node.type === "aggregation") grouping(node, known, found);
    else if (node.type === "binaryExpr") matching(node, known, found);
    else if (node.type === "call" && nameOf(node) === "histogram_quantile") bounds(node, found);
    else if (node.type === "subquery") sums(node, above, found);
  });
  return [...found];
}

/** A counter, as its type or, where that is not known, its name says; nothing where neither does. */
function isCounter(name: string, metadata: ReadonlyMap<string, Metadata>): boolean | undefined {
  const type = metadataOf(metadata, name)?.type ?? "unknown";
  if (type === "counter") return true;
  if (type === "histogram" || type === "summary") return /_(bucket|sum|count)$/.test(name) || (type === "histogram" ? undefined : false);
  if (type === "gauge" || type === "info" || type === "stateset") return false;
  return name.endsWith("_total") ? true : undefined;
}

function selector(node: Node, above: readonly Node[], { names, metadata, labels }: Knowledge, found: Set<string>): void {
  const name = String(node["name"] ?? "");
  if (name === "") return;
  if (names.size > 0 && !names.has(name)) {
    // Native histograms have no series of these names, and rules may be about to make one.
    found.add(t("No metric is called {0}.", name));
    return;
  }
  const counter = isCounter(name, metadata);
  const functions = above.filter((it) => it.type === "call" || it.type === "aggregation").map(nameOf);
  const own = functions.at(-1) ?? "";
  if (node.type === "matrixSelector" && counter === false && OF_COUNTERS.has(own)) found.add(t("{0}() is for counters, and {1} is a {2}: delta() or deriv() tell how it changes.", own, name, metadataOf(metadata, name)?.type ?? "gauge"));
  if (node.type === "matrixSelector" && counter === true && OF_GAUGES.has(own)) found.add(t("{0}() is for gauges, and {1} is a counter: rate() or increase() know when it began anew.", own, name));
  if (node.type === "vectorSelector" && counter === true && !functions.some((it) => OF_ANY.test(it) || OF_COUNTERS.has(it)) && !presence(node, above)) found.add(t("{0} is a counter, which only grows: rate({1}[5m]) tells how fast.", name, name));
  const has = labels.get(name);
  if (!has || has.length === 0) return;
  for (const { name: label, type, value } of matchersOf(node)) {
    // What a series lacks is empty, and asking for that is sound.
    if (label !== "__name__" && !has.includes(label) && (type === "=" ? value !== "" : type === "=~" ? !emptyFits(value) : false)) found.add(t("{0} has no label {1}: {2}.", name, label, listed(has)));
  }
}

/** Right of "and" and "unless" only labels count. */
function presence(node: Node, above: readonly Node[]): boolean {
  return above.some((it, at) => it.type === "binaryExpr" && /^(and|unless)$/.test(nameOf(it)) && it["rhs"] === (above[at + 1] ?? node));
}

function emptyFits(pattern: string): boolean {
  try {
    return new RegExp(`^(?:${pattern})$`).test("");
  } catch {
    return true;
  }
}

const listed = (labels: readonly string[]): string => {
  const own = labels.filter((it) => it !== "__name__");
  return own.length === 0 ? t("it has none") : t("it has {0}{1}", own.slice(0, 8).join(", "), own.length > 8 ? ", …" : "");
};

/** The labels of everything below, where all of them are known and nothing makes new ones. */
function labelsBelow(node: Node, { labels }: Knowledge): string[] | undefined {
  const names = selectorsIn(node).map((it) => String(it["name"] ?? ""));
  let made = names.length === 0;
  walk(node, (it) => {
    if (MAKES_LABELS.test(nameOf(it)) || nameOf(it) === "vector") made = true;
  });
  const all = names.map((it) => labels.get(it));
  if (made || all.some((it) => !it || it.length === 0)) return undefined;
  return [...new Set(all.flatMap((it) => it ?? []))];
}

function lacking(wanted: readonly string[], node: Node, known: Knowledge, words: string, found: Set<string>): void {
  const has = labelsBelow(node, known);
  if (has) for (const it of wanted) if (!has.includes(it) && it !== "__name__") found.add(t("{0} {1}, a label that no series has there.", words, it));
}

function grouping(node: Node, known: Knowledge, found: Set<string>): void {
  lacking(textsIn(node["grouping"]), node, known, `${nameOf(node)} ${node["without"] === true ? t("drops") : t("groups by")}`, found);
}

function matching(node: Node, known: Knowledge, found: Set<string>): void {
  const by = node["matching"];
  if (typeof by !== "object" || by === null || (by as Node)["on"] !== true) return;
  for (const side of ["lhs", "rhs"]) lacking(textsIn((by as Node)["labels"]), node[side] as Node, known, t("The sides are matched on"), found);
}

/** Quantiles of classic histograms come from their buckets, which a sum without "le" has thrown together. */
function bounds(node: Node, found: Set<string>): void {
  const inner = Array.isArray(node["args"]) ? (node["args"][1] as Node | undefined) : undefined;
  if (!inner || !selectorsIn(inner).some((it) => String(it["name"]).endsWith("_bucket"))) return;
  walk(inner, (it) => {
    if (it.type !== "aggregation" || /^(topk|bottomk|limitk|limit_ratio)$/.test(nameOf(it))) return;
    const le = textsIn(it["grouping"]).includes("le");
    if ((it["without"] === true) === le) found.add(t("histogram_quantile() needs the label le of the buckets, and {0} drops it: group by le as well.", nameOf(it)));
  });
}

function sums(node: Node, above: readonly Node[], found: Set<string>): void {
  const own = above.at(-1);
  if (!own || !OF_COUNTERS.has(nameOf(own)) || (node["expr"] as Node).type !== "aggregation") return;
  const inner = nameOf(node["expr"] as Node);
  found.add(t("{0}() of a {1} takes each counter that begins anew for a fall of the whole: {2}({3}(…)) does not.", nameOf(own), inner, inner, nameOf(own)));
}
