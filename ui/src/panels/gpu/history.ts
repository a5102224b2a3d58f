// GPU samples as two series in percent: utilisation and VRAM. Samples without a figure or a time leave no point.
import type { Point } from "../../api/prometheus";
import type { GpuSample } from "../../api/system";
import type { ChartSeries } from "../../charts/align";
import { percentOf } from "../../units/levels";
import { t } from "../../words/t";

/** The history has whole seconds, the live sample milliseconds: nearer than this they are the same. */
const SAME_MS = 1000;

export function historySeries(samples: readonly GpuSample[], newest?: GpuSample): ChartSeries[] {
  const last = samples.at(-1)?.recordedAt ?? 0;
  const all = newest?.recordedAt != null && newest.recordedAt - last >= SAME_MS ? [...samples, newest] : samples;
  const points = (pick: (sample: GpuSample) => number | null): Point[] =>
    all.flatMap((sample): Point[] => {
      const value = pick(sample);
      return value === null || sample.recordedAt === null ? [] : [[sample.recordedAt / 1000, value]];
    });
  return [
    { label: t("Utilization"), points: points((it) => it.utilization) },
    { label: "VRAM", points: points((it) => percentOf(it.memoryUsedMb, it.memoryTotalMb)) },
  ];
}
