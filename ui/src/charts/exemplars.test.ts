// Exemplars as the server tells them, and where they lie. Not the strip.
import { expect, test } from "vitest";
import { parseExemplars, shareOf } from "./exemplars";

test("exemplars that name a trace are kept, newest first", () => {
  const exemplar = (labels: Record<string, string>, timestamp: number) => ({ labels, value: "0.25", timestamp });
  const body = {
    status: "success",
    data: [
      { seriesLabels: { __name__: "a_bucket", le: "1" }, exemplars: [exemplar({ trace_id: "ab12" }, 5), exemplar({ user: "x" }, 6)] },
      { seriesLabels: { __name__: "b" }, exemplars: [exemplar({ traceID: "cd" }, 7), exemplar({ trace_id: "no/id" }, 8), 3] },
      { exemplars: "none" },
    ],
  };
  expect(parseExemplars(body)).toEqual([
    { trace: "cd", series: { __name__: "b" }, time: 7, value: 0.25 },
    { trace: "ab12", series: { __name__: "a_bucket", le: "1" }, time: 5, value: 0.25 },
  ]);
  expect(() => parseExemplars({ status: "success" })).toThrow("no list of exemplars");
});

test("many are cut to the newest", () => {
  const exemplars = Array.from({ length: 500 }, (_, n) => ({ labels: { traceId: "a" }, value: "1", timestamp: n }));
  const found = parseExemplars({ data: [{ seriesLabels: {}, exemplars }] });
  expect([found.length, found[0]?.time]).toEqual([200, 499]);
});

test("a moment lies in the range or nowhere", () => {
  const range = { start: 100, end: 200, step: 10 };
  expect([99, 100, 150, 200, 201].map((time) => shareOf(time, range))).toEqual([undefined, 0, 0.5, 1, undefined]);
});
