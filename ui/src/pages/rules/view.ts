// Which rules are shown and in which order, how many are in which state, and when a group is in trouble. Not the drawing.
import type { Rule, RuleGroup } from "../../api/rules";
import type { Tone } from "../../panels/services/states";
import { hasWords } from "../../parts/words";
import { t } from "../../words/t";

export const VIEWS = ["firing", "pending", "inactive", "errors", "recording"] as const;
export type View = (typeof VIEWS)[number];
export const VIEW_TONES: Record<View, Tone> = { firing: "critical", pending: "warning", inactive: "neutral", errors: "critical", recording: "neutral" };

/** A group that is so many intervals late does not run. */
const LATE_INTERVALS = 3;

export function isOf(rule: Rule, view: View): boolean {
  if (view === "errors") return rule.health === "err";
  return view === "recording" ? rule.recording : rule.state === view;
}

export function counts(groups: readonly RuleGroup[]): Record<View | "all", number> {
  const rules = groups.flatMap((it) => it.rules);
  const of = (view: View): number => rules.filter((it) => isOf(it, view)).length;
  return { all: rules.length, firing: of("firing"), pending: of("pending"), inactive: of("inactive"), errors: of("errors"), recording: of("recording") };
}

function textOf(rule: Rule, group: RuleGroup): string {
  const pairs = Object.entries(rule.labels).map(([name, value]) => `${name}=${value}`);
  return [rule.name, rule.query, group.name, group.file, ...pairs].join("\n");
}

/** As they stand in the files, or those first that take longest. */
export function chosen(groups: readonly RuleGroup[], view: View | undefined, words: string, slowest: boolean): RuleGroup[] {
  const found = groups
    .map((group) => ({ ...group, rules: group.rules.filter((it) => (view === undefined || isOf(it, view)) && hasWords(textOf(it, group), words)) }))
    .filter((it) => it.rules.length > 0);
  if (!slowest) return found;
  const taken = (it: { evaluationSeconds: number | null }): number => it.evaluationSeconds ?? 0;
  const order = (a: { evaluationSeconds: number | null }, b: { evaluationSeconds: number | null }): number => taken(b) - taken(a);
  return found.map((group) => ({ ...group, rules: [...group.rules].sort(order) })).sort(order);
}

/** What is wrong with a group's turns, if anything is. */
export function groupTrouble(group: RuleGroup, nowMs: number): string | undefined {
  const { intervalSeconds, evaluationSeconds, lastEvaluation } = group;
  if (!intervalSeconds) return undefined;
  if (evaluationSeconds !== null && evaluationSeconds > intervalSeconds) return t("takes longer than its interval, so turns are left out");
  const late = lastEvaluation === null ? 0 : nowMs - Date.parse(lastEvaluation) - (evaluationSeconds ?? 0) * 1000;
  return late > LATE_INTERVALS * intervalSeconds * 1000 ? t("has not been evaluated for several intervals") : undefined;
}

/** Where an expression can be looked at: lines make other numbers than samples. */
export function addressOfQuery(expr: string, language: RuleGroup["language"]): string {
  return language === "logql" ? `/logs?${new URLSearchParams({ lang: "logql", expr })}` : `/query?${new URLSearchParams({ expr })}`;
}
