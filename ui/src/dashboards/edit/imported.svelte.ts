// A dashboard on its way from a file or from pasted text to its page, where it is looked at before it is saved. Not the reading of it.
import type { Fields } from "../model/types";

class Imported {
  #raw: Fields | undefined;

  give(raw: Fields): void {
    this.#raw = raw;
  }
  /** Once, and only for the page of a new dashboard. */
  take(uid: string): Fields | undefined {
    if (uid !== "new") return undefined;
    const found = this.#raw;
    this.#raw = undefined;
    return found;
  }
}
export const imported = new Imported();
