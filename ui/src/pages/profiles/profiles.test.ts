// The arithmetic of flame graphs and the addresses of questions, without a browser.
import { describe, expect, test } from "vitest";
import { flameOf } from "../../api/pyroscope";
import { barsOf, change, functionsOf, share, valueWords } from "./flame";
import { addressOf, addressOfSpan, firstType, questionOf, selectorOf, typeWords, unitOf } from "./question";

const SINGLE = flameOf({ names: ["total", "main", "detect", "nms", "store"], levels: [[0, 70, 0, 0], [0, 70, 0, 1], [0, 50, 10, 2, 0, 20, 20, 4], [10, 40, 30, 3], [30, 10, 10, 3]], numTicks: 70 }, undefined);

describe("flame graphs", () => {
  test("each bar lies on the one that calls it", () => {
    const bars = barsOf(SINGLE);
    expect(bars.map((it) => [it.name, it.from, it.total, it.own, bars[it.parent]?.name])).toEqual([
      ["total", 0, 70, 0, undefined],
      ["main", 0, 70, 0, "total"],
      ["detect", 0, 50, 10, "main"],
      ["store", 50, 20, 20, "main"],
      ["nms", 10, 40, 30, "detect"],
      ["nms", 30, 10, 10, "nms"],
    ]);
  });

  test("a function that calls itself counts once", () => {
    const rows = functionsOf(barsOf(SINGLE));
    expect(rows.find((it) => it.name === "nms")).toEqual({ name: "nms", own: 40, total: 40, left: 40, right: 0 });
    expect(rows.reduce((sum, it) => sum + it.own, 0)).toBe(70);
  });

  test("two sides lie beside each other in a bar", () => {
    const flame = flameOf({ names: ["total", "a", "b"], levels: [[0, 40, 0, 0, 30, 0, 0], [0, 40, 40, 0, 10, 10, 1, 0, 0, 0, 0, 20, 20, 2]], numTicks: 70 }, [40, 30]);
    expect(barsOf(flame).map((it) => [it.name, it.from, it.total, it.left, it.right])).toEqual([
      ["total", 0, 70, 40, 30],
      ["a", 0, 50, 40, 10],
      ["b", 50, 20, 0, 20],
    ]);
    expect(change(40, 10, [40, 30])).toBeCloseTo(-2 / 3);
    expect(change(0, 0, [0, 0])).toBe(0);
  });

  test("numbers may be text and levels objects, and what is no graph is empty", () => {
    expect(flameOf({ names: ["total"], levels: [{ values: ["0", "7", "7", "0"] }], total: "7" }, undefined)).toEqual({ names: ["total"], levels: [[0, 7, 7, 0]], total: 7, sides: undefined });
    expect(barsOf(flameOf({ levels: [null, "x", [1, 2]] }, undefined))).toEqual([]);
  });

  test("values in the words of their unit", () => {
    expect([valueWords(1_230_000_000, "nanoseconds"), valueWords(500, "nanoseconds"), valueWords(12_000, "nanoseconds"), valueWords(4 << 20, "bytes"), valueWords(1200, "count")]).toEqual(["1.23 s", "500 ns", "12 µs", "4.00 MiB", "1,200"]);
    expect([share(1, 3), share(0, 0), share(5, 100)]).toEqual(["33%", "–", "5.0%"]);
  });
});

describe("questions", () => {
  test("an address says what it was made of", () => {
    const address = addressOf({ service: "a b", type: "process_cpu:cpu:nanoseconds:cpu:nanoseconds", labels: 'env="prod"', from: 1000, until: 2000, span: "ab", trace: "cd" });
    const question = questionOf(new URL(address, "http://x").searchParams);
    expect(addressOf(question)).toBe(address);
    expect(addressOf(questionOf(new URLSearchParams("range=6h&from=9&until=3")))).toBe("/profiles?range=6h");
    expect(addressOf(questionOf(new URLSearchParams("range=1h")))).toBe("/profiles");
  });

  test("from a span to its service meanwhile", () => {
    expect(addressOfSpan("backend", "aa", 100_000_000, 2_000_000, "")).toBe("/profiles?service=backend&from=70000&until=132000&trace=aa");
    expect(addressOfSpan("backend", "aa", 100_000_000, 0, "bb")).toContain("&span=bb&");
  });

  test("selectors, types and their words", () => {
    expect(selectorOf({ service: 'a"b', labels: " {env=\"prod\"} " })).toBe('{service_name="a\\"b", env="prod"}');
    expect(selectorOf({ service: "a", labels: "" })).toBe('{service_name="a"}');
    const types = ["memory:inuse_space:bytes:space:bytes", "wall:wall:nanoseconds:wall:nanoseconds", "process_cpu:cpu:nanoseconds:cpu:nanoseconds"];
    expect([firstType(types), firstType(types.slice(0, 2)), firstType(["x:y:z:a:b"]), firstType([])]).toEqual([types[2], types[1], "x:y:z:a:b", ""]);
    expect([unitOf(types[0] ?? ""), typeWords(types[0] ?? "")]).toEqual(["bytes", "memory: inuse space"]);
  });
});
