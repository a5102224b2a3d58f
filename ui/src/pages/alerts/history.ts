// When alerts fired, out of the series ALERTS: first and last evaluation of each step make spans, spans that touch make episodes.
// Not what people were told, and not alerts of other senders: those leave no series.
import type { LabelSet, MatrixItem, RangeAsk } from "../../api/prometheus";
import { seriesName } from "../query/labels";
import { t } from "../../words/t";

/** Ranges that can be chosen, with the step that keeps the answer small. */
export const RANGES = [
  { name: "1h", words: t("1 hour"), seconds: 3600, step: 15 },
  { name: "6h", words: t("6 hours"), seconds: 21_600, step: 60 },
  { name: "24h", words: t("24 hours"), seconds: 86_400, step: 120 },
  { name: "7d", words: t("7 days"), seconds: 604_800, step: 900 },
] as const;
export type HistoryRange = (typeof RANGES)[number];
/** Evaluations are rarely further apart than this: a shorter pause is none. */
const PAUSE_SECONDS_MIN = 90;
/** A strip is drawn at least so many parts of its length wide, to be seen at all. */
const STRIP_PARTS = 250;

export function rangeNamed(name: string | null): HistoryRange {
  return RANGES.find((it) => it.name === name) ?? RANGES[2];
}

/** Up to now and not to a round time: what fires now is to reach the end. */
export function askOf({ seconds, step }: HistoryRange, nowMs: number): RangeAsk {
  const end = Math.floor(nowMs / 1000);
  return { start: end - seconds, end, step };
}

/** The shortest pause that is seen. */
export function pauseSeconds(step: number): number {
  return Math.max(step, PAUSE_SECONDS_MIN);
}

/** No alert that fires for less than a step is missed, and ends are those of evaluations, not of steps. */
export function historyQueries(step: number): { first: string; last: string; now: string } {
  const firing = 'ALERTS{alertstate="firing"}';
  return { first: `ts_of_first_over_time(${firing}[${step}s])`, last: `ts_of_last_over_time(${firing}[${step}s])`, now: firing };
}

/** Times in seconds since 1970. */
export interface Episode {
  start: number;
  end: number;
  /** It had begun before the range. */
  cut: boolean;
  /** It fires now. */
  open: boolean;
}
export interface Track {
  key: string;
  name: string;
  labels: LabelSet;
  /** The labels beside the name, as text. */
  rest: string;
  episodes: Episode[];
  seconds: number;
}

/** Tracks by their last episode, the newest first. */
export function tracks(first: readonly MatrixItem[], last: readonly MatrixItem[], now: readonly LabelSet[], range: RangeAsk): Track[] {
  const ends = new Map(last.map((it) => [keyOf(it.labels), new Map(it.points)]));
  const firing = new Set(now.map(keyOf));
  return first
    .map((it) => {
      const key = keyOf(it.labels);
      const { alertname: name = "", alertstate: _state, __name__: _name, ...rest } = it.labels;
      const episodes = episodesOf(it.points, ends.get(key) ?? new Map<number, number>(), range);
      const newest = episodes.at(-1);
      if (newest && firing.has(key)) Object.assign(newest, { end: range.end, open: true });
      const seconds = episodes.reduce((sum, episode) => sum + episode.end - episode.start, 0);
      return { key, name, labels: { alertname: name, ...rest }, rest: Object.keys(rest).length > 0 ? seriesName(rest) : "", episodes, seconds };
    })
    .filter((it) => it.episodes.length > 0)
    .sort((a, b) => (b.episodes.at(-1)?.end ?? 0) - (a.episodes.at(-1)?.end ?? 0) || a.key.localeCompare(b.key));
}

/** Functions over time take the name away, an instant selector does not. */
function keyOf({ __name__: _, ...labels }: LabelSet): string {
  return seriesName(Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))));
}

function episodesOf(begins: readonly [number, number][], ends: ReadonlyMap<number, number>, range: RangeAsk): Episode[] {
  const episodes: Episode[] = [];
  for (const [time, begin] of begins) {
    const end = ends.get(time) ?? begin;
    const before = episodes.at(-1);
    if (before && begin - before.end <= pauseSeconds(range.step)) before.end = end;
    else episodes.push({ start: begin, end, cut: begin <= range.start, open: false });
  }
  return episodes;
}

/** Rectangles in a picture that is one high and as wide as the range has seconds. */
export function stripPath(episodes: readonly Episode[], range: RangeAsk): string {
  const length = range.end - range.start;
  return episodes
    .map(({ start, end }) => {
      const width = Math.round(Math.min(length, Math.max(length / STRIP_PARTS, end - start)));
      const from = Math.round(Math.min(Math.max(0, start - range.start), length - width));
      return `M${from} 0h${width}v1h-${width}z`;
    })
    .join("");
}
