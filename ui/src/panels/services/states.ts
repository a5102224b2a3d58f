// The state of a service in words and a tone. "Not configured" is neither good nor bad, and unknown is never good.
import type { ServiceState } from "../../api/system";

export type Tone = "ok" | "warning" | "critical" | "neutral";
export interface StateWords {
  word: string;
  tone: Tone;
}

const WORDS: Record<ServiceState, StateWords> = {
  healthy: { word: "healthy", tone: "ok" },
  unhealthy: { word: "unhealthy", tone: "warning" },
  restarting: { word: "restarting", tone: "warning" },
  restart_failed: { word: "restart failed", tone: "critical" },
  failed: { word: "failed, needs a hand", tone: "critical" },
  not_configured: { word: "not configured", tone: "neutral" },
  unknown: { word: "unknown", tone: "neutral" },
};

export function stateWords(state: ServiceState): StateWords {
  return WORDS[state];
}

/** The state of the whole, as the server names it; a name we do not know is shown as it is, without a tone. */
export function overall(status: string): StateWords {
  const known: Record<string, Tone> = { healthy: "ok", degraded: "warning", unhealthy: "critical" };
  return { word: status.replaceAll("_", " "), tone: known[status] ?? "neutral" };
}
