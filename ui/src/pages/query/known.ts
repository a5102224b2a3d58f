// What the server knows for a query that is being typed: labels and their values, kept for as long as somebody types; the tree of a query.
// Not what is made of it.
import { isRecord, request } from "../../api/request";
import { type Node, nodeOf } from "./tree";

/** Answers that are kept, the oldest go first. */
const KEPT_MAX = 100;
/** More than this nobody looks through. */
const VALUES_MAX = 2000;

export class Asked {
  readonly #kept = new Map<string, Promise<string[]>>();

  /** The labels of what a selector finds; of everything without one. */
  labels(selector: string): Promise<string[]> {
    return this.#ask("/api/v1/labels", selector);
  }
  values(label: string, selector: string): Promise<string[]> {
    return this.#ask(`/api/v1/label/${encodeURIComponent(label)}/values`, selector);
  }

  #ask(path: string, selector: string): Promise<string[]> {
    const key = `${path} ${selector}`;
    const known = this.#kept.get(key);
    if (known) return known;
    const asked = request(path, { params: { limit: VALUES_MAX, ...(selector === "" ? {} : { "match[]": selector }) } }).then((body) => {
      const data = isRecord(body) ? body["data"] : undefined;
      return Array.isArray(data) ? data.map(String) : [];
    });
    // What failed is asked again the next time.
    asked.catch(() => this.#kept.delete(key));
    this.#kept.set(key, asked);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > KEPT_MAX && oldest !== undefined) this.#kept.delete(oldest);
    return asked;
  }
}

export async function treeOf(query: string, signal: AbortSignal): Promise<Node | undefined> {
  const body = await request("/api/v1/parse_query", { method: "POST", form: { query }, signal });
  return isRecord(body) ? nodeOf(body["data"]) : undefined;
}
