// A scripted server of Pyroscope's face: two services, a flame graph, two compared, the samples of one span. It looks at what is asked as
// far as the tests do. Not the real one.
import type { Handler, Reply } from "./mock.ts";

export const CPU = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
export const HEAP = "memory:inuse_space:bytes:inuse_space:bytes";
const EVIL = '<img src=x onerror="document.title=1">';
const MS = 1_000_000;
const NAMES = ["total", "main", "detect_objects", "nms", "store_event", EVIL, "resize"];
/** A main loop whose detection takes most; a name that is no HTML. */
const LEVELS = [
  [0, 1000 * MS, 0, 0],
  [0, 1000 * MS, 20 * MS, 1],
  [20 * MS, 700 * MS, 100 * MS, 2, 0, 200 * MS, 200 * MS, 4, 0, 80 * MS, 80 * MS, 5],
  [120 * MS, 500 * MS, 500 * MS, 3, 0, 100 * MS, 100 * MS, 6],
];
const DIFF = [
  [0, 400, 0, 0, 600, 0, 0],
  [0, 400, 0, 0, 600, 0, 1],
  [0, 300, 300, 0, 200, 200, 2, 0, 100, 100, 0, 400, 400, 4],
];
export const SPAN = "00f067aa0ba902b7";

export class Profiling {
  constructor(readonly empty = false) {}

  readonly handler: Handler = ({ path, params, body }): Reply | undefined => {
    if (!path.startsWith("/pyroscope/")) return undefined;
    if (path.endsWith("/Series")) return { body: { labelsSet: this.empty ? [] : [this.#series("ai-yolo26", HEAP), this.#series("backend", CPU), this.#series("backend", HEAP)] } };
    if (path === "/pyroscope/render") return this.#render(params);
    if (path === "/pyroscope/render-diff") {
      return { body: { version: 1, flamebearer: { names: NAMES, levels: DIFF, numTicks: 1000, maxSelf: 400 }, metadata: { format: "double" }, leftTicks: 400, rightTicks: 600 } };
    }
    if (path.endsWith("/SelectMergeSpanProfile")) {
      const known = body.includes(SPAN);
      const levels = known ? [["0", "30000000", "0", "0"], ["0", "30000000", "30000000", "2"]] : [["0", "0", "0", "0"]];
      return { body: { flamegraph: { names: NAMES, levels: levels.map((values) => ({ values })), total: known ? "30000000" : "0", maxSelf: "0" } } };
    }
    return { status: 404, body: { code: "not_found", message: "no such method" } };
  };

  #series(service: string, type: string): unknown {
    return { labels: [{ name: "__profile_type__", value: type }, { name: "service_name", value: service }] };
  }

  #render(params: URLSearchParams): Reply {
    if ((params.get("query") ?? "").includes("broken")) return { status: 400, body: { error: "cannot read the label selector: no", message: "cannot read the label selector: no" } };
    const [from, until] = [Number(params.get("from")), Number(params.get("until"))];
    const step = 15;
    const start = Math.floor(from / 1000 / step) * step;
    const samples = Array.from({ length: Math.floor((until / 1000 - start) / step) + 1 }, (_, at) => (8 + Math.sin(at / 9) * 4) * 1e9);
    return {
      body: {
        version: 1,
        flamebearer: { names: NAMES, levels: LEVELS, numTicks: 1000 * MS, maxSelf: 500 * MS },
        metadata: { format: "single", units: "samples", sampleRate: 1e9 },
        timeline: { startTime: start, samples, durationDelta: step, watermarks: {} },
        groups: null,
      },
    };
  }
}
