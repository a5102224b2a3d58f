// How long to wait before the next try: doubling, with a ceiling and a random part so that many pages do not return at once.
// Not a timer.
export const WAIT_MS_MIN = 1000;
export const WAIT_MS_MAX = 30_000;

/** `tries` counts failures since the last success, from 0; `random` is in [0, 1). */
export function waitMs(tries: number, random: number = Math.random()): number {
  const full = Math.min(WAIT_MS_MIN * 2 ** Math.min(tries, 16), WAIT_MS_MAX);
  return Math.round(full * (0.5 + random / 2));
}
