// States of cameras in words, with their tones. Not the states of services.
import type { CameraState } from "../../api/cameras";
import { t } from "../../words/t";
import { fixed } from "../../units/format";

export const WORDS: Record<CameraState, { word: string; tone: string }> = {
  online: { word: t("live"), tone: "ok" },
  frozen: { word: t("frozen"), tone: "critical" },
  offline: { word: t("offline"), tone: "critical" },
  unknown: { word: t("unknown"), tone: "muted" },
};

/** "4.2 Mbit/s", as everybody writes it. */
export function bitRate(bits: number | null): string {
  if (bits === null) return "–";
  const [size, name] = bits >= 999_500 ? [bits / 1e6, "Mbit/s"] : [bits / 1e3, "kbit/s"];
  return `${fixed(size, size < 10 ? 1 : 0)} ${name}`;
}
