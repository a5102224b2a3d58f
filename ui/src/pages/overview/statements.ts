// What the page Overview says, from what the server answered: one statement for each topic, its state, since when, what to do and
// where that is to be seen. Pure; not the asking (look.ts) and not the words (words/).
import type { AlertGroup, Alert } from "../../api/alerts";
import type { DeadLetters } from "../../api/dlq";
import type { LlmCosts } from "../../api/llm";
import type { VectorItem } from "../../api/prometheus";
import { type GpuSample, type Health, presence } from "../../api/system";
import type { StorageDetails } from "../../api/storage";
import { format } from "../../units/format";
import { diskLevel, GPU_CELSIUS_WARNING, percentOf, pressure, pressureLevel } from "../../units/levels";
import type { Words } from "./words/en";

export type State = "broken" | "attention" | "fine" | "absent" | "unknown";
export type Topic = keyof Words["topics"];
export type Say = (words: Words) => string;

export interface Statement {
  topic: Topic;
  state: State;
  say: Say;
  /** Milliseconds since 1970; "longer" is before everything that was looked at. */
  since?: number | "longer" | undefined;
  todo?: Say | undefined;
  /** Single cases, in the words of whoever wrote them. */
  cases?: { text: string; href: string }[];
  evidence: { say: Say; href: string };
}

/** A camera: whether it is connected, whether its picture stands still, and when it was last as it should be. */
export interface CameraLook {
  id: string;
  connected: boolean;
  frozen: boolean;
  lastGood: number | undefined;
}
export interface QueueLook {
  waiting: number;
  dead: DeadLetters;
}
export interface ProgramLook {
  all: number;
  down: { name: string; lastGood: number | undefined }[];
}

/** Names in a sentence: so many, then a number. */
const NAMES_MAX = 3;
const CASES_MAX = 5;
const FAILED_SHARE = 0.05;
const BUDGET_ATTENTION = 0.8;

const ORDER: readonly State[] = ["broken", "attention", "unknown", "fine", "absent"];

export function verdict(statements: readonly Statement[]): { state: State; count: number } {
  const state = ORDER.find((it) => statements.some((one) => one.state === it)) ?? "unknown";
  const worst = state === "absent" ? "fine" : state;
  return { state: worst, count: statements.filter((it) => it.state === state).length };
}

/** The worst first; what is not set up last. */
export function sorted(statements: readonly Statement[]): Statement[] {
  return [...statements].sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state));
}

export function unanswered(topic: Topic, message: string, evidence: Statement["evidence"]): Statement {
  return { topic, state: "unknown", say: (it) => it.notAnswered(message), evidence };
}

export const EVIDENCE: Record<Topic, Statement["evidence"]> = {
  alerts: { say: (it) => it.alerts.link, href: "/alerts" },
  cameras: { say: (it) => it.cameras.link, href: "/cameras" },
  graphics: { say: (it) => it.graphics.link, href: "/" },
  models: { say: (it) => it.models.link, href: "/pipeline" },
  queues: { say: (it) => it.queues.link, href: "/settings/dlq" },
  disk: { say: (it) => it.disk.link, href: "/storage" },
  services: { say: (it) => it.services.link, href: "/services" },
  programs: { say: (it) => it.programs.link, href: asked("up == 0") },
};

export function alerts(groups: readonly AlertGroup[]): Statement {
  const all = new Map<string, Alert>();
  for (const alert of groups.flatMap((it) => it.alerts)) all.set(alert.fingerprint, alert);
  const list = [...all.values()];
  const heard = list.filter((it) => it.silencedBy.length + it.inhibitedBy.length + it.mutedBy.length === 0);
  const base = { topic: "alerts", evidence: EVIDENCE.alerts } as const;
  if (heard.length === 0) {
    const say: Say = list.length === 0 ? (it) => it.alerts.none : (it) => `${it.alerts.none}; ${it.alerts.quiet(list.length)}`;
    return { ...base, state: "fine", say };
  }
  const critical = heard.filter((it) => it.labels["severity"] === "critical" || it.labels["severity"] === "page");
  const starts = heard.map((it) => Date.parse(it.startsAt ?? "")).filter((it) => !Number.isNaN(it));
  const worstFirst = [...critical, ...heard.filter((it) => !critical.includes(it))];
  return {
    ...base,
    state: critical.length > 0 ? "broken" : "attention",
    say: (it) => it.alerts.firing(heard.length),
    since: starts.length > 0 ? Math.min(...starts) : undefined,
    todo: (it) => it.alerts.todo,
    cases: worstFirst.slice(0, CASES_MAX).map((it) => {
      const name = it.labels["alertname"] ?? "";
      return { text: it.annotations["summary"] ?? it.annotations["description"] ?? name, href: `/alerts?q=${encodeURIComponent(name)}` };
    }),
  };
}

export function cameras(list: readonly CameraLook[]): Statement {
  const base = { topic: "cameras", evidence: EVIDENCE.cameras } as const;
  if (list.length === 0) return { ...base, state: "absent", say: (it) => it.cameras.absent };
  const off = list.filter((it) => !it.connected);
  const frozen = list.filter((it) => it.connected && it.frozen);
  if (off.length + frozen.length === 0) return { ...base, state: "fine", say: (it) => it.cameras.fine(list.length) };
  const parts: Say[] = [];
  if (off.length > 0) parts.push((it) => it.cameras.off(names(it, off.map((one) => one.id)), off.length > 1));
  if (frozen.length > 0) parts.push((it) => it.cameras.frozen(names(it, frozen.map((one) => one.id)), frozen.length > 1));
  return {
    ...base,
    state: "broken",
    say: (it) => parts.map((part) => part(it)).join("; "),
    since: earliest([...off, ...frozen].map((it) => it.lastGood)),
    todo: (it) => (off.length > 0 ? it.cameras.todoOff : it.cameras.todoFrozen),
  };
}

export function graphics(sample: GpuSample): Statement {
  const base = { topic: "graphics", evidence: EVIDENCE.graphics } as const;
  if (presence(sample) !== "present") return { ...base, state: "absent", say: (it) => it.graphics.absent };
  const memory = percentOf(sample.memoryUsedMb, sample.memoryTotalMb);
  const level = memory === null ? "ok" : pressureLevel(pressure(memory));
  const hot = sample.temperature !== null && sample.temperature > GPU_CELSIUS_WARNING;
  const parts: Say[] = [];
  if (level !== "ok") parts.push((it) => it.graphics.memory(format(memory, "percent")));
  if (hot) parts.push((it) => it.graphics.hot(format(sample.temperature, "celsius")));
  if (parts.length === 0) {
    const busy: Say = sample.utilization === null ? () => "" : (it) => `, ${it.graphics.busy(format(sample.utilization, "percent"))}`;
    return { ...base, state: "fine", say: (it) => `${it.graphics.fine(sample.name)}${busy(it)}` };
  }
  return {
    ...base,
    state: level === "critical" ? "broken" : "attention",
    say: (it) => parts.map((part) => part(it)).join("; "),
    todo: (it) => (level === "ok" ? it.graphics.todoHot : it.graphics.todoMemory),
  };
}

export function models(costs: LlmCosts | undefined): Statement {
  const base = { topic: "models", evidence: EVIDENCE.models } as const;
  if (costs === undefined) return { ...base, state: "absent", say: (it) => it.models.absent };
  const down = costs.upstreams.filter((it) => it.breaker === "open").map((it) => it.name);
  const count = costs.today.exchanges ?? 0;
  const failed = costs.today.failed ?? 0;
  const spent = costs.month.utilization ?? 0;
  const parts: { state: State; say: Say; todo: Say }[] = [];
  if (down.length > 0) parts.push({ state: "broken", say: (it) => it.models.down(names(it, down), down.length > 1), todo: (it) => it.models.todoDown });
  if (spent >= BUDGET_ATTENTION) {
    parts.push({ state: spent >= 1 ? "broken" : "attention", say: (it) => it.models.budget(format(spent * 100, "percent")), todo: (it) => it.models.todoBudget });
  }
  if (count > 0 && failed / count >= FAILED_SHARE) {
    parts.push({ state: failed === count ? "broken" : "attention", say: (it) => it.models.failed(failed, count), todo: (it) => it.models.todoFailed });
  }
  const [first] = parts;
  if (!first) return { ...base, state: "fine", say: (it) => it.models.fine(count - failed) };
  return {
    ...base,
    state: parts.some((it) => it.state === "broken") ? "broken" : "attention",
    say: (it) => parts.map((part) => part.say(it)).join("; "),
    todo: first.todo,
  };
}

export function queues(look: QueueLook | undefined): Statement {
  const base = { topic: "queues", evidence: EVIDENCE.queues } as const;
  if (look === undefined) return { ...base, state: "absent", say: (it) => it.queues.absent };
  const { total, overflow } = look.dead;
  if (total + overflow === 0) return { ...base, state: "fine", say: (it) => it.queues.fine(look.waiting) };
  const parts: Say[] = [];
  if (total > 0) parts.push((it) => it.queues.dead(total));
  if (overflow > 0) parts.push((it) => it.queues.overflow(overflow));
  return { ...base, state: "attention", say: (it) => parts.map((part) => part(it)).join("; "), todo: (it) => it.queues.todo };
}

export function disk(store: StorageDetails): Statement {
  const base = { topic: "disk", evidence: EVIDENCE.disk } as const;
  const why = store.failure ?? store.offline;
  if (why !== null) return { ...base, state: "broken", say: (it) => it.disk.failed(why), todo: (it) => it.disk.todoFailed };
  const percent = store.diskPercent;
  if (percent === null) return unanswered("disk", "disk_usage_percent", EVIDENCE.disk);
  const level = diskLevel(percent);
  const used = format(percent, "percent");
  if (level === "ok") return { ...base, state: "fine", say: (it) => it.disk.fine(used) };
  return {
    ...base,
    state: level === "critical" ? "broken" : "attention",
    say: (it) => it.disk.full(used, format(store.diskFree, "bytes")),
    todo: (it) => it.disk.todoFull,
  };
}

export function services(health: Health): Statement {
  const base = { topic: "services", evidence: EVIDENCE.services } as const;
  const watched = health.services.filter((it) => it.state !== "not_configured");
  if (watched.length === 0) return { ...base, state: "absent", say: (it) => it.services.absent };
  const of = (...states: string[]): string[] => watched.filter((it) => states.includes(it.state)).map((it) => it.name);
  const broken = of("failed", "restart_failed");
  const bad = [...broken, ...of("unhealthy", "unknown")];
  const restarting = of("restarting");
  if (bad.length + restarting.length === 0) return { ...base, state: "fine", say: (it) => it.services.fine(watched.length) };
  const parts: Say[] = [];
  if (bad.length > 0) parts.push((it) => it.services.bad(names(it, bad), bad.length > 1));
  if (restarting.length > 0) parts.push((it) => it.services.restarting(names(it, restarting), restarting.length > 1));
  return {
    ...base,
    state: broken.length > 0 ? "broken" : "attention",
    say: (it) => parts.map((part) => part(it)).join("; "),
    todo: (it) => it.services.todo,
  };
}

export function programs(look: ProgramLook): Statement {
  const base = { topic: "programs", evidence: EVIDENCE.programs } as const;
  if (look.all === 0) return { ...base, state: "absent", say: (it) => it.programs.absent };
  const { down } = look;
  if (down.length === 0) return { ...base, state: "fine", say: (it) => it.programs.fine(look.all) };
  return {
    ...base,
    state: "attention",
    say: (it) => it.programs.down(down.length, look.all, names(it, down.map((one) => one.name))),
    since: earliest(down.map((it) => it.lastGood)),
    todo: (it) => it.programs.todo,
  };
}

/** Joins what is with when it was last good, by some labels. */
export function lastGood(labels: readonly string[], item: VectorItem, good: readonly VectorItem[]): number | undefined {
  const found = good.find((it) => labels.every((name) => it.labels[name] === item.labels[name]));
  return found === undefined ? undefined : found.value * 1000;
}

function names(words: Words, list: readonly string[]): string {
  return words.and(list.slice(0, NAMES_MAX), Math.max(0, list.length - NAMES_MAX));
}

function earliest(moments: readonly (number | undefined)[]): number | "longer" | undefined {
  if (moments.some((it) => it === undefined)) return "longer";
  const known = moments.filter((it) => it !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

function asked(expr: string): string {
  return `/query?${new URLSearchParams({ expr }).toString()}`;
}
