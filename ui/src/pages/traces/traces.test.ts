// The order of spans, clocks, and the critical path, of traces as they come. Not their looks.
import { expect, test } from "vitest";
import { parseTrace, type Trace } from "../../api/jaeger";
import { firstShifted, shiftsOf, timesOf } from "./clocks";
import { criticalPath, sharesOf } from "./critical";
import { above, treeOf, unfolded } from "./tree";

type Given = [id: string, parent: string | undefined, start: number, duration: number, service?: string, follows?: boolean];

/** Spans named by their ids; a parent makes a reference to this trace. */
function trace(...given: Given[]): Trace {
  return parseTrace({
    traceID: "0AB",
    spans: given.map(([id, parent, startTime, duration, service = "s", follows = false]) => ({
      traceID: "ab",
      spanID: id,
      operationName: id,
      references: parent === undefined ? [] : [{ refType: follows ? "FOLLOWS_FROM" : "CHILD_OF", traceID: "0ab", spanID: parent }],
      startTime,
      duration,
      processID: service,
    })),
    processes: Object.fromEntries([...new Set(given.map((it) => it[4] ?? "s"))].map((it) => [it, { serviceName: it, tags: [] }])),
  });
}
/** Rows as names behind as many dots as they are deep, oddities behind a colon. */
const rows = (it: Trace): string[] => treeOf(it).map(({ span, depth, oddity }) => `${".".repeat(depth)}${span.id}${oddity ? `:${oddity}` : ""}`);

test("rows stand under their parents, by their begin, whatever order they come in", () => {
  expect(rows(trace(["d", "b", 30, 1], ["c", "a", 5, 1], ["b", "a", 3, 40], ["a", undefined, 0, 50]))).toEqual(["a", ".b", "..d", ".c"]);
  const nodes = treeOf(trace(["a", undefined, 0, 50], ["b", "a", 3, 40], ["d", "b", 30, 1], ["c", "a", 5, 1]));
  expect(nodes.map((it) => [it.parent, it.size])).toEqual([[-1, 3], [0, 1], [1, 0], [0, 0]]);
  expect(unfolded(nodes, new Set([1])).map((it) => it.span.id)).toEqual(["a", "b", "c"]);
  expect(unfolded(nodes, new Set([0, 1]))).toHaveLength(1);
  expect(above(nodes, 2)).toEqual([1, 0]);
});

test("spans whose parent never came are roots, and say so", () => {
  expect(rows(trace(["b", "gone", 3, 4], ["a", undefined, 5, 9], ["c", "b", 4, 1]))).toEqual(["b:no-parent", ".c", "a"]);
});

test("a reference to another trace is no parent, and what waits counts before what follows", () => {
  const spans = [
    { spanID: "a", startTime: 0, duration: 9 },
    { spanID: "b", startTime: 1, duration: 2 },
    { spanID: "c", startTime: 2, duration: 1, references: [{ refType: "FOLLOWS_FROM", spanID: "a" }, { refType: "CHILD_OF", traceID: "", spanID: "b" }] },
    { spanID: "d", startTime: 3, duration: 1, references: [{ refType: "CHILD_OF", traceID: "ffff", spanID: "a" }] },
  ];
  expect(rows(parseTrace({ traceID: "1", spans }))).toEqual(["a", "b", ".c", "d"]);
});

test("rings of parents are cut where they began, and nothing is lost", () => {
  expect(rows(trace(["a", "c", 3, 1], ["b", "a", 1, 1], ["c", "b", 2, 1], ["d", "c", 4, 1]))).toEqual(["b:ring", ".c", "..a", "..d"]);
  expect(rows(trace(["a", "a", 0, 1]))).toEqual(["a:ring"]);
});

test("an id that stands twice is two rows, and its children go to the first", () => {
  expect(rows(trace(["a", undefined, 0, 9], ["b", "a", 1, 2], ["b", "a", 3, 2], ["c", "b", 3, 1]))).toEqual(["a", ".b", "..c", ".b:twice"]);
});

test("a chain of 20,000 spans and a fan of 20,000 are no harder than others", () => {
  const chain = Array.from({ length: 20_000 }, (_, at): Given => [`${at + 1}`, at === 0 ? undefined : `${at}`, at, 40_000 - 2 * at]);
  const deep = treeOf(trace(...chain));
  expect(deep.at(-1)?.depth).toBe(19_999);
  expect(deep[0]?.size).toBe(19_999);
  expect(criticalPath(deep, timesOf(deep, undefined)).reduce((sum, it) => sum + it.to - it.from, 0)).toBe(40_000);
  const fan = treeOf(trace(["0", undefined, 0, 20_000], ...Array.from({ length: 20_000 }, (_, at): Given => [`${at + 1}`, "0", at, 1])));
  expect(criticalPath(fan, timesOf(fan, undefined))).toHaveLength(20_000);
});

test("what cannot be drawn is counted", () => {
  const found = parseTrace({ traceID: "1", spans: [{ spanID: "a", startTime: 1 }, { spanID: "b" }, { startTime: 3 }, 7] });
  expect([found.spans.length, found.unreadable, found.left]).toEqual([1, 2, 0]);
  expect(treeOf(parseTrace({}))).toEqual([]);
  expect(timesOf([], undefined)).toMatchObject({ from: 0, to: 0 });
});

/** "a 0-10" for each section of the path. */
function path(it: Trace): string[] {
  const nodes = treeOf(it);
  return criticalPath(nodes, timesOf(nodes, undefined)).map(({ index, from, to }) => `${nodes[index]?.span.id ?? ""} ${from}-${to}`);
}

test("the critical path goes back from the end by what ended last", () => {
  // Of two side by side the longer one counts, and of one after the other both.
  expect(path(trace(["a", undefined, 0, 100], ["b", "a", 10, 30], ["c", "a", 15, 20], ["d", "a", 50, 40]))).toEqual(["a 0-10", "b 10-40", "a 40-50", "d 50-90", "a 90-100"]);
  expect(path(trace(["a", undefined, 0, 100], ["b", "a", 10, 80], ["c", "b", 20, 30], ["d", "b", 30, 50]))).toEqual(["a 0-10", "b 10-30", "d 30-80", "b 80-90", "a 90-100"]);
});

test("what only follows keeps nobody waiting, and what hangs out is cut", () => {
  expect(path(trace(["a", undefined, 0, 100], ["b", "a", 50, 40, "s", true]))).toEqual(["a 0-100"]);
  expect(path(trace(["a", undefined, 0, 100], ["b", "a", 80, 90]))).toEqual(["a 0-80", "b 80-100"]);
  expect(path(trace(["a", undefined, 10, 90], ["b", "a", 0, 30]))).toEqual(["b 10-30", "a 30-100"]);
  expect(path(trace(["a", undefined, 10, 90], ["b", "a", 200, 30]))).toEqual(["a 10-100"]);
  expect(path(trace(["a", undefined, 0, 0]))).toEqual([]);
});

test("the sections of any trace fill the time of its root once", () => {
  // A generator with a seed, so that a failure comes again.
  let seed = 7;
  const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  for (let round = 0; round < 200; round++) {
    const given = Array.from({ length: 1 + random(30) }, (_, at): Given => [`${at + 1}`, at === 0 ? undefined : `${1 + random(at)}`, random(1000), random(800), `s${random(3)}`, random(5) === 0]);
    const nodes = treeOf(trace(...given));
    const sections = criticalPath(nodes, timesOf(nodes, undefined));
    const root = nodes.find((it) => it.parent < 0)?.span;
    expect(sections.reduce((sum, it) => sum + it.to - it.from, 0), `round ${round}`).toBe(root?.durationUs);
    for (const [at, it] of sections.entries()) expect(it.from, `round ${round}`).toBe(at === 0 ? root?.startUs : sections[at - 1]?.to);
  }
});

test("shares of the path are added up by operation", () => {
  const nodes = treeOf(trace(["a", undefined, 0, 100], ["b", "a", 10, 30, "db"], ["d", "a", 50, 40, "db"]));
  expect(sharesOf(nodes, criticalPath(nodes, timesOf(nodes, undefined))).map((it) => `${it.service} ${it.name} ${it.us}`)).toEqual(["db d 40", "s a 30", "db b 30"]);
});

function shifts(...given: Given[]): Record<string, number> {
  const nodes = treeOf(trace(...given));
  const found = shiftsOf(nodes);
  expect(firstShifted(nodes, found).every((it) => found[it.index] !== 0)).toBe(true);
  return Object.fromEntries(nodes.map((it) => [it.span.id, found[it.index] ?? 0]));
}

test("clocks of other machines are set right where a span begins outside the one that waits for it", () => {
  // 20 of 100 in the middle begin at 40; what is below it in its process goes with it.
  expect(shifts(["a", undefined, 1000, 100], ["b", "a", 500, 20, "db"], ["c", "b", 505, 5, "db"])).toEqual({ a: 0, b: 540, c: 540 });
  expect(shifts(["a", undefined, 1000, 100], ["b", "a", 9000, 20, "db"])).toEqual({ a: 0, b: -7960 });
  // Longer than its parent: begins with it.
  expect(shifts(["a", undefined, 1000, 100], ["b", "a", 500, 300, "db"])).toEqual({ a: 0, b: 500 });
});

test("what ends later, only follows, or has the same clock stays", () => {
  expect(shifts(["a", undefined, 1000, 100], ["b", "a", 1050, 500, "db"])).toEqual({ a: 0, b: 0 });
  expect(shifts(["a", undefined, 1000, 100], ["b", "a", 5000, 20, "db", true])).toEqual({ a: 0, b: 0 });
  expect(shifts(["a", undefined, 1000, 100], ["b", "a", 500, 20])).toEqual({ a: 0, b: 0 });
});

test("shifted spans are where they are drawn", () => {
  const nodes = treeOf(trace(["a", undefined, 1000, 100], ["b", "a", 500, 20, "db"]));
  expect(timesOf(nodes, undefined)).toMatchObject({ from: 500, to: 1100 });
  expect(timesOf(nodes, shiftsOf(nodes))).toMatchObject({ from: 1000, to: 1100, starts: [1000, 1040] });
  expect(firstShifted(nodes, shiftsOf(nodes)).map((it) => it.span.id)).toEqual(["b"]);
});
