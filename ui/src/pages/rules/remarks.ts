// Whose the doctor's findings are, when several rules of a file have one name. Rules come without lines and groups by name, so only
// the order within a group and the texts tell. Not the findings, and not the drawing.
import type { Finding } from "../../api/doctor";
import type { Rule, RuleGroup } from "../../api/rules";

export interface Remark {
  finding: Finding;
  /** False when it is about this rule or another of its name. */
  sure: boolean;
}
export type Remarks = ReadonlyMap<Rule, readonly Remark[]>;
interface Placed {
  rule: Rule;
  group: RuleGroup;
}

/** Kinds whose place is where a rule begins; the others stand in its expression or its texts. */
const AT_BEGIN = ["duplicate-name", "duplicate-condition", "overlapping-alerts"];

export function remarksOf(groups: readonly RuleGroup[], findings: readonly Finding[]): Remarks {
  const found = new Map<Rule, Remark[]>();
  const named = groupedBy(groups.flatMap((group) => group.rules.map((rule) => ({ rule, group }))), ({ rule, group }) => `${group.file}\n${rule.name}`);
  for (const [key, those] of groupedBy(findings, (it) => `${it.file}\n${it.subject}`)) {
    const sorted = [...those].sort((a, b) => a.line - b.line || a.column - b.column);
    for (const { finding, placed } of shared(named.get(key) ?? [], sorted)) {
      for (const { rule } of placed) found.set(rule, [...(found.get(rule) ?? []), { finding, sure: placed.length === 1 }]);
    }
  }
  return found;
}

interface Share {
  finding: Finding;
  /** The rules that it may be about. */
  placed: readonly Placed[];
}

/** Shares the findings about one name in a file out among the rules of that name. */
function shared(all: readonly Placed[], sorted: readonly Finding[]): Share[] {
  if (all.length < 2) return sorted.map((finding) => ({ finding, placed: all }));
  const shares = sorted.map((finding) => ({ finding, placed: meant(all, finding) }));
  return [...groupedBy(shares, (it) => it.placed.map((one) => all.indexOf(one)).join()).values()].flatMap((alike) => {
    const placed = alike[0]?.placed ?? [];
    const runs = runsFor(placed, alike.map((it) => it.finding));
    return runs ? runs.flatMap((run, index) => run.map((finding) => ({ finding, placed: placed.slice(index, index + 1) }))) : alike;
  });
}

/** As many runs of findings as there are rules, in their order; nothing when the order does not tell. */
function runsFor(placed: readonly Placed[], sorted: readonly Finding[]): Finding[][] | undefined {
  if (new Set(placed.map((it) => it.group)).size > 1) return undefined;
  const runs = runsOf(sorted);
  const [first] = sorted;
  // What repeats a name of this file is not about the first that has it.
  if (first?.code === "duplicate-name" && first.message.includes(`${first.file}:`)) runs.unshift([]);
  return runs.length === placed.length ? runs : undefined;
}

/** The rules whose expressions hold the metrics that a finding names; all of them when that says nothing. */
function meant(placed: readonly Placed[], { code, message }: Finding): readonly Placed[] {
  const names = AT_BEGIN.includes(code) ? [] : namesIn(message);
  const holds = (it: Placed): boolean => {
    const own = namesIn(it.rule.query);
    return names.every((name) => own.includes(name) || !placed.some((other) => namesIn(other.rule.query).includes(name)));
  };
  const found = placed.filter(holds);
  return found.length > 0 ? found : placed;
}

/** Words that can only be names of series or labels. */
function namesIn(text: string): string[] {
  return text.match(/[a-zA-Z]\w*[_:][\w:]*\w/g) ?? [];
}

/** Findings from the top of a file, cut where another rule begins: at its begin, or where the same is said again. */
function runsOf(sorted: readonly Finding[]): Finding[][] {
  const runs: Finding[][] = [];
  for (const it of sorted) {
    const run = runs.at(-1);
    const begins = run?.some((one) => one.line < it.line && (AT_BEGIN.includes(it.code) || (one.code === it.code && one.message === it.message)));
    if (!run || begins) runs.push([it]);
    else run.push(it);
  }
  return runs;
}

function groupedBy<T>(all: readonly T[], key: (it: T) => string): Map<string, T[]> {
  const found = new Map<string, T[]>();
  for (const it of all) {
    const same = found.get(key(it));
    if (same) same.push(it);
    else found.set(key(it), [it]);
  }
  return found;
}
