// Sensors with a name that a person can tell apart. Not limits: those differ by chip and are not always reported.
import type { MatrixItem, Point } from "../../api/prometheus";

export interface Sensor {
  label: string;
  points: Point[];
  now: number;
}

/** Hottest first; two sensors of one name get their numbers. */
export function sensors(items: readonly MatrixItem[]): Sensor[] {
  const named = items.flatMap((item) => {
    const now = item.points.at(-1)?.[1];
    return now === undefined ? [] : [{ label: nameOf(item), points: item.points, now }];
  });
  return named.sort((a, b) => b.now - a.now);
}

function nameOf({ labels }: MatrixItem): string {
  if (labels["__name__"] === "node_thermal_zone_temp") return `${labels["type"] ?? "zone"} ${labels["zone"] ?? ""}`.trim();
  const { chip = "", sensor = "" } = labels;
  return [shortChip(labels["chip_name"] ?? chip), labels["label"] ?? sensor].filter((it) => it !== "").join(" ");
}

/** "platform_coretemp_0" and "pci0000:00_0000:00:18_3" are addresses: their telling part is enough. */
function shortChip(chip: string): string {
  return chip.replace(/^platform_/, "").replace(/_(\d+)$/, " $1");
}
