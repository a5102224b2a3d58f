// What is compared of a window of time, and where it leads. Not the asking.
import { expect, test } from "vitest";
import { exploreOf } from "../../pages/explore/panes";
import { candidates, exploreAddress, exprOf, scopeOf, scoreQuery, sides } from "./rank";

test("metrics are compared by value or by growth, and what says nothing is left out", () => {
  const metadata = new Map([["lat_seconds", { type: "histogram", help: "" }], ["jobs_done", { type: "counter", help: "" }], ["fill_total", { type: "gauge", help: "" }]]);
  const names = ["ALERTS", "app_build_info", "fill_total", "jobs_done", "lat_seconds_bucket", "lat_seconds_count", "lat_seconds_sum", "other_total", "process_start_time_seconds", "scrape_duration_seconds", "up"];
  expect(candidates(names, metadata).map(({ name, counts }) => `${name} ${counts}`)).toEqual(["fill_total false", "jobs_done true", "lat_seconds_count true", "other_total true", "up false"]);
});

test("what belongs to a chart is what has the job and instance of its series", () => {
  expect(scopeOf([])).toBe("");
  expect(scopeOf([{ mode: "user" }])).toBe("");
  expect(scopeOf([{ job: "node" }, { job: "node", instance: 'a"b' }])).toBe('job="node",instance="a\\"b"');
  expect(scopeOf([{ job: "a.b" }, { job: "c" }])).toBe('job=~"a\\\\.b|c"');
  expect(scopeOf(Array.from({ length: 30 }, (_, at) => ({ job: `j${at}` }))).split("|").length).toBe(10);
});

test("a window is compared with the one before it", () => {
  expect(sides({ name: "up", counts: false }, "", 600)).toEqual({ selector: '{__name__="up"}', now: 'avg_over_time({__name__="up"}[600s])', before: 'avg_over_time({__name__="up"}[600s] offset 600s)', spread: 'stddev_over_time({__name__="up"}[600s] offset 600s)' });
  expect(sides({ name: "my.count", counts: true }, 'job="a"', 80)).toMatchObject({ now: 'rate({__name__="my.count",job="a"}[80s])', spread: 'stddev_over_time(rate({__name__="my.count",job="a"}[30s])[80s:30s] offset 80s)' });
  expect(scoreQuery({ name: "up", counts: false }, "", 60)).toMatch(/^topk\(2, abs\(.*\) > 0\)$/);
});

test("a series leads to Explore, counted ones as their growth", () => {
  const expr = exprOf({ name: "a_total", counts: true }, { __name__: "a_total", job: 'x"y' });
  expect(expr).toBe('rate(a_total{job="x\\"y"}[$__rate_interval])');
  expect(exprOf({ name: "my.metric", counts: false }, { job: "x" })).toBe('{__name__="my.metric",job="x"}');
  const params = new URL(exploreAddress(1000, "now", "Loki", '{a="b"}'), "http://here").searchParams;
  expect(exploreOf(params)).toEqual({ panes: [{ source: "loki", expr: '{a="b"}' }], from: "1000", to: "now" });
});
