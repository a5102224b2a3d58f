// Asks once, and again whenever what it depends on has changed. Not a poller.
export interface Once<T> {
  readonly value: T | undefined;
  readonly problem: string;
}

export function once<T>(when: () => unknown, ask: (signal: AbortSignal) => Promise<T>): Once<T> {
  let value = $state.raw<T | undefined>();
  let problem = $state("");
  $effect(() => {
    when();
    const abort = new AbortController();
    ask(abort.signal).then(
      (found) => {
        if (abort.signal.aborted) return;
        value = found;
        problem = "";
      },
      (error: unknown) => {
        if (!abort.signal.aborted) problem = error instanceof Error ? error.message : String(error);
      },
    );
    return () => abort.abort();
  });
  return {
    get value() {
      return value;
    },
    get problem() {
      return problem;
    },
  };
}
