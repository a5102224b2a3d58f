// The states of a dashboard while it is changed, for going back and forth. Not saving.
import type { Fields } from "../model/types";

/** Steps that can be undone. */
const STEPS_MAX = 100;

export class History {
  now = $state.raw<Fields>({});
  #before = $state.raw<readonly Fields[]>([]);
  #after = $state.raw<readonly Fields[]>([]);
  /** What was loaded or saved last. */
  #kept = $state.raw<Fields>({});

  start(raw: Fields): void {
    this.now = raw;
    this.#kept = raw;
    this.#before = [];
    this.#after = [];
  }
  change(next: Fields): void {
    if (next === this.now) return;
    this.#before = [...this.#before, this.now].slice(-STEPS_MAX);
    this.#after = [];
    this.now = next;
  }
  undo(): void {
    const last = this.#before.at(-1);
    if (!last) return;
    this.#after = [...this.#after, this.now];
    this.#before = this.#before.slice(0, -1);
    this.now = last;
  }
  redo(): void {
    const next = this.#after.at(-1);
    if (!next) return;
    this.#before = [...this.#before, this.now];
    this.#after = this.#after.slice(0, -1);
    this.now = next;
  }
  saved(raw: Fields): void {
    this.now = raw;
    this.#kept = raw;
  }
  get canUndo(): boolean {
    return this.#before.length > 0;
  }
  get canRedo(): boolean {
    return this.#after.length > 0;
  }
  get changed(): boolean {
    return this.now !== this.#kept;
  }
}
