// How fresh the page is, in one word for the indicator. Pure: the clock is a parameter.
// Not the freshness of one panel: each says its own failure.

export type Freshness =
  | { state: "connecting" }
  | { state: "live"; since: number }
  /** The socket is down, polling still brings news. */
  | { state: "reconnecting"; since: number }
  /** Nothing new for a while, by any way. */
  | { state: "stale"; since: number };

/** Longer than two polls of the slowest fallback: silence beyond this is worth telling. */
export const QUIET_MS_MAX = 25_000;
/** The server speaks every five seconds: an open socket that is silent for longer than this is dead and is renewed. */
export const OPEN_QUIET_MS_MAX = 20_000;

export function freshness(open: boolean, newsAt: number | undefined, now: number): Freshness {
  if (newsAt === undefined) return open ? { state: "live", since: now } : { state: "connecting" };
  const quiet = now - newsAt;
  if (open && quiet <= OPEN_QUIET_MS_MAX) return { state: "live", since: newsAt };
  return quiet <= QUIET_MS_MAX ? { state: "reconnecting", since: newsAt } : { state: "stale", since: newsAt };
}
