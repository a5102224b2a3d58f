// Asks again and again while somebody looks: a value with its four states (loading, ready, empty, failed).
// Not the request itself, and not live pushes.
import { ApiError, NoData } from "./request";

export type Loaded<T> =
  | { state: "loading" }
  /** `failed` is set when a later refresh went wrong: the value is then old and says so. */
  | { state: "ready"; value: T; at: number; failed?: ApiError }
  | { state: "empty"; reason: string }
  | { state: "failed"; error: ApiError };

export class Poll<T> {
  current = $state.raw<Loaded<T>>({ state: "loading" });
  #timer: ReturnType<typeof setTimeout> | undefined;
  #abort: AbortController | undefined;

  constructor(
    readonly ask: (signal: AbortSignal) => Promise<T>,
    readonly intervalMs: number,
  ) {}

  /** Starts asking; returns how to stop. Made to be returned from an effect. */
  start(): () => void {
    const wake = (): void => {
      if (document.visibilityState === "visible") void this.refresh();
    };
    document.addEventListener("visibilitychange", wake);
    void this.refresh();
    return () => {
      document.removeEventListener("visibilitychange", wake);
      clearTimeout(this.#timer);
      this.#abort?.abort();
    };
  }

  async refresh(): Promise<void> {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    const next = await this.#once(abort.signal);
    if (abort.signal.aborted) return;
    if (next) this.current = next;
    // A hidden page asks for nothing; becoming visible wakes it.
    this.#timer = setTimeout(() => {
      if (document.visibilityState === "visible") void this.refresh();
    }, this.intervalMs);
  }

  async #once(signal: AbortSignal): Promise<Loaded<T> | undefined> {
    try {
      return { state: "ready", value: await this.ask(signal), at: Date.now() };
    } catch (error) {
      if (signal.aborted) return undefined;
      if (error instanceof NoData) return { state: "empty", reason: error.message };
      return this.#failed(error instanceof ApiError ? error : new ApiError("shape", String(error)));
    }
  }

  #failed(error: ApiError): Loaded<T> {
    const before = this.current;
    return before.state === "ready" ? { ...before, failed: error } : { state: "failed", error };
  }
}
