// The pure parts of the page Logs: texts made harmless, fields, questions, lines kept in order and in bounds, rows drawn, bars, what the
// two interfaces answer. Not the page itself (tests/logs.test.ts).
import { expect, test } from "vitest";
import { nanoseconds, parseHits } from "../../api/elasticsearch";
import { compareNs, type Entry, levelOf, newId, nsPlus } from "../../api/entry";
import { facetsOf, parseLogAnswer, parseTail } from "../../api/loki";
import { clean, FOLD_CHARS_MAX, folded, ROW_CHARS_MAX, rowText } from "../../parts/text";
import { drawn, indexAt, scrollFor, topOf, totalHeight } from "../../parts/window";
import { parsedLine, traceOf } from "./fields";
import { barsOf, barsOfEntries, gridOf } from "./histogram";
import { arrived, bounded, continued, nextRange } from "./lines";
import { asksForLines, countsBy, firstQuestion, quoted, selectorOf, streamSelector, timed, withCondition, withPattern } from "./logql";
import { addressOf, questionOf, rangeOf } from "./question";
import { parseSaved, SAVED_MAX, withSaved } from "./saved";
import { isoOf } from "./search.svelte";

const entry = (ns: string | number, line: string, more: Partial<Entry> = {}): Entry => ({
  id: newId(),
  ns: String(ns),
  ms: Math.trunc(Number(ns) / 1e6),
  line,
  labels: {},
  metadata: {},
  parsed: {},
  merged: false,
  ...more,
});
const texts = (entries: readonly Entry[]): string => entries.map((it) => it.line).join("");

test("r44 escape sequences go, what cannot be seen is shown, nothing else changes", () => {
  for (const [line, expected, escapes] of [
    ["plain <b>&amp;</b> ünï 🔥", "plain <b>&amp;</b> ünï 🔥", 0],
    ["\u001b[1;31mred\u001b[0m", "red", 2],
    ["\u009b31mred", "red", 1],
    ["\u001b]8;;http://evil\u001b\\link\u001b]8;;\u0007", "link", 2],
    ["\u001bPq#0\u001b\\x", "x", 1],
    ["\u001b(Bx\u001bc", "x", 2],
    ["\u001b", "␛", 0],
    ["a\u0000b\u0007c\u007f", "a␀b␇c␡", 0],
    ["a\tb\r\nc\rd", "a\tb\nc␍d", 0],
    ["\u202eevil\u2066\ufeff\u200b\u2028", "⟨U+202E⟩evil⟨U+2066⟩⟨U+FEFF⟩⟨U+200B⟩⟨U+2028⟩", 0],
    ["\u0085\u009d", "⟨U+0085⟩", 1],
  ] as const) {
    expect(clean(line), JSON.stringify(line)).toEqual({ text: expected, escapes });
  }
  for (let code = 0; code < 0x20; code += 1) {
    if (code === 9 || code === 10) continue;
    expect(clean(`x${String.fromCharCode(code)}`).text).not.toMatch(/[\u0000-\u0008\u000b-\u001f]/);
  }
  // A sequence that never ends takes no time and hides no more than its bound.
  const endless = `\u001b]${"x".repeat(1_000_000)}`;
  const began = performance.now();
  expect(clean(endless).text.length).toBeGreaterThan(990_000);
  expect(performance.now() - began).toBeLessThan(500);
});

test("rows are short and one line high; long lines fold between characters", () => {
  expect(rowText("a\nb\n\n")).toBe("a ↵ b");
  expect(rowText("x".repeat(300_000)).length).toBe(ROW_CHARS_MAX + 2);
  expect(folded("short")).toEqual({ text: "short", rest: 0 });
  const pair = `${"x".repeat(FOLD_CHARS_MAX - 1)}🔥yy`;
  expect(folded(pair)).toEqual({ text: "x".repeat(FOLD_CHARS_MAX - 1), rest: 4 });
});

test("fields of JSON and logfmt lines, and of nothing else", () => {
  expect(parsedLine('{"a":{"b.c":1,"d":"x"},"e":[1,2],"f":null}')).toEqual({ parser: "json", fields: { a_b_c: "1", a_d: "x", e: "[1,2]", f: "null" } });
  expect(parsedLine('level=warn msg="a \\"b\\" c" n=3 empty=')).toEqual({ parser: "logfmt", fields: { level: "warn", msg: 'a "b" c', n: "3", empty: "" } });
  expect(parsedLine("a sentence that has one pair a=b somewhere in the middle of it")).toBeUndefined();
  expect(parsedLine('{"broken":')).toBeUndefined();
  expect(parsedLine('{"__proto__":{"x":1}}')?.fields).toEqual({ __proto___x: "1" });
  expect(parsedLine("[1,2]")).toBeUndefined();
});

test("the trace of a line: by its field, by its text, never by chance", () => {
  const id = "4bf92f3577b34da6a3ce929d0e0e4736";
  expect(traceOf(entry(1, "x", { metadata: { trace_id: id } }), {})).toBe(id);
  expect(traceOf(entry(1, "x"), { traceID: id.toUpperCase() })).toBe(id);
  expect(traceOf(entry(1, "x", { metadata: { "otel.trace.id": id } }), {})).toBe(id);
  expect(traceOf(entry(1, `done trace_id=${id} ok`), {})).toBe(id);
  expect(traceOf(entry(1, "x", { metadata: { trace_id: "0".repeat(32) } }), {})).toBeUndefined();
  expect(traceOf(entry(1, `sha ${id}`, { metadata: { span_id: "4bf92f3577b34da6" } }), {})).toBeUndefined();
  expect(traceOf(entry(1, "x", { metadata: { trace_id: "../../admin" } }), {})).toBeUndefined();
});

test("levels from labels, fields and words", () => {
  expect(levelOf(entry(1, "an error", { metadata: { detected_level: "info" } }))).toBe("info");
  expect(levelOf(entry(1, "an error", { labels: { level: "WARNING" } }))).toBe("warn");
  expect(levelOf(entry(1, '{"msg":"no error","level":"INFO"}'))).toBe("info");
  expect(levelOf(entry(1, "2026-01-02 FATAL boom"))).toBe("critical");
  expect(levelOf(entry(1, "terrors informed"))).toBe("unknown");
});

test("a condition is added where it belongs, in each language", () => {
  const add = (text: string, language: "logql" | "lucene" | "kql", more: object): string => withCondition(text, language, { name: "a", value: 'x"\\', not: false, label: true, ...more });
  expect(add('{b="}"} |= "{"', "logql", {})).toBe('{b="}", a="x\\"\\\\"} |= "{"');
  expect(add("{b=`\\`}", "logql", { not: true })).toBe('{b=`\\`, a!="x\\"\\\\"}');
  expect(add("", "logql", {})).toBe('{a="x\\"\\\\"}');
  expect(add('{b="c"}', "logql", { label: false, parser: "json", value: "1" })).toBe('{b="c"} | json | a="1"');
  expect(add('{b="c"} | json | z="1"', "logql", { label: false, parser: "json", value: "1" })).toBe('{b="c"} | json | z="1" | a="1"');
  expect(add("", "lucene", { value: "1" })).toBe('a:"1"');
  expect(add("x OR y", "lucene", { value: "1", not: true })).toBe('(x OR y) AND NOT a:"1"');
  expect(add("x or y", "kql", {})).toBe('(x or y) and a: "x\\"\\\\"');
  expect(withPattern("{a=\"b\"}", "GET <_> `x`")).toBe('{a="b"} |> "GET <_> `x`"');
  expect(quoted("a\u0000\n")).toBe('"a\\x00\\n"');
  expect(streamSelector({ a: "b", c: "" })).toBe('{a="b"}');
  expect(selectorOf('sum(rate({a="}"} |= "x" [5m]))')).toBe('{a="}"}');
  expect(asksForLines(' # remark {\n {a="b"}')).toBe(true);
  expect(asksForLines('count_over_time({a="b"}[5m])')).toBe(false);
  expect(firstQuestion(["filename", "job"])).toBe('{job=~".+"}');
  expect(firstQuestion([])).toBeUndefined();
  expect(countsBy('{a="b"}', "c", 60, 5)).toBe('topk(5, sum by (c) (count_over_time({a="b"} | c!="" [60s])))');
  expect(timed("", "lucene", "S", "E")).toBe('(*) AND @timestamp:["S" TO "E"}');
  expect(timed("a: 1", "kql", "S", "E")).toBe('(a: 1) and @timestamp >= "S" and @timestamp < "E"');
});

test("the address keeps a question, and nothing that is usual", () => {
  const of = (search: string) => questionOf(new URLSearchParams(search));
  for (const search of ["", "?expr=%7Ba%3D%22b%22%7D", "?expr=x&lang=kql&range=6h&dir=forward&limit=5000", "?from=1000&to=2000"]) {
    expect(addressOf(of(search)), search).toBe(`/logs${search}`);
  }
  expect(of("?from=2026-01-02T03:04:05Z&to=2026-01-02T04:00:00Z").fixed).toEqual({ from: 1_767_323_045_000, to: 1_767_326_400_000 });
  expect(addressOf(of("?from=2000&to=1000&limit=7&lang=sql&dir=up&range=9y"))).toBe("/logs");
  expect(rangeOf(of("?range=15m"), 1_000_000_000)).toEqual({ start: "999100000000000", end: "1000001000000000" });
  expect(rangeOf(of("?from=1000&to=2000"))).toEqual({ start: "1000000000", end: "2000000000" });
});

test("times are compared and moved without losing nanoseconds", () => {
  expect(nsPlus("1767089700000000001", 1)).toBe("1767089700000000002");
  expect(compareNs("999", "1000")).toBeLessThan(0);
  expect(compareNs("1767089700000000001", "1767089700000000002")).toBeLessThan(0);
  expect(isoOf("1767089700000000001")).toBe("2025-12-30T10:15:00.000000001Z");
  expect(nanoseconds("2025-12-30T10:15:00.000000001Z")).toBe("1767089700000000001");
  expect(nanoseconds("2025-12-30T11:15:00.5+01:00")).toBe("1767089700500000000");
  expect(nanoseconds("yesterday")).toBeUndefined();
});

test("pages join without doubles; a time that fills a page is stepped over", () => {
  const first = [entry(30, "c"), entry(20, "b"), entry(20, "b2")];
  const page = [entry(20, "b"), entry(20, "b2"), entry(20, "b3"), entry(10, "a")];
  expect(texts(continued(first, page))).toBe("cbb2b3a");
  // Of documents only milliseconds are told: what is behind them may be in any part of the last one.
  const ms = nextRange({ start: "0", end: "9" }, [entry("1767089700123000000", "a")], "backward", false, 1_000_000);
  expect(ms.end).toBe("1767089700124000000");
  expect(nextRange({ start: "0", end: "99" }, first, "backward", false)).toEqual({ start: "0", end: "21" });
  expect(nextRange({ start: "0", end: "99" }, first, "backward", true)).toEqual({ start: "0", end: "20" });
  expect(nextRange({ start: "0", end: "99" }, [entry(5, "a")], "forward", false)).toEqual({ start: "5", end: "99" });
  expect(nextRange({ start: "0", end: "99" }, [entry(5, "a")], "forward", true)).toEqual({ start: "6", end: "99" });
});

test("live lines come to the right end, once, and late ones to their place", () => {
  const back = [entry(30, "c"), entry(20, "b")];
  expect(texts(arrived(back, [entry(40, "d"), entry(30, "c", { merged: true })], "backward"))).toBe("dcb");
  expect(texts(arrived([...back].reverse(), [entry(30, "c"), entry(40, "d")], "forward"))).toBe("bcd");
  expect(texts(arrived(back, [entry(25, "late")], "backward"))).toBe("clateb");
  expect(arrived(back, [entry(30, "c")], "backward")).toBe(back);
});

test("the oldest lines are let go: by number and by characters", () => {
  const back = ["e", "d", "c", "b", "a"].map((it, at) => entry(50 - at, it));
  expect(texts(bounded(back, "backward", 3).entries)).toBe("edc");
  expect(bounded([...back].reverse(), "forward", 3)).toMatchObject({ gone: 2 });
  expect(texts(bounded([...back].reverse(), "forward", 3).entries)).toBe("cde");
  expect(texts(bounded(back, "backward", 10, 2).entries)).toBe("ed");
  // One line that is too long by itself is still shown.
  expect(bounded([entry(1, "x".repeat(99))], "backward", 10, 5).gone).toBe(0);
});

test("rows that are drawn fit what is seen, also below an unfolded row", () => {
  const plain = { count: 100_000, rowHeight: 20, open: -1, openHeight: 0 };
  expect(totalHeight(plain)).toBe(2_000_000);
  expect(drawn(1_000_000, 400, plain)).toEqual({ from: 49_988, to: 50_033 });
  expect(drawn(0, 400, { ...plain, count: 0 })).toEqual({ from: 0, to: 0 });
  const open = { ...plain, count: 10, open: 3, openHeight: 300 };
  expect([0, 79, 80, 379, 380, 9999].map((it) => indexAt(it, open))).toEqual([0, 3, 3, 3, 4, 9]);
  for (let index = 0; index < 10; index += 1) expect(indexAt(topOf(index, open), open)).toBe(index);
  expect(scrollFor(5, 0, 100, open)).toBe(topOf(5, open) + 20 - 100);
  expect(scrollFor(0, 50, 100, open)).toBe(0);
  expect(scrollFor(3, 0, 100, open)).toBe(0);
});

test("bars count each step, and their edges do not move with the range", () => {
  const range = { start: "1000000000000", end: "1060000000000" };
  const grid = gridOf(range);
  expect(grid).toEqual({ stepSeconds: 1, start: 1_000_000, end: 1_060_000 });
  expect(gridOf({ start: "1000500000000", end: "1900500000000" })).toEqual({ stepSeconds: 10, start: 1_000_000, end: 1_910_000 });
  const bars = barsOf([{ labels: { detected_level: "error" }, points: [[1001, 3], [1060, 1]] }, { labels: {}, points: [[1001, 2]] }], grid);
  expect(bars.bars[0]).toMatchObject({ from: 1_000_000, total: 5, counts: { error: 3, unknown: 2 } });
  expect(bars.bars.at(-1)?.counts.error).toBe(1);
  expect(bars.totals).toEqual([{ level: "error", count: 4 }, { level: "unknown", count: 2 }]);
  expect(barsOfEntries([entry("1000500000000", "WARN x")], grid).bars[0]?.counts).toEqual({ warn: 1 });
});

test("Loki's answers become lines in the order of time, or numbers", () => {
  const streams = [
    { stream: { a: "1" }, values: [["20", "b", { structuredMetadata: { m: "x" }, parsed: { p: "y" } }], ["x", "no time"], ["30"]] },
    { stream: { a: "2" }, values: [["30", "c", {}], ["10", "a"]] },
  ];
  const answer = parseLogAnswer({ status: "success", data: { resultType: "streams", result: streams } }, "backward");
  expect(answer.type === "lines" && texts(answer.entries)).toBe("cba");
  expect(answer.type === "lines" && answer.entries[1]).toMatchObject({ labels: { a: "1" }, metadata: { m: "x" }, parsed: { p: "y" } });
  expect(parseLogAnswer({ status: "success", data: { resultType: "matrix", result: [{ metric: {}, values: [[1, "2"]] }] } }, "forward").type).toBe("numbers");
  expect(() => parseLogAnswer({ status: "error" }, "forward")).toThrow("success");
  expect(parseTail(JSON.stringify({ streams, dropped_entries: [{}, {}] }), "forward")).toMatchObject({ dropped: 2, entries: [{ merged: true, line: "a" }, {}, {}] });
  expect(parseTail("no JSON", "forward")).toEqual({ entries: [], dropped: 0 });
  expect(facetsOf([{ b: "1", a: "1" }, { b: "2" }])).toEqual([{ name: "a", cardinality: 1 }, { name: "b", cardinality: 2 }]);
});

test("documents become lines with their fields", () => {
  const hit = (source: object): unknown => ({ hits: { hits: [{ _id: "id", _source: source }] } });
  expect(parseHits(hit({ "@timestamp": "2025-12-30T10:15:00Z", message: "m", log: { level: "warn", n: 1 } }))).toMatchObject([{ key: "id", ns: "1767089700000000000", line: "m", metadata: { "log.level": "warn", "log.n": "1" } }]);
  expect(parseHits(hit({ "@timestamp": "2025-12-30T10:15:00Z", a: 1 }))[0]?.line).toBe('{"@timestamp":"2025-12-30T10:15:00Z","a":1}');
  expect(parseHits(hit({ message: "without a time" }))).toEqual([]);
  expect(parseHits("nonsense")).toEqual([]);
});

test("saved searches are only addresses of this page, one of each name", () => {
  const list = withSaved(withSaved([], { name: " b ", address: "/logs?expr=1" }), { name: "a", address: "/logs" });
  expect(list.map((it) => it.name)).toEqual(["a", "b"]);
  expect(withSaved(list, { name: "b", address: "/logs?expr=2" })[1]?.address).toBe("/logs?expr=2");
  expect(parseSaved(JSON.stringify(list))).toEqual(list);
  expect(parseSaved(JSON.stringify([{ name: "x", address: "javascript:alert(1)" }, { name: "y", address: "https://evil/logs" }, { name: "z", address: "/logsx" }, 1, null]))).toEqual([]);
  expect(parseSaved("{")).toEqual([]);
  expect(parseSaved(null)).toEqual([]);
  expect(parseSaved(JSON.stringify(Array.from({ length: 99 }, (_, it) => ({ name: `${it}`, address: "/logs" })))).length).toBe(SAVED_MAX);
});
