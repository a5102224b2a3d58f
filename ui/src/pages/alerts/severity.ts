// How grave an alert says that it is: a tone and an order for the words that people write into the label `severity`. Not the state.
import type { LabelSet } from "../../api/prometheus";
import type { Tone } from "../../panels/services/states";

const GRAVE = ["critical", "page", "emergency", "fatal", "error", "high"];
const MIDDLE = ["warning", "warn", "medium", "major", "minor"];

export function severityTone(labels: LabelSet): Tone {
  const word = (labels["severity"] ?? "").toLowerCase();
  if (GRAVE.includes(word)) return "critical";
  return MIDDLE.includes(word) ? "warning" : "neutral";
}

/** 0 is the gravest. */
export function severityRank(labels: LabelSet): number {
  return ["critical", "warning", "neutral"].indexOf(severityTone(labels));
}
