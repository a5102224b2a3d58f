// Whose findings are whose among rules of one name. Not how they are shown.
import { expect, test } from "vitest";
import { parseReport } from "../../api/doctor";
import { parseRuleGroups } from "../../api/rules";
import { remarksOf } from "./remarks";

type Fields = Record<string, unknown>;
const group = (name: string, ...rules: [name: string, query: string][]): Fields => ({
  name,
  file: "f.yml",
  rules: rules.map(([name, query]) => ({ type: "alerting", name, query })),
});
const finding = (code: string, line: number, message: string, subject = "A"): Fields => ({ code, file: "f.yml", line, column: 9, subject, message });

/** The codes and lines at each rule, in the order of the rules; a question mark where it may be another's. */
function seen(groups: Fields[], findings: Fields[]): string[] {
  const parsed = parseRuleGroups({ data: { groups } });
  const remarks = remarksOf(parsed, parseReport({ findings }).findings);
  const words = parsed.flatMap((it) => it.rules).map((rule) => (remarks.get(rule) ?? []).map((it) => `${it.finding.code}@${it.finding.line}${it.sure ? "" : "?"}`));
  return words.map((it) => it.join(" "));
}

const TWICE = "an alert of this name stands in f.yml:3 already, and both look the same where they arrive";

test("a name that stands once in a file takes what is said of it there, and nothing else", () => {
  const findings = [finding("x", 4, "m"), { ...finding("x", 5, "m"), file: "g.yml" }, finding("x", 6, "m", "panel"), finding("y", 9, "m", "B")];
  expect(seen([group("g", ["A", "up"], ["B", "up"])], findings)).toEqual(["x@4", "y@9"]);
});

test("what names a metric is about the rule that asks for it, in whichever group", () => {
  const groups = [group("a", ["A", "disk_free < 1"]), group("b", ["A", "disk_used > 5"])];
  const findings = [finding("unknown-metric", 4, "no catalog and no rule knows disk_used"), finding("unknown-metric", 9, "no catalog and no rule knows disk_free")];
  expect(seen(groups, findings)).toEqual(["unknown-metric@9", "unknown-metric@4"]);
});

test("the same said of each stage goes to each in order", () => {
  const stages = group("g", ["A", "disk_used > 5"], ["B", "up"], ["A", "disk_used > 9"]);
  const unknown = (line: number) => finding("unknown-metric", line, "no catalog and no rule knows disk_used");
  expect(seen([stages], [unknown(14), unknown(4)])).toEqual(["unknown-metric@4", "", "unknown-metric@14"]);
});

test("a name used again is the later rule's, with what follows it", () => {
  const stages = group("g", ["A", "disk_used > 5"], ["A", "disk_used > 9"]);
  expect(seen([stages], [finding("duplicate-name", 7, TWICE)])).toEqual(["", "duplicate-name@7"]);
  expect(seen([stages], [finding("duplicate-name", 7, TWICE), finding("rate-of-gauge", 8, "m")])).toEqual(["", "duplicate-name@7 rate-of-gauge@8"]);
  expect(seen([stages], [finding("rate-of-gauge", 4, "m"), finding("duplicate-name", 7, TWICE)])).toEqual(["rate-of-gauge@4", "duplicate-name@7"]);
});

test("what nothing tells apart is said of both, as unsure", () => {
  const stages = group("g", ["A", "disk_used > 5"], ["A", "disk_used > 9"]);
  expect(seen([stages], [finding("constant-condition", 4, "m")])).toEqual(["constant-condition@4?", "constant-condition@4?"]);
  // The order of groups in a file is not known.
  expect(seen([group("a", ["A", "up > 1"]), group("b", ["A", "up > 2"])], [finding("duplicate-name", 7, TWICE)])).toEqual(["duplicate-name@7?", "duplicate-name@7?"]);
  // The name stands in another file first: either may repeat it.
  expect(seen([stages], [finding("duplicate-name", 7, TWICE.replace("f.yml", "e.yml"))])).toEqual(["duplicate-name@7?", "duplicate-name@7?"]);
});
