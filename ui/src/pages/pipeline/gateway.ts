// Which series tell of the gateway before the language models and of the pressure that it answers to, and its states in words.
// Not the drawing.
import type { Tone } from "../../panels/services/states";
import { t } from "../../words/t";

export const TURNS = '{__name__=~"watchfire_gateway_turns_(limit|running|waiting)"}';
const TURNS_WORDS: Record<string, string> = { limit: t("limit"), running: t("running"), waiting: t("waiting") };
/** What one of these series tells of turns. */
export function turnsWord(metric: string): string {
  const name = metric.replace("watchfire_gateway_turns_", "");
  return TURNS_WORDS[name] ?? name;
}

export const REFUSED = "watchfire_gateway_refused_total";
export const RETRIES = "watchfire_gateway_retries_total";
export const PRESSURE = "max by (gpu, gpu_name) (watchfire_gpu_memory_pressure)";

interface Words {
  word: string;
  tone: Tone;
}

const PRESSURES: readonly Words[] = [
  { word: "NORMAL", tone: "ok" },
  { word: "WARNING", tone: "warning" },
  { word: "CRITICAL", tone: "critical" },
];

export function pressureWords(value: number): Words {
  return PRESSURES[value] ?? { word: t("unknown level {0}", value), tone: "neutral" };
}

const BREAKERS: Record<string, Words> = {
  closed: { word: t("in use"), tone: "ok" },
  open: { word: t("left alone after failures"), tone: "critical" },
  half_open: { word: t("being tried again"), tone: "warning" },
};

/** The circuit breaker of an upstream. */
export function breakerWords(state: string): Words {
  return BREAKERS[state] ?? { word: state === "" ? t("unknown") : state, tone: "neutral" };
}
