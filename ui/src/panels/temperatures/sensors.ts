// Sensors with a name that a person can tell apart. Not limits: those differ by chip and are not always reported.
import type { LabelSet, MatrixItem, Point, RangeAsk, VectorItem } from "../../api/prometheus";
import { current } from "../lastHour";

export interface Sensor {
  label: string;
  points: Point[];
  now: number;
}

/** Hottest first. `names` are the series that only carry the names of chips and sensors. */
export function sensors(items: readonly MatrixItem[], range: RangeAsk, names: readonly VectorItem[] = []): Sensor[] {
  const named = items.flatMap((item) => {
    const now = current(item, range);
    return now === undefined ? [] : [{ label: nameOf(item, names), points: item.points, now }];
  });
  return named.sort((a, b) => b.now - a.now);
}

function nameOf({ labels }: MatrixItem, names: readonly VectorItem[]): string {
  if (labels["__name__"] === "node_thermal_zone_temp") return `${labels["type"] ?? "zone"} ${labels["zone"] ?? ""}`.trim();
  const { chip = "", sensor = "" } = labels;
  const chipName = find(names, "node_hwmon_chip_names", { chip })?.["chip_name"];
  const label = find(names, "node_hwmon_sensor_label", { chip, sensor })?.["label"];
  return [chipName ?? shortChip(chip), label ?? sensor].filter((it) => it !== "").join(" ");
}

function find(names: readonly VectorItem[], metric: string, where: LabelSet): LabelSet | undefined {
  const fits = ({ labels }: VectorItem): boolean =>
    labels["__name__"] === metric && Object.entries(where).every(([key, value]) => labels[key] === value);
  return names.find(fits)?.labels;
}

/** "platform_coretemp_0" and "pci0000:00_0000:00:18_3" are addresses: their telling part is enough. */
function shortChip(chip: string): string {
  return chip.replace(/^platform_/, "").replace(/_(\d+)$/, " $1");
}
