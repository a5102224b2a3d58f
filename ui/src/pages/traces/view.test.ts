// The search's question, what lists say of traces, two laid over each other, the map, and words. Not the tree of spans (traces.test.ts).
import { expect, test } from "vitest";
import { parseCalls, parseTrace, type Trace } from "../../api/jaeger";
import { changeOf, laidOver } from "./compare";
import { foundRows } from "./find";
import { BOX, BOXES_MAX, mapOf } from "./map";
import { addressOf, CUSTOM, durationIn, durationText, isTraceId, LIMIT_MAX, logsAddress, paramsOf, problemOf, questionOf, quoted, tagsIn, traceAddress } from "./question";
import { bucketsOf, ordered, quantile, type Summary, summaryOf } from "./summary";
import { treeOf } from "./tree";
import { colorOf, lengthOf, logMarks, ROUND_US, roundMarks } from "./words";

const ask = (text: string) => questionOf(new URLSearchParams(text));

test("a question stands in the address as in Jaeger's, without what is usual", () => {
  const texts = ["service=a", "service=a&operation=GET+%2Fx&tags=error%3Dtrue&minDuration=1.2ms&maxDuration=3s&limit=50&lookback=6h", "service=a&start=1000&end=2000"];
  for (const text of texts) expect(addressOf(ask(text))).toBe(`/traces?${text}`);
  expect(ask('service=a&tags={"http.status_code":"500","a b":"c\\"d"}').tags).toBe('http.status_code=500 "a b"="c\\"d"');
  expect(ask("service=a&tags={broken").tags).toBe("{broken");
  expect([ask("limit=0").limit, ask("limit=x").limit, ask("limit=99999").limit, ask("lookback=9y").lookback.name]).toEqual([1, 20, LIMIT_MAX, "1h"]);
  expect(ask("start=5&end=4").lookback.name).toBe("1h");
});

test("what is asked for it", () => {
  const now = 1_700_000_000_000;
  expect(paramsOf(ask('service=a&operation=op&tags=x%3D1+y%3D"b c"&minDuration=1 ms&limit=7&lookback=15m'), now)).toEqual({
    service: "a",
    operation: "op",
    tags: '{"x":"1","y":"b c"}',
    minDuration: "1ms",
    limit: 7,
    lookback: "15m",
    start: 1_699_999_100_000_000,
    end: 1_700_000_000_000_000,
  });
  expect(paramsOf(ask("service=a&start=1000&end=2000"), now)).toEqual({ service: "a", limit: 20, lookback: "custom", start: 1000, end: 2000 });
});

test("tags are pairs, with quotation marks where they need them", () => {
  const read = (text: string): string[] => tagsIn(text).pairs.map((it) => `${it.key}→${it.value}`);
  expect(read(' error=true  http.url="/a?b=c d" "odd key"=1 empty= quote="a\\"b\\\\" ')).toEqual(["error→true", "http.url→/a?b=c d", "odd key→1", "empty→", 'quote→a"b\\']);
  for (const text of ["error", "a=b c", '="x"', 'a="b', "a=b=c"]) expect(tagsIn(text).problem, text).toMatch(/^Tags are pairs/);
  expect(tagsIn("").problem).toBeUndefined();
  for (const text of ["plain", "with space", 'q"uote', "back\\slash", "", "a=b"]) expect(read(`k=${quoted(text)}`)).toEqual([`k→${text}`]);
});

test("durations as Go writes them, and nothing else", () => {
  expect(["1.2ms", "500us", "500µs", "3s", "1m30s", "2h", "750ns", " 1 s "].map(durationIn)).toEqual([1200, 500, 500, 3e6, 9e7, 7.2e9, 0.75, 1e6]);
  for (const text of ["5", "ms", "1 day", "-1s", "1,5s", ""]) expect(durationIn(text), text).toBeUndefined();
  for (const us of [1, 37, 999, 1000, 1234, 999_999, 1e6, 1_234_567, 6.1e7]) {
    const [least, most] = [durationIn(durationText(us, Math.floor)) ?? 0, durationIn(durationText(us, Math.ceil)) ?? 0];
    expect(least <= us + 1e-6 && us <= most + 1e-6 && most - least <= us / 50, `${us}: ${least} ${most}`).toBe(true);
  }
});

test("a question that cannot be meant is not asked", () => {
  expect(problemOf(ask("service=a&tags=x%3D1&minDuration=1ms&maxDuration=1ms"))).toBeUndefined();
  expect(problemOf(ask(""))).toMatch(/service/);
  expect(problemOf(ask("service=a&tags=x"))).toMatch(/Tags/);
  expect(problemOf(ask("service=a&minDuration=5"))).toMatch(/Min Duration/);
  expect(problemOf(ask("service=a&minDuration=5s&maxDuration=1s"))).toMatch(/more than/);
  expect(problemOf({ ...ask("service=a"), lookback: CUSTOM, start: 2, end: 1 })).toMatch(/before it begins/);
});

test("ids and the ways from a trace", () => {
  expect(["abc", "0".repeat(31) + "1", " ABC "].map(isTraceId)).toEqual([true, true, true]);
  expect(["", "0", "xyz", "a".repeat(33)].map(isTraceId)).toEqual([false, false, false, false]);
  expect(traceAddress("ab", "cd")).toBe("/traces/ab?span=cd");
  const to = new URL(logsAddress("ab", 1_000_000_000, 2_000_000_000, "cd"), "http://x");
  expect(to.searchParams.get("expr")).toBe('{service_name=~".+"} | trace_id="ab" | span_id="cd"');
  expect([to.searchParams.get("from"), to.searchParams.get("to")]).toEqual(["700000", "2300000"]);
});

type Given = [id: string, parent: string | undefined, name: string, service: string, duration: number, error?: boolean];
function trace(...given: Given[]): Trace {
  return parseTrace({
    traceID: "1",
    spans: given.map(([spanID, parent, operationName, processID, duration, error = false]) => ({
      spanID,
      operationName,
      processID,
      references: parent === undefined ? [] : [{ refType: "CHILD_OF", spanID: parent }],
      startTime: 100,
      duration,
      tags: error ? [{ key: "error", type: "bool", value: true }] : [{ key: "db", value: "Pg" }],
    })),
    processes: { a: { serviceName: "web", tags: [] }, b: { serviceName: "db", tags: [] } },
  });
}

test("what a list says of a trace", () => {
  const found = summaryOf(trace(["1", undefined, "GET", "a", 50], ["2", "1", "SQL", "b", 80, true], ["3", "9", "lost", "b", 1]));
  expect(found).toMatchObject({ service: "web", name: "GET", startUs: 100, durationUs: 80, spans: 3, errors: 1, incomplete: true });
  expect(found.services).toEqual([{ name: "db", spans: 2, errors: 1 }, { name: "web", spans: 1, errors: 0 }]);
  expect(summaryOf(parseTrace({}))).toMatchObject({ spans: 0, startUs: 0, durationUs: 0, name: "" });
});

const of = (id: string, startUs: number, durationUs: number, spans: number, errors = 0): Summary => ({ id, startUs, durationUs, spans, errors, service: "", name: "", services: [], incomplete: false });

test("orders of the list", () => {
  const all = [of("a", 1, 30, 2), of("b", 2, 10, 9), of("c", 3, 20, 2)];
  const ids = (order: Parameters<typeof ordered>[1]): string => ordered(all, order).map((it) => it.id).join("");
  expect([ids("most recent"), ids("longest"), ids("shortest"), ids("most spans"), ids("least spans")]).toEqual(["cba", "acb", "bca", "bca", "cab"]);
});

test("every trace is in one bucket, and buckets are few", () => {
  const all = [of("a", 0, 0, 1), of("b", 0, 1, 1), of("c", 0, 999, 1, 1), of("d", 0, 1000, 1), of("e", 0, 4e12, 1)];
  const buckets = bucketsOf(all);
  expect(buckets.reduce((sum, it) => sum + it.count, 0)).toBe(5);
  expect(buckets.reduce((sum, it) => sum + it.errors, 0)).toBe(1);
  expect(buckets.length).toBeLessThanOrEqual(24);
  for (const it of all) expect(buckets.filter(({ from, to }) => from <= it.durationUs && it.durationUs < to)).toHaveLength(1);
  expect(bucketsOf([of("a", 0, 1500, 1)])).toEqual([{ from: 1000, to: 2000, count: 1, errors: 0 }]);
  expect(bucketsOf([])).toEqual([]);
  expect([quantile(all, 0.5), quantile(all, 1), quantile([], 0.5)]).toEqual([999, 4e12, undefined]);
});

test("two traces are laid over each other by operations", () => {
  const a = treeOf(trace(["1", undefined, "GET", "a", 50], ["2", "1", "SQL", "b", 10], ["3", "1", "SQL", "b", 20], ["4", "1", "gone", "b", 5]));
  const b = treeOf(trace(["1", undefined, "GET", "a", 70], ["2", "1", "SQL", "b", 40, true], ["5", "2", "disk", "b", 4]));
  const pairs = laidOver(a, b);
  expect(pairs.map((it) => `${".".repeat(it.depth)}${it.name} ${it.a.count}/${it.b.count} ${it.a.us}/${it.b.us} ${changeOf(it)} ${it.size}`)).toEqual([
    "GET 1/1 50/70 same 3",
    ".SQL 2/1 30/40 fewer 1",
    "..disk 0/1 0/4 only B 0",
    ".gone 1/0 5/0 only A 0",
  ]);
  expect(pairs[1]?.b.errors).toBe(1);
  expect(laidOver([], [])).toEqual([]);
});

test("words are found wherever they stand in a span", () => {
  const nodes = treeOf(trace(["1a", undefined, "GET", "a", 50], ["2b", "1a", "SQL", "b", 10]));
  expect(foundRows(nodes, "sql")).toEqual([1]);
  expect(foundRows(nodes, "DB=pg")).toEqual([0, 1]);
  expect(foundRows(nodes, "web get")).toEqual([0]);
  expect(foundRows(nodes, "2b")).toEqual([1]);
  expect(foundRows(nodes, " ")).toEqual([]);
});

const callsOf = (...all: [string, string, number][]) => parseCalls({ data: all.map(([parent, child, callCount]) => ({ parent, child, callCount })) });
const columns = (...all: [string, string, number][]): Record<string, number> => Object.fromEntries(mapOf(callsOf(...all)).boxes.map((it) => [it.service, Math.round((it.x - 36) / (BOX.width + 90))]));

test("callers stand left of whom they call, rings and all", () => {
  expect(columns(["a", "b", 1], ["b", "c", 1], ["a", "c", 1])).toEqual({ a: 0, b: 1, c: 2 });
  expect(columns(["a", "b", 1], ["b", "a", 1], ["b", "b", 1])).toEqual({ a: 0, b: 1 });
  expect(columns(["front", "a", 9], ["a", "b", 1], ["b", "c", 1], ["c", "a", 1])).toEqual({ front: 0, a: 1, b: 2, c: 3 });
});

test("boxes do not lie on each other, and counts are added up", () => {
  const found = mapOf(callsOf(["a", "x", 1], ["a", "y", 2], ["a", "z", 3], ["b", "z", 4], ["a", "x", 5]));
  expect(new Set(found.boxes.map((it) => `${it.x} ${it.y}`)).size).toBe(5);
  expect(found.lines.find((it) => it.from === "a" && it.to === "x")?.count).toBe(6);
  expect(found.boxes.find((it) => it.service === "z")).toMatchObject({ called: 7, calls: 0 });
  expect(found.boxes.every((it) => it.x + BOX.width <= found.width && it.y + BOX.height <= found.height)).toBe(true);
  expect(mapOf([])).toMatchObject({ boxes: [], lines: [], left: 0 });
});

test("a picture holds so many services; the others are counted", () => {
  const found = mapOf(callsOf(...Array.from({ length: 300 }, (_, at): [string, string, number] => [`s${at}`, `s${at + 1}`, 1000 - at])));
  expect([found.boxes.length, found.left]).toEqual([BOXES_MAX, 301 - BOXES_MAX]);
});

test("lengths in words, and marks that read well", () => {
  expect([0, 0.2, 1, 340, 999, 1000, 1_230_000, 184e6].map(lengthOf)).toEqual(["0 µs", "<1 µs", "1 µs", "340 µs", "999 µs", "1 ms", "1.23 s", "3 min 4 s"]);
  expect(roundMarks(700_000, 4)).toEqual([0, 200_000, 400_000, 600_000]);
  expect(roundMarks(7e9, 4).map(lengthOf)).toEqual(["0 µs", "30 min", "1 h", "1 h 30 min"]);
  expect(logMarks(40_000, 3.6e9, 5).map(lengthOf)).toEqual(["50 ms", "1 s", "15 s", "5 min", "1 h"]);
  expect(logMarks(1500, 1600, 5)).toEqual([]);
  expect([...ROUND_US].sort((a, b) => a - b)).toEqual(ROUND_US);
  expect(new Set(["a", "b", "c"].map(colorOf)).size).toBe(3);
  expect(colorOf("a")).toBe(colorOf("a"));
});
