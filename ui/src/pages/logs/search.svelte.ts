// One question about logs as the page holds it: its lines page by page, or its numbers, and live lines on top. Not how it is shown.
import { type Direction, type Entry, nsPlus, sorted } from "../../api/entry";
import { search as searchDocuments } from "../../api/elasticsearch";
import { type LogRange, logRange, parseTail, tailAddress } from "../../api/loki";
import type { MatrixItem, RangeAsk } from "../../api/prometheus";
import { ApiError } from "../../api/request";
import { LiveSocket } from "../../live/socket";
import { stepFor } from "../query/ask";
import { arrived, bounded, continued, full, LINES_MAX, newestOf, nextRange } from "./lines";
import { asksForLines, type Language, streamSelector, timed } from "./logql";

export interface SearchAsk {
  text: string;
  language: Language;
  range: LogRange;
  limit: number;
  /** How lines are shown; while they come in live, the newest are asked for all the same. */
  direction: Direction;
  live: boolean;
}
type State = "asking" | "ready" | "failed";
export type TailState = "off" | "connecting" | "open" | "lost";

/** Pages behind the first are at least so long, so that scrolling does not wait often. */
const PAGE_LINES_MIN = 1000;
/** Live lines are shown in batches: a screen takes no more. */
const BATCH_MS = 250;
const WAITING_MAX = 20_000;
/** Documents tell their time to the millisecond. */
const DOCUMENT_NS = 1_000_000;

export class Search {
  state = $state<State>("asking");
  problem = $state.raw<ApiError | undefined>();
  entries = $state.raw<Entry[]>([]);
  numbers = $state.raw<{ items: MatrixItem[]; range: RangeAsk } | undefined>();
  /** Whether everything of the range is there. */
  complete = $state(false);
  /** Whether no more is asked for, because the page holds what it may hold. */
  full = $state(false);
  loadingMore = $state(false);
  moreProblem = $state("");
  tail = $state<TailState>("off");
  /** Live lines that were let go: old ones for new ones, and those that the server could not send. */
  gone = $state(0);
  dropped = $state(0);
  #stuck = false;
  #waiting: Entry[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #abort = new AbortController();
  #socket: LiveSocket | undefined;

  constructor(readonly ask: SearchAsk) {}

  /** Asks; returns how to stop. Made to be returned from an effect. */
  start(): () => void {
    void this.#first();
    return () => {
      this.#abort.abort();
      clearTimeout(this.#timer);
      this.#socket?.stop();
    };
  }

  get #direction(): Direction {
    return this.ask.live ? "backward" : this.ask.direction;
  }

  async #first(): Promise<void> {
    const { text, language, range, limit, direction, live } = this.ask;
    try {
      if (language === "logql" && !asksForLines(text)) {
        await this.#numbers();
        return;
      }
      const page = await this.#page(range, limit);
      if (this.#abort.signal.aborted) return;
      this.entries = live ? sorted(page, direction) : page;
      // Live and oldest first, older lines would come in at the top, where nobody reads.
      this.complete = page.length < limit || (live && direction === "forward");
      this.state = "ready";
      if (live && language === "logql") this.#follow();
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#fail(error);
    }
  }

  async #numbers(): Promise<void> {
    const { text, range, limit } = this.ask;
    const [start, end] = [Number(range.start) / 1e9, Number(range.end) / 1e9];
    const step = stepFor(end - start);
    const steps = { start: Math.floor(start / step) * step, end: Math.floor(end / step) * step, step };
    const ns = (seconds: number): string => `${seconds}000000000`;
    const answer = await logRange(text, { start: ns(steps.start), end: ns(steps.end), step, limit, direction: "backward" }, this.#abort.signal);
    if (this.#abort.signal.aborted) return;
    if (answer.type === "numbers") this.numbers = { items: answer.items, range: steps };
    else this.entries = answer.entries;
    this.complete = true;
    this.state = "ready";
  }

  #fail(error: unknown): void {
    this.problem = error instanceof ApiError ? error : new ApiError("shape", String(error));
    this.state = "failed";
  }

  async #page(range: LogRange, limit: number): Promise<Entry[]> {
    const { text, language } = this.ask;
    if (language !== "logql") {
      const q = timed(text, language, isoOf(range.start), isoOf(range.end));
      return searchDocuments({ q, language, size: limit, direction: this.#direction }, this.#abort.signal);
    }
    const answer = await logRange(text, { ...range, limit, direction: this.#direction }, this.#abort.signal);
    return answer.type === "lines" ? answer.entries : [];
  }

  /** The next page, unless there is none or it is on its way. */
  async more(): Promise<void> {
    if (this.loadingMore || this.complete || this.full || this.state !== "ready" || this.numbers) return;
    this.loadingMore = true;
    this.moreProblem = "";
    const limit = Math.max(this.ask.limit, PAGE_LINES_MIN);
    try {
      const page = await this.#page(nextRange(this.ask.range, this.entries, this.#direction, this.#stuck, this.ask.language === "logql" ? 1 : DOCUMENT_NS), limit);
      if (this.#abort.signal.aborted) return;
      const before = this.entries.length;
      const next = continued(this.entries, page);
      this.#stuck = next.length === before;
      this.entries = next.slice(0, LINES_MAX);
      this.complete = page.length < limit;
      this.full = full(this.entries);
    } catch (error) {
      if (!this.#abort.signal.aborted) this.moreProblem = error instanceof ApiError ? error.message : String(error);
    } finally {
      this.loadingMore = false;
    }
  }

  #follow(): void {
    this.tail = "connecting";
    const { text, limit, range } = this.ask;
    this.#socket = new LiveSocket(
      // After a loss it begins again at the newest line, which then comes twice and is shown once.
      () => new WebSocket(tailAddress(text, newestOf(this.entries) ?? range.start, limit)),
      {
        opened: () => (this.tail = "open"),
        message: (message) => this.#take(message),
        lost: () => (this.tail = "lost"),
      },
    );
    this.#socket.start();
  }

  #take(message: string): void {
    const { entries, dropped } = parseTail(message, this.ask.direction);
    this.dropped += dropped;
    this.#waiting.push(...entries);
    if (this.#waiting.length >= WAITING_MAX) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), BATCH_MS);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { direction } = this.ask;
    const batch = sorted(this.#waiting, direction);
    this.#waiting = [];
    const { entries, gone } = bounded(arrived(this.entries, batch, direction), direction);
    this.entries = entries;
    if (gone > 0) {
      this.gone += gone;
      // What was let go is older than what is there: to ask for it again would let it go again.
      this.full = true;
    }
  }
}

/** A time in nanoseconds as Elasticsearch takes it. */
export function isoOf(ns: string): string {
  const seconds = ns.slice(0, -9) || "0";
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${ns.slice(-9).padStart(9, "0")}Z`;
}

export interface Context {
  selector: string;
  before: Entry[];
  after: Entry[];
}

/** A line of a tail with its labels apart, so that its stream can be told: the same line, asked for by itself. */
async function apart(entry: Entry, known: readonly string[], signal: AbortSignal): Promise<Entry> {
  if (!entry.merged) return entry;
  const labels = Object.fromEntries(Object.entries(entry.labels).filter(([name]) => known.includes(name)));
  const chosen = { ...entry, labels: Object.keys(labels).length > 0 ? labels : entry.labels, merged: false };
  const ask = { start: entry.ns, end: nsPlus(entry.ns, 1), limit: 100, direction: "forward" as const };
  const answer = await logRange(streamSelector(chosen.labels), ask, signal).catch(() => undefined);
  const found = answer?.type === "lines" ? (answer.entries.find((it) => it.line === entry.line) ?? answer.entries[0]) : undefined;
  return found ?? chosen;
}

const CONTEXT_NS = 24 * 3600 * 1e9;
const SAME_TIME_MAX = 1000;

/** The lines of its stream before and after a line, within a day, oldest first; the line itself is not among them. */
export async function contextOf(entry: Entry, known: readonly string[], before: number, after: number, signal: AbortSignal): Promise<Context> {
  const { labels, line, ns } = await apart(entry, known, signal);
  const selector = streamSelector(labels);
  const lines = async (ask: { start: string; end: string; limit: number; direction: Direction }): Promise<Entry[]> => {
    const answer = await logRange(selector, ask, signal);
    return answer.type === "lines" ? sorted(answer.entries, "forward") : [];
  };
  const next = nsPlus(ns, 1);
  // Many lines may be of one time: those are asked for by themselves, so that the line is found among them.
  const [older, same, newer] = await Promise.all([
    lines({ start: nsPlus(ns, -CONTEXT_NS), end: ns, limit: before, direction: "backward" }),
    lines({ start: ns, end: next, limit: SAME_TIME_MAX, direction: "forward" }),
    lines({ start: next, end: nsPlus(ns, CONTEXT_NS), limit: after, direction: "forward" }),
  ]);
  const at = Math.max(0, same.findIndex((it) => it.line === line));
  return { selector, before: [...older, ...same.slice(0, at)].slice(-before), after: [...same.slice(at + 1), ...newer].slice(0, after) };
}

