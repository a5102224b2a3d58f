// Numbers as Prometheus writes them, read back; what is no number stays text. Not units.
import { sampleValue } from "../../api/prometheus";

export function sampleText(text: string): number | string {
  const value = sampleValue(text);
  return Number.isNaN(value) && text !== "NaN" ? text : value;
}
