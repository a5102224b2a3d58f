// Which targets are shown in which order, and what is known of probes.
import { expect, test } from "vitest";
import type { VectorItem } from "../../api/prometheus";
import { parseTargets } from "../../api/targets";
import { counts, matcher, pools, probes } from "./view";

const target = (scrapePool: string, scrapeUrl: string, health: string, lastError = ""): unknown => ({
  scrapePool,
  scrapeUrl,
  health,
  lastError,
  lastScrape: health === "unknown" ? "0001-01-01T00:00:00Z" : "2025-12-30T10:15:00Z",
  lastScrapeDuration: 0.02,
  labels: { job: scrapePool },
});
const all = parseTargets({
  status: "success",
  data: { activeTargets: [target("node", "http://b/metrics", "up"), target("api", "http://a/metrics", "up"), target("node", "http://c/metrics", "down", "refused"), target("new", "http://d/metrics", "unknown")] },
});

test("what is down comes first", () => {
  expect(pools(all, undefined, "").map((it) => `${it.name}: ${it.targets.map((t) => t.url).join(" ")}`)).toEqual(["node: http://c/metrics http://b/metrics", "new: http://d/metrics", "api: http://a/metrics"]);
  expect(pools(all, "up", "").map((it) => it.name)).toEqual(["api", "node"]);
  expect(pools(all, undefined, "refused").map((it) => it.targets.length)).toEqual([1]);
  expect(counts(all)).toEqual({ down: 1, unknown: 1, up: 2 });
  expect(all.map((it) => it.duration)).toEqual([0.02, 0.02, 0.02, null]);
  expect(() => parseTargets({ status: "error" })).toThrow("no list of targets");
});

test("probes say what went wrong as far as it is known", () => {
  const item = (__name__: string, instance: string, value: number): VectorItem => ({ labels: { __name__, job: "p", instance }, time: 0, value, text: "" });
  const items = [
    item("probe_success", "good", 1),
    item("probe_ssl_earliest_cert_expiry", "good", 1_000),
    item("probe_success", "bad", 0),
    item("probe_http_status_code", "bad", 503),
    item("probe_duration_seconds", "bad", 0.5),
    item("probe_success", "wrong", 0),
    item("probe_failed_due_to_regex", "wrong", 1),
    item("probe_success", "gone", 0),
    item("probe_http_status_code", "gone", 0),
  ];
  const found = probes(items, 900, (_, instance) => (instance === "gone" ? "no route" : ""));
  expect(found.map((it) => [it.instance, it.problem, it.expires])).toEqual([
    ["bad", "HTTP status 503", undefined],
    ["gone", "no route", undefined],
    ["wrong", "the text is not as it must be", undefined],
    ["good", "", 100],
  ]);
  expect(found[0]).toMatchObject({ duration: 0.5, status: 503 });
  expect(matcher("job", 'a"b\\')).toBe('job="a\\"b\\\\"');
});
