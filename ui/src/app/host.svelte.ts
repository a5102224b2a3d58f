// Which machine the host panels show, when several report under job="node". Not service discovery: it lists what has series.
import { queryVector } from "../api/prometheus";

const KEY = "watchfire.host";

class Hosts {
  instances = $state.raw<string[]>([]);
  #chosen = $state<string | undefined>();

  constructor() {
    try {
      this.#chosen = localStorage.getItem(KEY) ?? undefined;
    } catch {
      // Without storage the first machine is shown.
    }
  }

  get chosen(): string | undefined {
    if (this.instances.length < 2) return undefined;
    return this.#chosen !== undefined && this.instances.includes(this.#chosen) ? this.#chosen : this.instances[0];
  }

  /** Whether only one machine reports, so that "the host" of a live message can only be that one. */
  get single(): boolean {
    return this.instances.length === 1;
  }

  choose(instance: string): void {
    this.#chosen = instance;
    try {
      localStorage.setItem(KEY, instance);
    } catch {
      // The choice then holds until the page is left.
    }
  }

  async load(): Promise<void> {
    const items = await queryVector('count by (instance) (node_load1{job="node"})').catch(() => []);
    this.instances = items.map((it) => it.labels["instance"] ?? "").filter((it) => it !== "").sort();
  }

  /** The matchers of every host query. Who watches them hears of other matchers only, not of the first answer about a single machine. */
  matchers = $derived(matchersOf(this.chosen));
}

export function matchersOf(instance: string | undefined): string {
  return instance === undefined ? 'job="node"' : `job="node",instance=${JSON.stringify(instance)}`;
}

export const hosts = new Hosts();
