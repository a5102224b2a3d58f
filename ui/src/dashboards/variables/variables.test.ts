// Variables: their values in texts, questions, choices, chains, the address; times and intervals. Not their fields on the page.
import { expect, test } from "vitest";
import { readBoard } from "../model/read";
import { interpolate, type Scope, type Value } from "./interpolate";
import { chosen, customOptions, questionOf, sortedOptions } from "./question";
import { ALL, type AskNames, ordered, paramsOf, resolveAll, valuesOf, withIntervals } from "./resolve";
import { intervalMs, lengthMs, lengthText, rangeOf, rangeWords, timeMs } from "./time";

const value = (values: string[], more: Partial<Value> = {}): Value => ({ values, texts: values, allText: undefined, several: values.length > 1, ...more });
const scope: Scope = {
  values: new Map([
    ["job", value(["node"])],
    ["inst", value(["a.b:1", "c|d"], { several: true })],
    ["one", value(["a.b"], { several: true })],
    ["all", value(["x", "y"], { allText: ".*", several: true, texts: ["All"] })],
    ["quote", value(["it's \\d"])],
  ]),
  times: { range: { from: 1_000_000, to: 4_600_000 }, intervalMs: 30_000, scrapeMs: 15_000 },
};

test.each<[string, string]>([
  ['up{job="$job"}', 'up{job="node"}'],
  ["[[job]] ${job} $jobs", "node node $jobs"],
  ['x{i=~"$inst"}', 'x{i=~"(a\\\\.b:1|c\\\\|d)"}'],
  ['x{i=~"$one"}', 'x{i=~"a\\\\.b"}'],
  ['x{i=~"$all"}', 'x{i=~".*"}'],
  ["x{q='$quote'}", "x{q='it\\'s \\\\d'}"],
  ["${inst:pipe} ${inst:csv} ${inst:raw} ${inst:glob}", "a.b:1|c|d a.b:1,c|d a.b:1,c|d {a.b:1,c|d}"],
  ["${inst:regex}", "(a\\.b:1|c\\|d)"],
  ["${inst:json}", '["a.b:1","c|d"]'],
  ["${inst:doublequote} ${inst:singlequote}", "\"a.b:1\",\"c|d\" 'a.b:1','c|d'"],
  ["${inst:queryparam}", "var-inst=a.b%3A1&var-inst=c%7Cd"],
  ["${inst:percentencode}", "%7Ba.b%3A1%2Cc%7Cd%7D"],
  ["${all:text}", "All"],
  ["rate(x[$__rate_interval]) $__interval $__interval_ms", "rate(x[1m]) 30s 30000"],
  ["$__range $__range_s ${__range_ms} $__from ${__to}", "3600s 3600 3600000 1000000 4600000"],
  ["${__from:date:seconds} ${__from:date:iso}", "1000 1970-01-01T00:16:40.000Z"],
  ["cost is $5 and $unknown", "cost is $5 and $unknown"],
])("%s becomes %s", (text, expected) => {
  expect(interpolate(text, scope, "prometheus")).toBe(expected);
});

test("in words, several values are added up, and a constant may name others", () => {
  expect(interpolate("$inst", scope)).toBe("a.b:1 + c|d");
  const nested = { ...scope, values: new Map([...scope.values, ["rate", value(["5m by $job"])]]) };
  expect(interpolate("$rate", nested)).toBe("5m by node");
});

test.each<[string, unknown]>([
  ["label_values(instance)", { kind: "labelValues", label: "instance", match: "" }],
  ['label_values(up{job=~"a,b"}, instance)', { kind: "labelValues", label: "instance", match: 'up{job=~"a,b"}' }],
  ["label_values({__name__=~\"node_.*\"},job)", { kind: "labelValues", label: "job", match: '{__name__=~"node_.*"}' }],
  ["label_names()", { kind: "labelNames", match: "" }],
  ["metrics(node_.*)", { kind: "metrics", pattern: "node_.*" }],
  ["query_result(topk(5, sum by (x) (y)))", { kind: "result", expr: "topk(5, sum by (x) (y))" }],
  ["up{job=\"x\"}", { kind: "series", match: 'up{job="x"}' }],
  ["", undefined],
])("the question %s", (text, expected) => {
  expect(questionOf(text)).toEqual(expected);
});

test("a pattern chooses the whole, a group, or value and text by name", () => {
  const found = ['up{instance="web-1:9100"} 1 0', 'up{instance="db-1:9100"} 1 0', "other"];
  expect(chosen(found, '/instance="([^"]+)"/').map((it) => it.value)).toEqual(["web-1:9100", "db-1:9100"]);
  expect(chosen(found, '/instance="(?<text>[^:]+):(?<value>\\d+)"/')).toEqual([{ text: "web-1", value: "9100" }]);
  expect(chosen(["a", "b", "a"], "").map((it) => it.value)).toEqual(["a", "b"]);
  expect(chosen(["web", "db"], "^w")).toEqual([{ value: "web", text: "web" }]);
  expect(chosen(["x"], "/(/")).toEqual([]);
});

test("orders, and custom values with words of their own", () => {
  const names = (order: number): string[] => sortedOptions(["b2", "B10", "a1"].map((text) => ({ text })), order).map((it) => it.text);
  expect([0, 1, 2, 3, 4, 5, 7].map(names)).toEqual([["b2", "B10", "a1"], ["B10", "a1", "b2"], ["b2", "a1", "B10"], ["a1", "b2", "B10"], ["B10", "b2", "a1"], ["a1", "B10", "b2"], ["a1", "b2", "B10"]]);
  expect(customOptions("a, Last day : 1d, x\\,y")).toEqual([{ text: "a", value: "a" }, { text: "Last day", value: "1d" }, { text: "x,y", value: "x,y" }]);
});

const board = readBoard({
  title: "t",
  templating: {
    list: [
      { name: "instance", type: "query", query: 'label_values(up{job="$job"}, instance)', multi: true, includeAll: true, current: { value: ["gone", "i2"] } },
      { name: "job", type: "query", query: { query: "label_values(up, job)" }, current: { value: "web" }, sort: 1 },
      { name: "step", type: "interval", query: "1m,10m", auto: true, auto_count: 10, current: { value: "$__auto_interval_step" } },
      { name: "note", type: "textbox", query: "words" },
      { name: "fixed", type: "constant", query: "7" },
      { name: "odd", type: "quantum", current: { value: "q" } },
      { name: "where", type: "adhoc", filters: [{ key: "zone", operator: "=~", value: "a|b" }] },
    ],
  },
});
const times = { range: { from: 0, to: 3_600_000 }, intervalMs: 15_000, scrapeMs: 15_000 };
const asked: string[] = [];
const ask: AskNames = async (question) => {
  asked.push(JSON.stringify(question));
  if (question.kind !== "labelValues") throw new Error("not this");
  return question.label === "job" ? ["web", "db"] : question.match.includes('"db"') ? ["i9"] : ["i1", "i2"];
};
const sources = { ask, ofType: () => [] };

test("variables come after those that they name, whatever their order in the file", () => {
  expect(ordered(board.variables).map((it) => it.name).slice(0, 2)).toEqual(["job", "instance"]);
});

test("saved values hold while they are offered; the address goes before them", async () => {
  const plain = await resolveAll(board, new URLSearchParams(), times, sources);
  expect(asked.at(-1)).toContain('up{job=\\"web\\"}');
  expect(plain.get("instance")?.chosen).toEqual(["i2"]);
  expect(plain.get("job")?.options.map((it) => it.value)).toEqual(["db", "web"]);
  expect(plain.get("note")?.chosen).toEqual(["words"]);
  expect(plain.get("odd")?.chosen).toEqual(["q"]);
  const other = await resolveAll(board, new URLSearchParams("var-job=db&var-instance=$__all&var-note=x&var-free=1"), times, sources);
  expect(other.get("instance")?.chosen).toEqual([ALL]);
  const values = valuesOf(other, board, new URLSearchParams("var-free=1"));
  expect(values.get("instance")).toMatchObject({ values: ["i9"], allText: undefined, several: true });
  expect(values.get("free")?.values).toEqual(["1"]);
  expect(paramsOf(other)).toEqual([["var-instance", ALL], ["var-job", "db"], ["var-step", "$__auto_interval_step"], ["var-note", "x"], ["var-fixed", "7"], ["var-odd", "q"], ["var-where", "zone|=~|a|b"]]);
  expect(other.get("where")?.filters).toEqual([{ key: "zone", op: "=~", value: "a|b" }]);
  expect(board.findings).toEqual(["the variable odd has the type quantum, which is not supported: it keeps its saved value"]);
});

test("an automatic interval fits the range", async () => {
  const resolved = await resolveAll(board, new URLSearchParams(), times, sources);
  expect(withIntervals(valuesOf(resolved, board), resolved, times).get("step")?.values).toEqual(["10m"]);
});

test("a variable that cannot be asked says why and leaves the others alone", async () => {
  const failing = await resolveAll(board, new URLSearchParams(), times, { ...sources, ask: () => Promise.reject(new Error("no such metric")) });
  expect(failing.get("job")?.problem).toBe("no such metric");
  expect(failing.get("job")?.chosen).toEqual([]);
  expect(failing.get("fixed")?.chosen).toEqual(["7"]);
});

test.each<[string, number | undefined]>([["15s", 15_000], [">1m30s", 90_000], ["10", 10_000], ["250ms", 250], ["1w", 604_800_000], ["auto", undefined], ["", undefined]])("the length %s", (text, expected) => {
  expect(lengthMs(text)).toBe(expected);
});

test("lengths as PromQL takes them", () => {
  expect([15_000, 60_000, 90_000, 3_600_000, 86_400_000, 500].map(lengthText)).toEqual(["15s", "1m", "90s", "1h", "1d", "500ms"]);
});

test("times in words", () => {
  const now = Date.UTC(2026, 2, 4, 13, 30, 20);
  const iso = (text: string, up = false): string => new Date(timeMs(text, now, up, true) ?? Number.NaN).toISOString();
  expect(iso("now-6h")).toBe("2026-03-04T07:30:20.000Z");
  expect(iso("now/d")).toBe("2026-03-04T00:00:00.000Z");
  expect(iso("now/d", true)).toBe("2026-03-04T23:59:59.999Z");
  expect(iso("now-1M/M")).toBe("2026-02-01T00:00:00.000Z");
  expect(iso("now/w")).toBe("2026-03-02T00:00:00.000Z");
  expect(iso("now-1d/d+2h")).toBe("2026-03-03T02:00:00.000Z");
  expect(timeMs("1772600000000", now, false)).toBe(1_772_600_000_000);
  expect(timeMs("yesterday", now, false)).toBeUndefined();
  expect(rangeOf("now", "now-1h", now, true).to - rangeOf("now", "now-1h", now, true).from).toBe(60_000);
  expect(["now-6h", "now-1d"].map((it) => rangeWords(it, "now", String, now))).toEqual(["Last 6 hours", "Last 1 day"]);
});

test("intervals are round, fit the width, and keep under what the server gives", () => {
  const hours = (count: number): { from: number; to: number } => ({ from: 0, to: count * 3_600_000 });
  expect(intervalMs(hours(6), 1000, 1000)).toBe(20_000);
  expect(intervalMs(hours(1), 10_000, 15_000)).toBe(15_000);
  expect(intervalMs(hours(24 * 365), 100_000, 1000)).toBeGreaterThanOrEqual((24 * 365 * 3_600_000) / 13_000);
});

test("values that name themselves or each other end, and what they grow to is cut", () => {
  const value = (text: string): Value => ({ values: [text], texts: [text], allText: undefined, several: false });
  const named = (values: Record<string, string>): Scope => ({ values: new Map(Object.entries(values).map(([name, text]) => [name, value(text)])) });
  expect(interpolate("$a", named({ a: "x $a" }))).toBe("x $a");
  expect(interpolate("$a", named({ a: "1 $b", b: "2 $a" }))).toBe("1 2 $a");
  expect(interpolate("$a, $a", named({ a: "$b", b: "c" }))).toBe("c, c");
  const doubled = named(Object.fromEntries(["a", "b", "c", "d", "e"].map((name, at, all) => [name, `$${all[at + 1] ?? "f"} `.repeat(1000)])));
  expect(interpolate("$a".repeat(1000), doubled).length).toBeLessThanOrEqual(100_000);
  expect(interpolate("${a[".repeat(50_000), doubled)).toHaveLength(100_000);
});

test("times beyond the calendar are none", () => {
  expect(timeMs("now-99999999999999y", Date.UTC(2026, 2, 4), false)).toBeUndefined();
  const { from, to } = rangeOf("now-99999999999999y", "now+99999999999999M", Date.UTC(2026, 2, 4), true);
  expect([from, to].every(Number.isFinite)).toBe(true);
});
