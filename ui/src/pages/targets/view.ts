// What of the targets and probes is shown, and in which order. Not the drawing.
import type { VectorItem } from "../../api/prometheus";
import type { Target } from "../../api/targets";
import { hasWords } from "../../parts/words";
import { t } from "../../words/t";

export const VIEWS = ["down", "unknown", "up"] as const;
export type View = (typeof VIEWS)[number];
export const WORDS: Record<View, string> = { down: t("down"), unknown: t("not asked yet"), up: t("up") };
export const TONES: Record<View, "ok" | "critical" | "neutral"> = { down: "critical", unknown: "neutral", up: "ok" };

export const counts = (targets: readonly Target[]): Record<View, number> => ({
  down: targets.filter((it) => it.health === "down").length,
  unknown: targets.filter((it) => it.health === "unknown").length,
  up: targets.filter((it) => it.health === "up").length,
});

/** By pool, what is down first; pools in which something is down come first. */
export function pools(targets: readonly Target[], view: View | undefined, words: string): { name: string; targets: Target[] }[] {
  const found = new Map<string, Target[]>();
  for (const target of targets) {
    if (view && target.health !== view) continue;
    if (!hasWords([target.pool, target.url, target.lastError, ...target.labels.flat()].join(" "), words)) continue;
    found.set(target.pool, [...(found.get(target.pool) ?? []), target]);
  }
  const rank = (target: Target): number => VIEWS.indexOf(target.health);
  const all = [...found].map(([name, list]) => ({ name, targets: list.sort((a, b) => rank(a) - rank(b) || a.url.localeCompare(b.url)) }));
  const worst = (pool: { targets: Target[] }): number => Math.min(...pool.targets.map(rank));
  return all.sort((a, b) => worst(a) - worst(b) || a.name.localeCompare(b.name));
}

export interface Probe {
  job: string;
  instance: string;
  success: boolean;
  duration: number | undefined;
  status: number | undefined;
  /** Seconds until the first certificate of the chain expires. */
  expires: number | undefined;
  /** What went wrong, as far as the figures tell. */
  problem: string;
}

/** What the probes said last. `error` gives why the target of a probe could not even be asked. */
export function probes(items: readonly VectorItem[], now: number, error: (job: string, instance: string) => string): Probe[] {
  const key = (it: VectorItem): string => `${it.labels["job"] ?? ""}\n${it.labels["instance"] ?? ""}`;
  const value = (name: string, of: string): number | undefined => items.find((it) => it.labels["__name__"] === name && key(it) === of)?.value;
  return items
    .filter((it) => it.labels["__name__"] === "probe_success")
    .map((it) => {
      const [job, instance] = [it.labels["job"] ?? "", it.labels["instance"] ?? ""];
      const success = it.value === 1;
      const status = value("probe_http_status_code", key(it));
      const expiry = value("probe_ssl_earliest_cert_expiry", key(it));
      const said = error(job, instance) || (value("probe_failed_due_to_regex", key(it)) === 1 ? t("the text is not as it must be") : status ? t("HTTP status {0}", status) : t("nobody answers as expected"));
      return {
        job,
        instance,
        success,
        duration: value("probe_duration_seconds", key(it)),
        status: status || undefined,
        expires: expiry && expiry > 0 ? expiry - now : undefined,
        problem: success ? "" : said,
      };
    })
    .sort((a, b) => Number(a.success) - Number(b.success) || a.job.localeCompare(b.job) || a.instance.localeCompare(b.instance));
}

/** A matcher for one value. */
export const matcher = (name: string, value: string): string => `${name}="${value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n")}"`;
