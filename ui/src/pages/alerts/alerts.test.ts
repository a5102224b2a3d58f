// What the pages of alerts, rules and findings make of answers. Not how it looks.
import { expect, test } from "vitest";
import { type Alert, filterOf, type Matcher, matcherText, parseGroups, parseSilence } from "../../api/alerts";
import type { LabelSet } from "../../api/prometheus";
import { parseReport } from "../../api/doctor";
import { parseRuleGroups, type RuleGroup } from "../../api/rules";
import { hasWords } from "../../parts/words";
import { chosen as chosenFindings, codes, placeOf } from "../doctor/view";
import { addressOfQuery, chosen as chosenRules, groupTrouble } from "../rules/view";
import { deliveryRows } from "./delivery";
import { complete, draftAgain, draftOf, fieldTime, toSend } from "./draft";
import { stripPath, tracks } from "./history";
import { severityTone } from "./severity";
import { chosen, counts, shownGroups, tellingLabels, webAddress } from "./view";

const alert = (labels: LabelSet, more: Partial<Alert> = {}): Alert => ({
  fingerprint: JSON.stringify(labels),
  labels,
  annotations: {},
  startsAt: "2026-01-01T00:00:00Z",
  updatedAt: null,
  receivers: [],
  silencedBy: [],
  inhibitedBy: [],
  mutedBy: [],
  source: null,
  ...more,
});
const rules = (...alerts: [string, LabelSet][]): RuleGroup[] =>
  parseRuleGroups({
    data: {
      groups: [{ name: "g", file: "f", interval: 60, rules: [{ type: "alerting", name: "r", query: "up", alerts: alerts.map(([state, labels]) => ({ state, labels })) }] }],
    },
  });

test.each<[Matcher, string]>([
  [{ name: "a", op: "=", value: "x" }, 'a="x"'],
  [{ name: "a", op: "!~", value: 'x"\\d\n' }, 'a!~"x\\"\\\\d\\n"'],
  [{ name: "a.b", op: "!=", value: "" }, '"a.b"!=""'],
])("matcher %o is %s", (matcher, text) => {
  expect(matcherText(matcher)).toBe(text);
  expect(filterOf([matcher, matcher])).toBe(`{${text},${text}}`);
});

test("matchers of silences are read with all four comparisons", () => {
  const read = (isEqual: boolean | undefined, isRegex: boolean) => parseSilence({ matchers: [{ name: "a", value: "x", isEqual, isRegex }] }).matchers[0]?.op;
  expect([read(true, false), read(false, false), read(true, true), read(false, true), read(undefined, false)]).toEqual(["=", "!=", "=~", "!~", "="]);
});

test("an answer that is no list is a failure and not an empty page", () => {
  expect(() => parseGroups({})).toThrow("without a list");
  expect(() => parseRuleGroups({ data: {} })).toThrow("without groups");
  expect(() => parseReport([])).toThrow("without findings");
});

test("what a rule holds and the Alertmanager holds is one alert, external labels or not", () => {
  const held = alert({ alertname: "A", i: "1", site: "home" });
  const groups = [{ labels: { alertname: "A" }, receiver: "r", alerts: [held] }];
  const seen = shownGroups(groups, rules(["firing", { alertname: "A", i: "1" }], ["firing", { alertname: "A", i: "2" }], ["pending", { alertname: "A", i: "3" }], ["inactive", { alertname: "A", i: "4" }]));
  expect(seen.map((it) => [it.kind, it.alerts.map((one) => [one.labels["i"], one.kinds[0], one.raised !== undefined])])).toEqual([
    ["notified", [["1", "firing", true]]],
    ["elsewhere", [["2", "firing", true]]],
    ["pending", [["3", "pending", true]]],
  ]);
  // A label of the rule that the Alertmanager's alert has not makes it another alert.
  expect(shownGroups([{ labels: {}, receiver: "r", alerts: [alert({ alertname: "A" })] }], rules(["firing", { alertname: "A", i: "1" }]))).toHaveLength(2);
});

test("an alert of two groups counts once, and in each of its states", () => {
  const both = alert({ alertname: "A" }, { silencedBy: ["s"], inhibitedBy: ["i"] });
  const seen = shownGroups([{ labels: {}, receiver: "r", alerts: [both] }, { labels: {}, receiver: "q", alerts: [both] }], []);
  expect(counts(seen)).toEqual({ all: 1, firing: 0, pending: 0, silenced: 1, inhibited: 1, muted: 0 });
  expect(chosen(seen, "inhibited", "").flatMap((it) => it.alerts)).toHaveLength(2);
  expect(chosen(seen, "firing", "")).toEqual([]);
});

test("the gravest comes first, then the newest", () => {
  const of = (severity: string, startsAt: string) => alert({ alertname: severity + startsAt, severity }, { startsAt });
  const alerts = [of("info", "2"), of("warning", "1"), of("critical", "1"), of("page", "2"), { ...of("critical", "3"), silencedBy: ["s"] }];
  const seen = chosen(shownGroups([{ labels: {}, receiver: "r", alerts }], []), undefined, "");
  expect(seen[0]?.alerts.map((it) => it.labels["alertname"])).toEqual(["page2", "critical1", "warning1", "info2", "critical3"]);
  expect(["critical", "page", "warn", "nonsense", undefined].map((it) => severityTone(it ? { severity: it } : {}))).toEqual(["critical", "critical", "warning", "neutral", "neutral"]);
});

test("labels that the group says are not said again", () => {
  expect(tellingLabels({ alertname: "A", severity: "x", job: "j", i: "1" }, { job: "j", i: "2" })).toEqual([["i", "1"]]);
});

test.each([
  ["https://a.example/x", true],
  ["HTTP://a", true],
  ["javascript:alert(1)", false],
  ["see https://a.example", false],
  ["", false],
])("%s is a link: %s", (text, link) => {
  expect(webAddress(text) !== undefined).toBe(link);
});

test("words are looked for one by one", () => {
  expect(hasWords("Camera garage Offline", "offline  GAR")).toBe(true);
  expect(hasWords("Camera garage", "garage door")).toBe(false);
  expect(hasWords("", "")).toBe(true);
});

test("a silence needs a label with a value and an end to come", () => {
  const draft = draftOf({ alertname: "A", empty: "" }, " ada ");
  const now = Date.parse("2026-01-01T00:00:00Z");
  expect(toSend(draft, now)).toMatchObject({ startsAt: "2026-01-01T00:00:00.000Z", endsAt: "2026-01-01T02:00:00.000Z", by: "ada" });
  expect(toSend({ ...draft, matchers: [] }, now)).toBe("It needs a label with a value.");
  expect(toSend({ ...draft, length: "until" }, now)).toBe("It needs an end.");
  expect(toSend({ ...draft, length: "until", until: "2020-01-01T00:00" }, now)).toBe("Its end is in the past.");
  const asks = (op: Matcher["op"], value: string, name = "a") => complete([{ name, op, value }]);
  expect([asks("=", "x"), asks("=", ""), asks("!=", ""), asks("!=", "x"), asks("=~", "x"), asks("!~", "x"), asks("=", "x", "")]).toEqual([true, false, true, false, true, false, false]);
});

test("a silence that runs keeps its name and begin, one that is over gets new ones", () => {
  const fields = { id: "s", matchers: [{ name: "a", value: "x", isRegex: false }], startsAt: "2026-01-01T00:00:00Z", endsAt: "2026-01-01T04:00:30Z", createdBy: "ada" };
  const running = draftAgain(parseSilence({ ...fields, status: { state: "active" } }), "bob");
  expect(running).toMatchObject({ id: "s", startsAt: fields.startsAt, by: "ada", length: "until", until: fieldTime(Date.parse(fields.endsAt)) });
  expect(Date.parse(running.until)).toBe(Date.parse("2026-01-01T04:00:00Z"));
  const over = draftAgain(parseSilence({ ...fields, status: { state: "expired" } }), "bob");
  expect(over).toMatchObject({ by: "bob", length: "2h" });
  expect(over.id).toBeUndefined();
});

test("steps that touch are one episode, a pause makes two", () => {
  const range = { start: 1000, end: 2000, step: 100 };
  const labels = { alertname: "A", alertstate: "firing", job: "j" };
  const first = [{ labels, points: [[1000, 950], [1100, 1010], [1400, 1350], [2000, 1950]] as [number, number][] }];
  const last = [{ labels, points: [[1000, 990], [1100, 1090], [1400, 1390], [2000, 1990]] as [number, number][] }];
  const [track] = tracks(first, last, [], range);
  expect(track?.episodes).toEqual([
    { start: 950, end: 1090, cut: true, open: false },
    { start: 1350, end: 1390, cut: false, open: false },
    { start: 1950, end: 1990, cut: false, open: false },
  ]);
  expect([track?.name, track?.rest, track?.seconds]).toEqual(["A", '{job="j"}', 220]);
  // What fires now does so up to the end, whatever the order of its labels.
  const [open] = tracks(first, last, [{ __name__: "ALERTS", job: "j", alertstate: "firing", alertname: "A" }], range);
  expect(open?.episodes.at(-1)).toEqual({ start: 1950, end: 2000, cut: false, open: true });
  expect(stripPath(track?.episodes ?? [], range)).toBe("M0 0h140v1h-140zM350 0h40v1h-40zM950 0h40v1h-40z");
  // The shortest is still seen, also at the edge.
  expect(stripPath([{ start: 2000, end: 2000, cut: false, open: false }], range)).toBe("M996 0h4v1h-4z");
});

test("deliveries by kind of receiver", () => {
  const item = (labels: LabelSet, value: number) => ({ labels, value, time: 0, text: "" });
  const rows = deliveryRows([item({ integration: "b" }, 3.2), item({ integration: "a" }, 2), item({ integration: "c" }, 0)], [item({ integration: "a", reason: "later" }, 1)]);
  expect(rows).toEqual([
    { integration: "a", tries: 2, later: 1, refused: 0 },
    { integration: "b", tries: 3, later: 0, refused: 0 },
  ]);
});

test("groups that are slow or stand still are in trouble", () => {
  const [group] = rules();
  if (!group) throw new Error("no group");
  const now = Date.parse("2026-01-01T00:10:00Z");
  const of = (more: Partial<RuleGroup>) => groupTrouble({ ...group, ...more }, now);
  expect(of({ lastEvaluation: "2026-01-01T00:09:30Z", evaluationSeconds: 1 })).toBeUndefined();
  expect(of({ evaluationSeconds: 61 })).toMatch(/longer than its interval/);
  expect(of({ lastEvaluation: "2026-01-01T00:06:00Z", evaluationSeconds: 1 })).toMatch(/several intervals/);
  expect(of({ lastEvaluation: null })).toBeUndefined();
});

test("rules are filtered by what went wrong, slowest first on request", () => {
  const rule = (name: string, evaluationTime: number, health = "ok") => ({ type: "alerting", name, query: "up", evaluationTime, health });
  const groups = parseRuleGroups({
    data: {
      groups: [
        { name: "a", file: "f", evaluationTime: 1, rules: [rule("x", 0.1), rule("y", 0.9, "err")] },
        { name: "b", file: "f", evaluationTime: 2, rules: [rule("z", 2)] },
      ],
    },
  });
  const names = (...args: [Parameters<typeof chosenRules>[1], string, boolean]) => chosenRules(groups, ...args).flatMap((it) => it.rules.map((one) => one.name));
  expect(names(undefined, "", false)).toEqual(["x", "y", "z"]);
  expect(names(undefined, "", true)).toEqual(["z", "y", "x"]);
  expect(names("errors", "", false)).toEqual(["y"]);
  expect(names(undefined, "b up", false)).toEqual(["z"]);
});

test("findings by file, kinds by how many", () => {
  const { findings } = parseReport({ findings: [{ code: "a", file: "f", line: 2, column: 3 }, { code: "b", file: "g", line: 1, column: 1 }, { code: "b", file: "server" }] });
  expect(findings.map(placeOf)).toEqual(["f:2:3", "g:1:1", "server"]);
  expect(codes(findings)).toEqual([{ code: "b", count: 2 }, { code: "a", count: 1 }]);
  expect(chosenFindings(findings, "b", "").map((it) => it.file)).toEqual(["g", "server"]);
  expect(chosenFindings(findings, undefined, "f:2").map((it) => it.file)).toEqual(["f"]);
});

test("expressions over logs are looked at where lines are", () => {
  const groups = parseRuleGroups({ data: { groups: [{ name: "g", file: "f", language: "logql", rules: [] }, { name: "h", file: "f", rules: [] }] } });
  expect(groups.map((it) => addressOfQuery('rate({a="b"}[5m])', it.language))).toEqual([
    "/logs?lang=logql&expr=rate%28%7Ba%3D%22b%22%7D%5B5m%5D%29",
    "/query?expr=rate%28%7Ba%3D%22b%22%7D%5B5m%5D%29",
  ]);
});
