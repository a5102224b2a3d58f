// The lines that the page holds, in the order in which they are shown: pages of answers and live lines joined without doubles, and the
// oldest let go when there are too many. Not the asking.
import { compareNs, type Direction, type Entry, keyOf, nsPlus, sorted } from "../../api/entry";

/** What the page holds at most: lines, and characters of them. */
export const LINES_MAX = 100_000;
export const CHARS_MAX = 64 * 1024 * 1024;

/** The next page of an answer, behind what is there. What both have at the seam comes once. */
export function continued(entries: readonly Entry[], page: readonly Entry[]): Entry[] {
  const seam = entries.at(-1)?.ms;
  const known = new Set<string>();
  for (let at = entries.length - 1; at >= 0 && entries[at]?.ms === seam; at -= 1) known.add(keyOf(entries[at] as Entry));
  return [...entries, ...page.filter((it) => it.ms !== seam || !known.has(keyOf(it)))];
}

/** Where the next page begins or ends, to the unit of time in which lines tell theirs. A time that fills a whole page by itself cannot be
    paged through and is stepped over. */
export function nextRange<T extends { start: string; end: string }>(range: T, entries: readonly Entry[], direction: Direction, stuck: boolean, unit = 1): T {
  const last = entries.at(-1)?.ns;
  if (last === undefined) return range;
  if (direction === "forward") return { ...range, start: stuck ? nsPlus(last, unit) : last };
  return { ...range, end: stuck ? last : nsPlus(last, unit) };
}

/** Lines that came in now, at their end of what is there. Late ones are put where their time is. */
export function arrived(entries: readonly Entry[], batch: readonly Entry[], direction: Direction): Entry[] {
  const fresh = withoutKnown(entries, batch);
  if (fresh.length === 0) return entries as Entry[];
  const joined = direction === "backward" ? [...fresh, ...entries] : [...entries, ...fresh];
  const seam = direction === "backward" ? fresh.length : entries.length;
  const [before, after] = [joined[seam - 1], joined[seam]];
  const sign = direction === "backward" ? -1 : 1;
  const late = before && after && sign * compareNs(before.ns, after.ns) > 0;
  return late ? sorted(joined, direction) : joined;
}

/** The lines of a batch that are not there yet. A tail that was lost begins again at the newest line. */
function withoutKnown(entries: readonly Entry[], batch: readonly Entry[]): Entry[] {
  const oldest = batch.reduce<string | undefined>((least, it) => (least === undefined || compareNs(it.ns, least) < 0 ? it.ns : least), undefined);
  const newest = newestOf(entries);
  if (oldest === undefined || !newest || compareNs(oldest, newest) > 0) return [...batch];
  const known = new Set(entries.filter((it) => compareNs(it.ns, oldest) >= 0).map(plainKey));
  return batch.filter((it) => !known.has(plainKey(it)));
}

/** Labels of a tail are other than those of an answer, so they do not count. */
const plainKey = (entry: Entry): string => `${entry.ns}\n${entry.line}`;

export function newestOf(entries: readonly Entry[]): string | undefined {
  const [first, last] = [entries[0]?.ns, entries.at(-1)?.ns];
  return first !== undefined && last !== undefined && compareNs(first, last) < 0 ? last : first;
}

/** The newest of them, as many as may be kept. */
export function bounded(entries: Entry[], direction: Direction, lines = LINES_MAX, chars = CHARS_MAX): { entries: Entry[]; gone: number } {
  let [count, size] = [0, 0];
  const at = (index: number): Entry | undefined => entries[direction === "backward" ? index : entries.length - 1 - index];
  while (count < entries.length && count < lines) {
    size += at(count)?.line.length ?? 0;
    if (size > chars && count > 0) break;
    count += 1;
  }
  const gone = entries.length - count;
  if (gone === 0) return { entries, gone };
  return { entries: direction === "backward" ? entries.slice(0, count) : entries.slice(gone), gone };
}

export function full(entries: readonly Entry[]): boolean {
  return entries.length >= LINES_MAX || entries.reduce((sum, it) => sum + it.line.length, 0) >= CHARS_MAX;
}
