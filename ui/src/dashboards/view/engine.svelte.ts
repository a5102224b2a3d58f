// One board at work: its variables, its layout, and for each panel that is shown what it got the last time. Asks everything of a refresh
// together. Not the looks, and not changes to the board.
import { SvelteMap } from "svelte/reactivity";
import type { Exemplar } from "../../charts/exemplars";
import { serverNowMs } from "../../api/request";
import type { Frame } from "../fields/frame";
import { lacks } from "../panels/lacks";
import type { Board } from "../model/types";
import { num } from "../model/values";
import { askAll, type Query } from "../sources/ask";
import { type KnownSource, sourcesOfType } from "../sources/kinds";
import { logFrame } from "../sources/logs";
import { namesFor } from "../sources/names";
import { askOther } from "../sources/others";
import { framesOf } from "../sources/prometheus";
import { type Questions, questionsOf, type Setting, sourceFor } from "../sources/questions";
import type { Scope, Times, Value } from "../variables/interpolate";
import { type Resolved, resolveAll, valuesOf, withIntervals } from "../variables/resolve";
import { intervalMs, type Range, rangeOf } from "../variables/time";
import { EXEMPLAR_QUERIES_MAX, exemplarsOf } from "./exemplars";
import { annotationsOf } from "./annotations";
import { type Annotation, type PanelData, prepared } from "./data";
import { type Layout, laidOut, type Placed } from "./layout";
import { t } from "../../words/t";

export interface PanelState {
  busy: boolean;
  data: PanelData | undefined;
  problems: { refId: string; message: string }[];
  findings: string[];
}
/** How often metrics are scraped when the data source does not say. */
const SCRAPE_MS = 15_000;
const COLUMN_PX = 50;

export class Engine {
  board = $state.raw<Board>(undefined as unknown as Board);
  params = $state.raw(new URLSearchParams());
  resolved = $state.raw<ReadonlyMap<string, Resolved>>(new Map());
  layout = $state.raw<Layout>({ rows: [], height: 0, findings: [] });
  range = $state.raw<Range>({ from: 0, to: 0 });
  values = $state.raw<ReadonlyMap<string, Value>>(new Map());
  ready = $state(false);
  busy = $state(false);
  /** Why the last refresh came to nothing. */
  problem = $state("");
  readonly panels = new SvelteMap<string, PanelState>();
  readonly folded = new SvelteMap<string, boolean>();
  annotations: Annotation[] = [];
  annotationFindings = $state.raw<string[]>([]);
  readonly muted = new SvelteMap<string, boolean>();
  known: readonly KnownSource[] = [];
  only: string | undefined;
  zoom: (range: Range) => void = () => undefined;
  /** The panel and the range of which somebody wants to know what else changed. */
  changed = $state.raw<{ key: string; range: Range } | undefined>();
  #abort = new AbortController();
  readonly #raw = new Map<string, Frame[]>();

  stop(): void {
    this.#abort.abort();
  }

  get from(): string {
    return this.params.get("from") ?? this.board.from;
  }
  get to(): string {
    return this.params.get("to") ?? this.board.to;
  }

  scope(local: ReadonlyMap<string, Value> = new Map()): Scope {
    const times: Times = { range: this.range, intervalMs: intervalMs(this.range, 1000, 1000), scrapeMs: SCRAPE_MS };
    return { values: new Map([...this.values, ...local]), times, board: { uid: this.board.uid, title: this.board.title } };
  }

  /** Asks again for everything that is shown, variables first. */
  async refresh(board: Board, params: URLSearchParams, known: readonly KnownSource[], only: string | undefined): Promise<void> {
    this.#abort.abort();
    const abort = new AbortController();
    this.#abort = abort;
    Object.assign(this, { board, params, known, only });
    this.busy = true;
    // What was moved stands there at once, whatever is still asked.
    if (this.ready) this.arrange();
    try {
      this.range = rangeOf(this.from, this.to, serverNowMs(), board.utc);
      const times: Times = { range: this.range, intervalMs: intervalMs(this.range, 1000, 1000), scrapeMs: SCRAPE_MS };
      const resolved = await resolveAll(board, params, times, this.#sources(), abort.signal);
      if (abort.signal.aborted) return;
      this.resolved = resolved;
      this.values = withIntervals(valuesOf(resolved, board, params), resolved, times);
      this.arrange();
      this.ready = true;
      await this.#ask(abort.signal);
      this.problem = "";
    } catch (error) {
      this.#fail(error, abort.signal);
    } finally {
      if (this.#abort === abort) this.busy = false;
    }
  }

  #fail(error: unknown, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.problem = wordsOf(error);
    for (const [key, it] of this.panels) if (it.busy) this.panels.set(key, { ...it, busy: false });
  }

  arrange(): void {
    this.layout = laidOut(this.board, this.values, (key, given) => this.folded.get(key) ?? given);
    const shown = new Set(this.placed.map((it) => it.key));
    for (const key of this.panels.keys()) if (!shown.has(key)) this.panels.delete(key);
  }

  get placed(): Placed[] {
    const all = this.layout.rows.flatMap((it) => it.panels);
    return this.only === undefined ? all : this.#single(all);
  }

  /** A panel that is alone may stand in a folded row. */
  #single(all: Placed[]): Placed[] {
    const found = all.filter((it) => it.key === this.only);
    if (found.length > 0) return found;
    const open = laidOut(this.board, this.values, () => false).rows.flatMap((it) => it.panels);
    return open.filter((it) => it.key === this.only);
  }

  async fold(key: string, folded: boolean): Promise<void> {
    this.folded.set(key, folded);
    const { signal } = this.#abort;
    try {
      this.arrange();
      if (!folded) await this.#ask(signal, true);
    } catch (error) {
      this.#fail(error, signal);
    }
  }

  #sources(): { ask: Parameters<typeof resolveAll>[3]["ask"]; ofType: Parameters<typeof resolveAll>[3]["ofType"] } {
    return {
      ask: (question, source, times, signal) => {
        const { kind, name } = sourceFor(source, this.setting());
        if (kind !== "prometheus" && kind !== "loki") throw new Error(t("variables cannot be asked of {0}", name));
        return namesFor(question, kind, times.range, signal);
      },
      ofType: (type) => sourcesOfType(this.known, type),
    };
  }

  setting(local?: ReadonlyMap<string, Value>, width = 12): Setting {
    const filters = [...this.resolved.values()].flatMap((it) => it.filters);
    return { board: this.board, scope: this.scope(local), range: this.range, known: this.known, filters, width: width * COLUMN_PX, scrapeMs: SCRAPE_MS, nowMs: serverNowMs() };
  }

  /** What a panel asks for; one that cannot be asked says why, and the others are asked all the same. */
  questions(placed: Placed): Questions {
    const setting = this.setting(placed.local, this.only === undefined ? placed.pos.w : 24);
    try {
      return questionsOf(placed.panel, placed.key, setting);
    } catch (error) {
      return { queries: [], asked: new Map(), others: [], findings: [], problems: [{ refId: "", message: t("cannot make out what to ask for: {0}", wordsOf(error)) }], range: this.range, intervalMs: 1000 };
    }
  }

  async #ask(signal: AbortSignal, newOnly = false): Promise<void> {
    const placed = this.placed.filter((it) => !newOnly || !this.panels.has(it.key));
    const jobs = placed.map((it) => ({ it, questions: this.questions(it) }));
    for (const { it } of jobs) this.panels.set(it.key, { ...(this.panels.get(it.key) ?? { data: undefined, problems: [], findings: [] }), busy: true });
    await this.#annotate(signal);
    const open = new Map(jobs.map((job) => [job.it.key, new Collected(job.it, job.questions)]));
    const owner = new Map<string, Collected>();
    for (const it of open.values()) for (const query of it.questions.queries) owner.set(query.ref, it);
    const queries: Query[] = jobs.flatMap(({ questions }) => questions.queries);
    for (const it of open.values()) if (it.questions.queries.length === 0 && it.questions.others.length === 0) this.#done(it);
    const examples = this.#exemplify([...open.values()], signal);
    const others = [...open.values()].flatMap((it) => it.questions.others.map((question) => this.#other(it, question, signal)));
    await askAll(
      queries,
      (ref, reply) => {
        const it = owner.get(ref);
        const asked = it?.questions.asked.get(ref);
        if (!it || !asked) return;
        try {
          if (!reply.ok) it.problems.push({ refId: asked.refId, message: reply.error });
          else if ("logs" in reply) it.add(ref, reply.logs.type === "lines" ? [logFrame(reply.logs.entries, asked.refId)] : framesOf({ type: "matrix", items: reply.logs.items, warnings: [] }, asked).frames);
          else {
            const { frames, findings } = framesOf(reply.answer, asked);
            it.add(ref, frames);
            it.findings.push(...findings);
          }
        } catch (error) {
          it.problems.push({ refId: asked.refId, message: t("cannot read the answer: {0}", wordsOf(error)) });
        }
        it.left -= 1;
        if (it.left === 0) this.#done(it);
      },
      signal,
    );
    await Promise.all(others);
    this.#shared(open);
    await examples;
  }

  async #other(it: Collected, question: Questions["others"][number], signal: AbortSignal): Promise<void> {
    if (question.kind !== "dashboard") {
      try {
        const { frames, findings } = await askOther(question, this.scope(it.placed.local), it.questions.range, signal);
        it.add(question.refId, frames);
        it.findings.push(...findings);
      } catch (error) {
        if (signal.aborted) return;
        it.problems.push({ refId: question.refId, message: wordsOf(error) });
      }
    }
    it.left -= 1;
    if (it.left === 0 && !it.questions.others.some((other) => other.kind === "dashboard")) this.#done(it);
  }

  /** Exemplars come beside: no panel waits for them, and one that has none is a panel all the same. */
  async #exemplify(all: readonly Collected[], signal: AbortSignal): Promise<void> {
    let left = EXEMPLAR_QUERIES_MAX;
    const asks = all.flatMap((it) => {
      const wanted = [...it.questions.asked.values()].filter((asked) => asked.exemplar);
      if (wanted.length > left) it.findings.push(t("exemplars are asked for in {0} queries of a dashboard, not in more", EXEMPLAR_QUERIES_MAX));
      const asked = wanted.slice(0, left);
      left -= asked.length;
      if (asked.length > 0) return [{ it, asked }];
      // Those of a query that wants none any more go.
      it.exemplars = [];
      return [];
    });
    await Promise.all(
      asks.map(async ({ it, asked }) => {
        const { found, findings } = await exemplarsOf(asked, it.questions.range, signal);
        if (signal.aborted) return;
        it.exemplars = found;
        it.findings.push(...findings);
        const now = this.panels.get(it.placed.key);
        if (now?.data && !now.busy) this.panels.set(it.placed.key, { ...now, data: { ...now.data, exemplars: found }, findings: [...new Set([...now.findings, ...findings])] });
      }),
    );
  }

  /** Panels that show what another one got come last. */
  #shared(open: ReadonlyMap<string, Collected>): void {
    for (const it of open.values()) {
      const asks = it.questions.others.filter((other) => other.kind === "dashboard");
      for (const { raw, refId } of asks) {
        const id = num(raw, "panelId");
        const other = [...open.values()].find((that) => that.placed.panel.id === id)?.placed ?? this.layout.rows.flatMap((row) => row.panels).find((that) => that.panel.id === id);
        const frames = other && this.#raw.get(other.key);
        if (!frames) it.problems.push({ refId, message: t("the panel {0}, whose data this one shows, is not on this page", String(id)) });
        else {
          try {
            it.add(refId, raw["withTransforms"] === true && other ? prepared({ ...other.panel, defaults: {}, overrides: [] }, frames, this.scope()).frames : frames);
          } catch (error) {
            it.problems.push({ refId, message: t("the panel {0}, whose data this one shows, cannot be made: {1}", String(id), wordsOf(error)) });
          }
        }
      }
      if (asks.length > 0) this.#done(it);
    }
  }

  #done(it: Collected): void {
    const { panel, key, local } = it.placed;
    const scope = this.scope(local);
    const own: Scope = { ...scope, times: { range: it.questions.range, intervalMs: it.questions.intervalMs, scrapeMs: SCRAPE_MS } };
    const frames = it.frames();
    this.#raw.set(key, frames);
    let result: { frames: Frame[]; findings: string[] };
    let lacking: string[] = [];
    try {
      result = prepared(panel, frames, own);
      lacking = lacks(panel, result.frames);
    } catch (error) {
      result = { frames: [], findings: [] };
      it.problems.push({ refId: "", message: t("what came cannot be made into this panel: {0}", wordsOf(error)) });
    }
    const data: PanelData = { key, panel, frames: result.frames, range: it.questions.range, intervalMs: it.questions.intervalMs, board: this.board, scope: own, annotations: this.annotations.filter((it) => !it.panel || it.panel === panel.id), exemplars: it.exemplars ?? this.panels.get(key)?.data?.exemplars ?? [], zoom: (range) => this.zoom(range), ask: (range) => (this.changed = { key, range }), sync: this.board.tooltip === "own" ? undefined : `board ${this.board.uid}` };
    const findings = [...new Set([...panel.findings, ...lacking, ...it.questions.findings, ...it.findings, ...result.findings])];
    this.panels.set(key, { busy: false, data, problems: [...it.questions.problems, ...it.problems], findings });
  }

  async #annotate(signal: AbortSignal): Promise<void> {
    const wanted = this.board.annotations.filter((it) => it.enabled !== (this.muted.get(it.name) ?? false));
    const findings: string[] = [];
    const found = await Promise.all(
      wanted.map(async (it) => {
        try {
          const { found, finding } = await annotationsOf(it, this.setting(), signal);
          if (finding !== undefined) findings.push(finding);
          return found;
        } catch (error) {
          if (!signal.aborted) findings.push(t("the annotations {0} cannot be read: {1}", it.name, wordsOf(error)));
          return [];
        }
      }),
    );
    this.annotations = found.flat();
    this.annotationFindings = findings;
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What comes in for one panel until all is there. */
class Collected {
  left: number;
  readonly problems: { refId: string; message: string }[] = [];
  readonly findings: string[] = [];
  /** Nothing until they came. */
  exemplars: readonly Exemplar[] | undefined;
  readonly #frames = new Map<string, Frame[]>();

  constructor(
    readonly placed: Placed,
    readonly questions: Questions,
  ) {
    this.left = questions.queries.length + questions.others.length;
  }

  add(ref: string, frames: Frame[]): void {
    this.#frames.set(ref, frames);
  }

  /** In the order of the questions, whatever came first. */
  frames(): Frame[] {
    const order = [...this.questions.queries.map((it) => it.ref), ...this.questions.others.map((it) => it.refId)];
    return order.flatMap((it) => this.#frames.get(it) ?? []);
  }
}
