// What a silence is to be, while somebody fills it in: matchers, a length or an end, a reason. Not the asking and not the dialog.
import { type Alert, type Matcher, matcherText, type MatchOp, type NewSilence, type Silence } from "../../api/alerts";
import type { LabelSet } from "../../api/prometheus";
import { t } from "../../words/t";

export const OPS: readonly MatchOp[] = ["=", "!=", "=~", "!~"];
export const LENGTHS = { "30m": t("30 minutes"), "2h": t("2 hours"), "8h": t("8 hours"), "1d": t("1 day"), "3d": t("3 days"), "7d": t("1 week") } as const;
const SECONDS: Record<keyof typeof LENGTHS, number> = { "30m": 1800, "2h": 7200, "8h": 28_800, "1d": 86_400, "3d": 259_200, "7d": 604_800 };
export const UNTIL = "until";

export interface Draft {
  /** Of the silence that is changed. */
  id?: string | undefined;
  /** When that one begins. */
  startsAt?: string | undefined;
  matchers: Matcher[];
  length: keyof typeof LENGTHS | typeof UNTIL;
  /** On the reader's clock, as the field has it. */
  until: string;
  by: string;
  comment: string;
}

export function draftOf(labels: LabelSet, by: string): Draft {
  const matchers = Object.entries(labels).map(([name, value]): Matcher => ({ name, op: "=", value }));
  return { matchers, length: "2h", until: "", by, comment: "" };
}

/** Another end for one that runs, or the same again for one that is over. */
export function draftAgain(silence: Silence, by: string): Draft {
  const same = { matchers: silence.matchers.map((it) => ({ ...it })), comment: silence.comment };
  if (silence.state === "expired") return { ...same, length: "2h", until: "", by };
  const until = silence.endsAt ? fieldTime(Date.parse(silence.endsAt)) : "";
  return { ...same, id: silence.id, startsAt: silence.startsAt ?? undefined, length: UNTIL, until, by: silence.by };
}

/** A moment as a date field wants it: local, without seconds. */
export function fieldTime(ms: number): string {
  return new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** Whether it is a silence at all: every matcher has a label, and one of them asks for a value. The server knows the rest. */
export function complete(matchers: readonly Matcher[]): boolean {
  const asks = ({ op, value }: Matcher): boolean => op.startsWith("!") === (value === "");
  return matchers.every((it) => it.name !== "") && matchers.some(asks);
}

/** What is sent, or why it cannot be. Lengths count from now on the server's clock. */
export function toSend(draft: Draft, nowMs: number): NewSilence | string {
  if (!complete(draft.matchers)) return t("It needs a label with a value.");
  const end = draft.length === UNTIL ? Date.parse(draft.until) : nowMs + SECONDS[draft.length] * 1000;
  if (Number.isNaN(end)) return t("It needs an end.");
  if (end <= nowMs) return t("Its end is in the past.");
  const { id, matchers, by, comment } = draft;
  const startsAt = draft.startsAt ?? new Date(nowMs).toISOString();
  return { id, matchers, startsAt, endsAt: new Date(end).toISOString(), by: by.trim(), comment: comment.trim() };
}

/** One alert of a preview in a line: its name and what else it is about. */
export function alertLine(alert: Alert): { name: string; rest: string; silenced: boolean } {
  const { alertname: name = t("without a name"), ...rest } = alert.labels;
  const words = Object.entries(rest).map(([label, value]) => matcherText({ name: label, op: "=", value }));
  return { name, rest: words.join(", "), silenced: alert.silencedBy.length > 0 };
}
