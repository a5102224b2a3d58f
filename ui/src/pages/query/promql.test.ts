// What is completed, found odd and explained of PromQL, on trees as the server gives them. Not the field.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { metadataOf } from "../../api/prometheus";
import { calledAt, completed, fitting, offersFor, type Place, placeAt } from "./complete";
import { explain, type Said } from "./explain";
import { signature, WORDS, wordOf } from "./functions";
import { lint } from "./lint";
import type { Node } from "./tree";

const METADATA = new Map([
  ["node_load1", { type: "gauge", help: "Load of the last minute." }],
  ["http_requests_total", { type: "counter", help: "Requests." }],
  ["latency_seconds", { type: "histogram", help: "How long it took." }],
  ["odd_unknown", { type: "unknown", help: "" }],
]);
const NAMES = ["http_requests_total", "latency_seconds_bucket", "latency_seconds_count", "node_load1", "odd_unknown", "up"];

test.each<[string, string, Partial<Place> | undefined]>([
  ["a name", "rate(node_lo|", { kind: "name", text: "node_lo", start: 5 }],
  ["a name before more", "node_lo| + x", { kind: "name", text: "node_lo" }],
  ["too short", "n|", undefined],
  ["a name between braces that are a text's", 'up{a="}"} + no|', { kind: "name", text: "no" }],
  ["a label", "up{inst|", { kind: "label", text: "inst", selector: "up", grouping: false }],
  ["a label without letters", "up{|", { kind: "label", text: "", selector: "up" }],
  ["a second label", 'up{job="a, b",|', { kind: "label", text: "", selector: 'up{job="a, b"}' }],
  ["a label without a metric", "{jo|", { kind: "label", text: "jo", selector: "" }],
  ["an operator is no label", "up{job |", undefined],
  ["a value", 'up{job="no|"}', { kind: "value", label: "job", text: "no", selector: "up", quote: '"' }],
  ["a value of a pattern, in single quotes", "up{a=\"x\", job=~'|", { kind: "value", label: "job", text: "", selector: 'up{a="x"}', quote: "'" }],
  ["a text of a function is no value", 'label_replace(up, "a|', undefined],
  ["a name in quotes within braces", '{"my.me|', undefined],
  ["a duration", "rate(up[5|", { kind: "duration", text: "5" }],
  ["a step of a subquery", "max_over_time(up[1h:|", { kind: "duration", text: "" }],
  ["labels to group by", "sum by (|", { kind: "label", grouping: true, text: "" }],
  ["labels to group by, after the rest", "sum(up) without (a, in|", { kind: "label", grouping: true, text: "in" }],
  ["labels to match on", "a * on(in|", { kind: "label", grouping: true, text: "in" }],
  ["a comment", "up # rat|", undefined],
  ["after a comment", "up # it's\n+ rat|", { kind: "name", text: "rat" }],
  ["a number with an exponent", "1e|", undefined],
  ["an escaped quote", 'up{a="\\"|', { kind: "value", text: '\\"' }],
  ["raw quotes have no escapes", "up{a=`\\`} + no|", { kind: "name", text: "no" }],
  ["more closed than opened", ")) + no|", { kind: "name", text: "no" }],
])("the place of %s", (_, marked, expected) => {
  const caret = marked.indexOf("|");
  const found = placeAt(marked.replace("|", ""), caret);
  if (expected === undefined) expect(found).toBeUndefined();
  else expect(found).toMatchObject(expected);
});

test("a place is there for less where it is asked for", () => {
  expect(placeAt("", 0)).toBeUndefined();
  expect(placeAt("", 0, true)).toEqual({ kind: "name", start: 0, text: "" });
});

const offered = (marked: string, found: readonly string[] = NAMES): { text: string; made: string; note: string }[] => {
  const caret = marked.indexOf("|");
  const expr = marked.replace("|", "");
  const place = placeAt(expr, caret, true);
  return place ? offersFor(place, found, METADATA, expr.slice(caret)).map(({ text, insert, note }) => ({ text, made: completed(expr, place, insert).expr, note })) : [];
};

test("what is offered is put in with what follows it", () => {
  expect(offered("rat|")[0]).toEqual({ text: "rate", made: "rate(", note: "rate(series[range]): growth per second of a counter over the range" });
  expect(offered("rat|(up[5m])")[0]?.made).toBe("rate(up[5m])");
  expect(offered("time|")[0]?.made).toBe("time()");
  expect(offered("sum(up) b|").map((it) => it.made)).toContain("sum(up) by(");
  expect(offered("up and o|").map((it) => it.made)).toContain("up and offset");
  expect(offered("node|")).toEqual([{ text: "node_load1", made: "node_load1", note: "gauge: Load of the last minute." }]);
  expect(offered("latency|").map((it) => it.note)).toEqual(["histogram: How long it took.", "histogram: How long it took."]);
  expect(offered("odd|")[0]?.note).toBe("");
  expect(offered("up{|", ["__name__", "job"])).toEqual([{ text: "job", made: 'up{job="', note: "" }]);
  expect(offered('up{j|="x"}', ["job"])[0]?.made).toBe('up{job="x"}');
  expect(offered('up{job="|', ['a"b\\c'])[0]?.made).toBe('up{job="a\\"b\\\\c"');
  expect(offered('up{job="|"}', ["web"])[0]?.made).toBe('up{job="web"}');
  expect(offered("sum by (|) (up)", ["job"])[0]?.made).toBe("sum by (job) (up)");
  expect(offered("rate(up[5|").map((it) => it.made)).toEqual(["rate(up[5m]"]);
  expect(offered("rate(up[|])")[0]?.made).toBe("rate(up[1m])");
});

test("names that begin with the word come first, and the word itself needs none", () => {
  expect(fitting(["go_up", "up", "up_time", "x"], "up")).toEqual(["up", "up_time", "go_up"]);
  expect(fitting(["up"], "up")).toEqual([]);
  expect(fitting(Array.from({ length: 50 }, (_, at) => `name${at}`), "n").length).toBe(10);
});

test("the function that the caret is in", () => {
  expect([calledAt("rate(", 5), calledAt("sum by (", 8), calledAt("sum(rate(up[5m]), ", 18), calledAt('rate(up{a="', 11), calledAt("(", 1)]).toEqual(["rate", undefined, "sum", undefined, undefined]);
});

test("every function and aggregation that the server knows is told of, and no other", () => {
  const folder = join(import.meta.dirname, "../../../../crates/watchfire-query/src/promql");
  if (!existsSync(folder)) throw new Error("the query engine is not beside the page");
  const listed = readFileSync(join(folder, "functions.rs"), "utf8").split("static FUNCTIONS")[1] ?? "";
  const functions = [...listed.matchAll(/^ {4}(?:math|calendar|window|other)\(\s*"(\w+)"/gm)].map((it) => it[1]);
  expect(functions.length).toBeGreaterThan(70);
  expect(WORDS.filter((it) => it.kind === "function").map((it) => it.name).sort()).toEqual(functions.sort());
  const aggregations = [...(/Sum = "sum"[^;}]*/.exec(readFileSync(join(folder, "ast.rs"), "utf8"))?.[0] ?? "").matchAll(/= "(\w+)"/g)].map((it) => it[1]);
  expect(WORDS.filter((it) => it.kind === "aggregation").map((it) => it.name).sort()).toEqual(aggregations.sort());
  for (const it of WORDS) expect([it.name, it.words === "", signature(it).includes("undefined")]).toEqual([it.name, false, false]);
  expect(wordOf("SUM")?.kind).toBe("aggregation");
});

const is = (name: string, value: string, type = "="): object => ({ name, type, value });
const vector = (name: string, ...matchers: object[]): Node => ({ type: "vectorSelector", name, matchers: [...matchers, is("__name__", name)], offset: 0, timestamp: null, startOrEnd: null });
const matrix = (name: string, ...matchers: object[]): Node => ({ ...vector(name, ...matchers), type: "matrixSelector", range: 300_000 });
const call = (name: string, ...args: Node[]): Node => ({ type: "call", func: { name }, args });
const number = (val: string): Node => ({ type: "numberLiteral", val });
const sum = (expr: Node, grouping: string[] = [], without = false, op = "sum"): Node => ({ type: "aggregation", op, expr, grouping, without, param: null });
const binary = (op: string, lhs: Node, rhs: Node, matching: object | null = null): Node => ({ type: "binaryExpr", op, lhs, rhs, matching, bool: false });
const LABELS = new Map([["node_load1", ["__name__", "instance", "job"]], ["http_requests_total", ["__name__", "code", "job"]], ["latency_seconds_bucket", ["__name__", "job", "le"]], ["up", ["instance", "job"]]]);
const odd = (tree: Node): string[] => lint(tree, { names: new Set(NAMES), metadata: METADATA, labels: LABELS });

test.each<[string, Node, RegExp | undefined]>([
  ["a rate of a gauge", call("rate", matrix("node_load1")), /rate\(\) is for counters, and node_load1 is a gauge/],
  ["a rate of a counter", call("rate", matrix("http_requests_total")), undefined],
  ["a rate of a histogram's count", call("rate", matrix("latency_seconds_count")), undefined],
  ["a delta of a counter", call("delta", matrix("http_requests_total")), /delta\(\) is for gauges/],
  ["a counter without a rate", sum(vector("http_requests_total")), /is a counter, which only grows: rate\(http_requests_total\[5m\]\)/],
  ["buckets without a rate", vector("latency_seconds_bucket"), /latency_seconds_bucket is a counter/],
  ["counting counters", sum(vector("http_requests_total"), [], false, "count"), undefined],
  ["absent counters", call("absent", vector("http_requests_total")), undefined],
  ["a counter that is only asked for on the right", binary("and", vector("up"), vector("http_requests_total")), undefined],
  ["a counter on the left of and", binary("and", vector("http_requests_total"), vector("up")), /only grows/],
  ["a metric that is not there", vector("nothing"), /No metric is called nothing\./],
  ["a label that is not there", vector("up", is("host", "a")), /up has no label host: it has instance, job\./],
  ["a pattern over a label that is not there", vector("up", is("host", "a.*", "=~")), /no label host/],
  ["a pattern that nothing fits, too", vector("up", is("host", ".*", "=~")), undefined],
  ["what lacks a label", vector("up", is("host", "")), undefined],
  ["what has not a label", vector("up", is("host", "a", "!=")), undefined],
  ["grouping by a label that is not there", sum(vector("up"), ["host"]), /sum groups by host, a label that no series has/],
  ["dropping a label that is not there", sum(vector("up"), ["host"], true), /sum drops host/],
  ["grouping by a label that is made", sum(call("label_replace", vector("up"), { type: "stringLiteral", val: "host" }), ["host"]), undefined],
  ["matching on a label that one side lacks", binary("*", vector("up"), call("rate", matrix("http_requests_total")), { on: true, labels: ["instance"], card: "one-to-one" }), /matched on instance/],
  ["a quantile without le", call("histogram_quantile", number("0.9"), sum(call("rate", matrix("latency_seconds_bucket")), ["job"])), /needs the label le/],
  ["a quantile whose sum drops le", call("histogram_quantile", number("0.9"), sum(call("rate", matrix("latency_seconds_bucket")), ["le"], true)), /needs the label le/],
  ["a quantile with le", call("histogram_quantile", number("0.9"), sum(call("rate", matrix("latency_seconds_bucket")), ["job", "le"])), undefined],
  ["a rate of a sum", call("rate", { type: "subquery", expr: sum(call("rate", matrix("http_requests_total"))), range: 1, step: 1 }), /sum\(rate\(…\)\) does not/],
  ["an unknown type", call("rate", matrix("odd_unknown")), undefined],
])("%s", (_, tree, expected) => {
  const found = odd(tree);
  if (expected === undefined) expect(found).toEqual([]);
  else expect(found.filter((it) => expected.test(it)).length, found.join()).toBe(1);
});

test("without knowledge nothing is odd", () => {
  expect(lint(call("rate", matrix("nothing", is("x", "y"))), { names: new Set(), metadata: new Map(), labels: new Map() })).toEqual([]);
});

const flat = ({ words, of }: Said): string => words + (of.length > 0 ? ` [${of.map(flat).join("; ")}]` : "");
test.each<[Node, string]>([
  [sum(call("rate", matrix("http_requests_total", is("code", "5..", "=~"))), ["job"]), 'sum: sum, for each job [rate: growth per second of a counter over the range [the samples of the last 5 min of http_requests_total (Requests) where code fits "5.."]]'],
  [binary(">", vector("node_load1"), number("4")), "the left side where it is above the right [the newest value of node_load1 (Load of the last minute); the number 4]"],
  [{ ...vector("up"), offset: 3_600_000 }, "the newest value of up, 1 h before"],
  [{ ...vector("up"), timestamp: 0 }, "the newest value of up, at 1970-01-01T00:00:00.000Z"],
  [binary("/", vector("up"), vector("up"), { on: true, labels: ["job"], card: "many-to-one" }), "the left side divided by the right, matched by job, many on the left for one on the right [the newest value of up; the newest value of up]"],
  [sum(vector("up"), [], true, "max"), "max: largest, for each series [the newest value of up]"],
  [{ type: "aggregation", op: "topk", param: number("5"), expr: vector("up"), grouping: [], without: false }, "topk: series with the largest values, of all together [the number 5; the newest value of up]"],
  [{ type: "parenExpr", expr: { type: "unaryExpr", op: "-", expr: vector("up") } }, "with the other sign [the newest value of up]"],
  [{ type: "somethingNew" }, "somethingNew"],
])("explained", (tree, expected) => {
  expect(flat(explain(tree, METADATA))).toBe(expected);
});

test("a family's text is found from its series", () => {
  expect([metadataOf(METADATA, "latency_seconds_bucket")?.type, metadataOf(METADATA, "http_requests_total")?.type, metadataOf(METADATA, "x")]).toEqual(["histogram", "counter", undefined]);
});
