// Panes in the address, ours and those of Grafana's links. Not the asking.
import { expect, test } from "vitest";
import { addressOf, boardOf, exploreOf } from "./panes";

const of = (query: string) => exploreOf(new URLSearchParams(query));

test("the address holds all panes and the range", () => {
  const explore = { panes: [{ source: "loki" as const, expr: '{job="a"} |= "x & y"' }, { source: "prometheus" as const, expr: "rate(up[5m])" }], from: "now-6h", to: "now" };
  expect(of(addressOf(explore).replace(/^[^?]*\?/, ""))).toEqual(explore);
});

test("links of Grafana lead here, old and new", () => {
  const panes = { abc: { datasource: "uid-1", queries: [{ refId: "A", expr: "up", datasource: { type: "prometheus", uid: "uid-1" } }], range: { from: "now-3h", to: "now-1h" } } };
  expect(of(`schemaVersion=1&panes=${encodeURIComponent(JSON.stringify(panes))}`)).toEqual({ panes: [{ source: "prometheus", expr: "up" }], from: "now-3h", to: "now-1h" });
  expect(of(`left=${encodeURIComponent('["now-2h","now","Loki",{"expr":"{a=\\"b\\"}"}]')}`)).toEqual({ panes: [{ source: "loki", expr: '{a="b"}' }], from: "now-2h", to: "now" });
  expect(of(`left=${encodeURIComponent('{"datasource":"Tempo","queries":[{"query":"abc"}],"range":{"from":"now-2h","to":"now"}}')}`).panes).toEqual([{ source: "tempo", expr: "abc" }]);
});

test("what cannot be read is an empty pane, and there are never too many", () => {
  expect(of("panes={")).toEqual({ panes: [{ source: "loki", expr: "" }], from: "now-1h", to: "now" });
  const many = Object.fromEntries(Array.from({ length: 9 }, (_, at) => [`p${at}`, { queries: [{ expr: String(at) }] }]));
  expect(of(`panes=${encodeURIComponent(JSON.stringify(many))}`).panes.length).toBe(4);
});

test("lines of logs are a list, numbers over them a chart", () => {
  const type = (source: "loki" | "tempo", expr: string): unknown => (boardOf({ source, expr })["panels"] as Record<string, unknown>[])[0]?.["type"];
  expect([type("loki", '{a="b"}'), type("loki", 'rate({a="b"}[1m])'), type("tempo", "abc")]).toEqual(["logs", "timeseries", "traces"]);
});
