// The state of a service in words and a tone. "Not configured" is neither good nor bad, and unknown is never good.
import type { ServiceState } from "../../api/system";
import { t } from "../../words/t";

export type Tone = "ok" | "warning" | "critical" | "neutral";
export interface StateWords {
  word: string;
  tone: Tone;
}

const WORDS: Record<ServiceState, StateWords> = {
  healthy: { word: t("healthy"), tone: "ok" },
  unhealthy: { word: t("unhealthy"), tone: "warning" },
  restarting: { word: t("restarting"), tone: "warning" },
  restart_failed: { word: t("restart failed"), tone: "critical" },
  failed: { word: t("failed, needs a hand"), tone: "critical" },
  not_configured: { word: t("not configured"), tone: "neutral" },
  unknown: { word: t("unknown"), tone: "neutral" },
};

export function stateWords(state: ServiceState): StateWords {
  return WORDS[state];
}

/** The state of the whole, as the server names it; a name we do not know is shown as it is, without a tone. */
export function overall(status: string): StateWords {
  const known: Record<string, StateWords> = { healthy: { word: t("healthy"), tone: "ok" }, degraded: { word: t("degraded"), tone: "warning" }, unhealthy: { word: t("unhealthy"), tone: "critical" } };
  return known[status] ?? { word: status.replaceAll("_", " "), tone: "neutral" };
}
