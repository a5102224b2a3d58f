// Which filesystems are worth a row: real ones, each device once. Not the query and not the bars.
import type { VectorItem } from "../../api/prometheus";
import { percentOf } from "../../units/levels";

export interface Filesystem {
  mountpoint: string;
  device: string;
  kind: string;
  size: number;
  used: number;
  available: number;
  /** Of what a normal user could fill, as df counts it. */
  percent: number | null;
}

/** Kinds that live in memory or only mirror another filesystem. */
const PSEUDO = new Set(["tmpfs", "devtmpfs", "ramfs", "squashfs", "proc", "sysfs", "cgroup2", "devfs", "efivarfs", "nsfs", "autofs"]);

export function filesystems(items: readonly VectorItem[]): Filesystem[] {
  const found = new Map<string, Filesystem>();
  for (const item of items) {
    if (item.labels["__name__"] !== "node_filesystem_size_bytes" || item.value <= 0) continue;
    const filesystem = read(item, items);
    if (!filesystem || PSEUDO.has(filesystem.kind) || (filesystem.kind === "overlay" && filesystem.mountpoint !== "/")) continue;
    const before = found.get(filesystem.device);
    // A device mounted twice (bind mounts) is one disk: its shortest mount point names it.
    if (!before || filesystem.mountpoint.length < before.mountpoint.length) found.set(filesystem.device, filesystem);
  }
  return [...found.values()].sort((a, b) => a.mountpoint.localeCompare(b.mountpoint));
}

function read(size: VectorItem, items: readonly VectorItem[]): Filesystem | undefined {
  const { mountpoint = "", device = "", fstype = "" } = size.labels;
  const field = (name: string): number | undefined =>
    items.find(
      (it) =>
        it.labels["__name__"] === `node_filesystem_${name}_bytes` &&
        it.labels["mountpoint"] === mountpoint &&
        it.labels["device"] === device,
    )?.value;
  const available = field("avail") ?? field("free");
  if (available === undefined) return undefined;
  const used = size.value - (field("free") ?? available);
  return { mountpoint, device, kind: fstype, size: size.value, used, available, percent: percentOf(used, used + available) };
}
