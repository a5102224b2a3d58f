// Asks one time: a value with its states, for what is too large to be asked for again and again. Not a poller (api/poll.svelte.ts).
import type { Loaded } from "./poll.svelte";
import { ApiError, NoData } from "./request";

export class Once<T> {
  current = $state.raw<Loaded<T>>({ state: "loading" });

  constructor(readonly ask: (signal: AbortSignal) => Promise<T>) {}

  /** Made to be returned from an effect. */
  start(): () => void {
    const abort = new AbortController();
    this.ask(abort.signal).then(
      (value) => {
        if (!abort.signal.aborted) this.current = { state: "ready", value, at: Date.now() };
      },
      (error: unknown) => {
        if (abort.signal.aborted) return;
        if (error instanceof NoData) this.current = { state: "empty", reason: error.message };
        else this.current = { state: "failed", error: error instanceof ApiError ? error : new ApiError("shape", String(error)) };
      },
    );
    return () => abort.abort();
  }
}
