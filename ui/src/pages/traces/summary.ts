// What a list of traces says of each: its first span, begin, length, services, errors; the orders of the list, and how lengths are
// distributed. Not the drawing.
import type { Trace } from "../../api/jaeger";
import { isError, type Node, treeOf } from "./tree";
import { ROUND_US } from "./words";

export interface ServiceCount {
  name: string;
  spans: number;
  errors: number;
}
export interface Summary {
  id: string;
  /** Service and operation of the first span. */
  service: string;
  name: string;
  startUs: number;
  durationUs: number;
  spans: number;
  errors: number;
  services: ServiceCount[];
  /** Its first span is missing. */
  incomplete: boolean;
}

export function summaryOf(trace: Trace, nodes: readonly Node[] = treeOf(trace)): Summary {
  const first = nodes.find((it) => it.parent < 0 && it.oddity === undefined) ?? nodes[0];
  const services = new Map<string, ServiceCount>();
  let [from, to, errors] = [Infinity, -Infinity, 0];
  for (const span of trace.spans) {
    from = Math.min(from, span.startUs);
    to = Math.max(to, span.startUs + span.durationUs);
    const name = span.process.service;
    const count = services.get(name) ?? { name, spans: 0, errors: 0 };
    count.spans += 1;
    if (isError(span)) {
      count.errors += 1;
      errors += 1;
    }
    services.set(name, count);
  }
  return {
    id: trace.id,
    service: first?.span.process.service ?? "",
    name: first?.span.name ?? "",
    startUs: first ? from : 0,
    durationUs: first ? to - from : 0,
    spans: trace.spans.length,
    errors,
    services: [...services.values()].sort((a, b) => a.name.localeCompare(b.name)),
    incomplete: nodes.some((it) => it.oddity === "no-parent"),
  };
}

export const ORDERS = ["most recent", "longest", "shortest", "most spans", "least spans"] as const;
export type Order = (typeof ORDERS)[number];
const BY: Record<Order, (a: Summary, b: Summary) => number> = {
  "most recent": (a, b) => b.startUs - a.startUs,
  longest: (a, b) => b.durationUs - a.durationUs,
  shortest: (a, b) => a.durationUs - b.durationUs,
  "most spans": (a, b) => b.spans - a.spans,
  "least spans": (a, b) => a.spans - b.spans,
};

export function ordered(all: readonly Summary[], order: Order): Summary[] {
  return [...all].sort((a, b) => BY[order](a, b) || b.startUs - a.startUs || a.id.localeCompare(b.id));
}

export interface Bucket {
  from: number;
  to: number;
  count: number;
  errors: number;
}
const BUCKETS_MAX = 24;

/** How many traces took how long, in buckets that grow; from the shortest to the longest. */
export function bucketsOf(all: readonly Summary[]): Bucket[] {
  if (all.length === 0) return [];
  const lengths = all.map((it) => it.durationUs);
  const bounds = boundsOver(Math.min(...lengths), Math.max(...lengths));
  const buckets = bounds.slice(1).map((to, at): Bucket => ({ from: bounds[at] ?? 0, to, count: 0, errors: 0 }));
  for (const { durationUs, errors } of all) {
    const bucket = buckets.find(({ to }) => durationUs < to) ?? buckets.at(-1);
    if (!bucket) continue;
    bucket.count += 1;
    if (errors > 0) bucket.errors += 1;
  }
  return buckets;
}

/** From one at or below the least to one above the most. */
function boundsOver(least: number, most: number): number[] {
  const all = [0, ...ROUND_US];
  const from = Math.max(0, all.findLastIndex((it) => it <= least));
  const end = all.findIndex((it) => it > most);
  const bounds = end < 0 ? [...all.slice(from), most + 1] : all.slice(from, end + 1);
  if (bounds.length <= BUCKETS_MAX + 1) return bounds;
  const every = Math.ceil((bounds.length - 1) / BUCKETS_MAX);
  return bounds.filter((_, at) => (bounds.length - 1 - at) % every === 0 || at === 0);
}

/** A length below which a share of them is; undefined of nothing. */
export function quantile(all: readonly Summary[], share: number): number | undefined {
  const sorted = all.map((it) => it.durationUs).sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}
