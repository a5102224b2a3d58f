// One list out of what the Alertmanager inside holds and what the rules hold: every alert with its state, by group, filtered and in
// order. Pending alerts are known to the rules alone, alerts of other senders to the Alertmanager alone. Not the drawing.
import type { Alert, AlertGroup } from "../../api/alerts";
import type { LabelSet } from "../../api/prometheus";
import type { Rule, RuleAlert, RuleGroup } from "../../api/rules";
import type { Tone } from "../../panels/services/states";
import { hasWords } from "../../parts/words";
import { severityRank } from "./severity";

export const KINDS = ["firing", "pending", "silenced", "inhibited", "muted"] as const;
export type Kind = (typeof KINDS)[number];
export const KIND_TONES: Record<Kind, Tone> = { firing: "critical", pending: "warning", silenced: "neutral", inhibited: "neutral", muted: "neutral" };

/** What the rule that raised an alert says of it. */
export interface Raised {
  rule: Rule;
  group: RuleGroup;
  alert: RuleAlert;
}
export interface Shown {
  key: string;
  /** The first is the one that counts; an alert may be silenced and inhibited. */
  kinds: Kind[];
  labels: LabelSet;
  annotations: LabelSet;
  since: string | null;
  /** As the Alertmanager has it. */
  held: Alert | undefined;
  raised: Raised | undefined;
}
export interface ShownGroup {
  key: string;
  /** `notified` is a group of the Alertmanager; the others are told to nobody here. */
  kind: "notified" | "pending" | "elsewhere";
  labels: LabelSet;
  receiver: string;
  alerts: Shown[];
}

export function shownGroups(groups: readonly AlertGroup[], rules: readonly RuleGroup[]): ShownGroup[] {
  const raised = rules.flatMap((group) => group.rules.flatMap((rule) => rule.alerts.map((alert) => ({ rule, group, alert }))));
  const held = groups.flatMap((it) => it.alerts);
  const meet = meeting(raised, held);
  const byHeld = new Map(raised.flatMap((it) => (meet.get(it) ?? []).map((fingerprint) => [fingerprint, it] as const)));
  const notified = groups.map((group, index): ShownGroup => {
    const key = `${index}:${group.receiver}:${JSON.stringify(group.labels)}`;
    return { key, kind: "notified", labels: group.labels, receiver: group.receiver, alerts: group.alerts.map((it) => ofHeld(it, byHeld.get(it.fingerprint))) };
  });
  const rest = (state: "pending" | "firing"): Shown[] => raised.filter((it) => it.alert.state === state && !meet.has(it)).map((it) => ofRule(it, state));
  const others: ShownGroup[] = [
    { key: "elsewhere", kind: "elsewhere", labels: {}, receiver: "", alerts: rest("firing") },
    { key: "pending", kind: "pending", labels: {}, receiver: "", alerts: rest("pending") },
  ];
  return [...notified, ...others].filter((it) => it.alerts.length > 0);
}

/** Which held alerts are those of a rule: what the Alertmanager holds has external labels besides. */
function meeting(raised: readonly Raised[], held: readonly Alert[]): Map<Raised, string[]> {
  const tables = new Map<string, Map<string, string[]>>();
  const found = new Map<Raised, string[]>();
  for (const it of raised) {
    const names = Object.keys(it.alert.labels).sort();
    const of = (labels: LabelSet): string => JSON.stringify(names.map((name) => labels[name] ?? ""));
    const shape = JSON.stringify(names);
    const table = tables.get(shape) ?? tableOf(held, of);
    tables.set(shape, table);
    const fingerprints = table.get(of(it.alert.labels));
    if (fingerprints) found.set(it, fingerprints);
  }
  return found;
}

function tableOf(held: readonly Alert[], of: (labels: LabelSet) => string): Map<string, string[]> {
  const table = new Map<string, string[]>();
  for (const alert of held) {
    const key = of(alert.labels);
    table.set(key, [...(table.get(key) ?? []), alert.fingerprint]);
  }
  return table;
}

function ofHeld(held: Alert, raised: Raised | undefined): Shown {
  const kinds: Kind[] = [];
  if (held.silencedBy.length > 0) kinds.push("silenced");
  if (held.inhibitedBy.length > 0) kinds.push("inhibited");
  if (held.mutedBy.length > 0) kinds.push("muted");
  if (kinds.length === 0) kinds.push("firing");
  return { key: held.fingerprint, kinds, labels: held.labels, annotations: held.annotations, since: held.startsAt, held, raised };
}

function ofRule(raised: Raised, kind: Kind): Shown {
  const { labels, annotations, activeAt } = raised.alert;
  const key = `${raised.group.file};${raised.group.name};${JSON.stringify(labels)}`;
  return { key, kinds: [kind], labels, annotations, since: activeAt, held: undefined, raised };
}

/** How many different alerts are of each kind, and in all. */
export function counts(groups: readonly ShownGroup[]): Record<Kind | "all", number> {
  const different = new Map(groups.flatMap((it) => it.alerts.map((alert) => [alert.key, alert] as const)));
  const of = (kind: Kind): number => [...different.values()].filter((it) => it.kinds.includes(kind)).length;
  return { all: different.size, firing: of("firing"), pending: of("pending"), silenced: of("silenced"), inhibited: of("inhibited"), muted: of("muted") };
}

export function textOf(alert: Shown): string {
  const pairs = Object.entries(alert.labels).map(([name, value]) => `${name}=${value}`);
  return [...pairs, ...Object.values(alert.annotations)].join("\n");
}

/** Groups without what is not asked for, the gravest first; in a group, too. */
export function chosen(groups: readonly ShownGroup[], kind: Kind | undefined, words: string): ShownGroup[] {
  const wanted = (it: Shown): boolean => (kind === undefined || it.kinds.includes(kind)) && hasWords(textOf(it), words);
  return groups
    .map((group) => ({ ...group, alerts: group.alerts.filter(wanted).sort(order) }))
    .filter((group) => group.alerts.length > 0)
    .sort((a, b) => compare(a.alerts[0], b.alerts[0]));
}

function compare(a: Shown | undefined, b: Shown | undefined): number {
  return a && b ? order(a, b) : 0;
}

function order(a: Shown, b: Shown): number {
  const kind = (it: Shown): number => KINDS.indexOf(it.kinds[0] ?? "firing");
  return kind(a) - kind(b) || severityRank(a.labels) - severityRank(b.labels) || (b.since ?? "").localeCompare(a.since ?? "");
}

/** What tells an alert from the others of its group: labels that the group, its name and its severity do not say already. */
export function tellingLabels(labels: LabelSet, group: LabelSet): [string, string][] {
  return Object.entries(labels).filter(([name, value]) => name !== "alertname" && name !== "severity" && group[name] !== value);
}

/** Only addresses that a person may follow: what senders write is not trusted. */
export function webAddress(text: string | null | undefined): string | undefined {
  return text && /^https?:\/\/[^\s]+$/i.test(text) ? text : undefined;
}
