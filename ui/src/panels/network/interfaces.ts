// Network interfaces in a useful order: physical ones first, then virtual ones, the loopback last. Not the query.
import type { VectorItem } from "../../api/prometheus";

export interface Interface {
  device: string;
  physical: boolean;
  received: number | null;
  sent: number | null;
}

/** Names that the kernel and udev give to wired, wireless and mobile hardware. */
const PHYSICAL = /^(en|eth|wl|ww|ib|usb|wlan)/;
/** Interfaces that carry traffic a second time, or only inside the machine; as a PromQL matcher it keeps them out of sums. */
export const NOT_COUNTED = 'device!~"lo|veth.*|br-.*|docker.*|podman.*|virbr.*|cni.*|flannel.*|cali.*|tun.*|tap.*|wg.*|bond.*|ifb.*|dummy.*"';

export function interfaces(received: readonly VectorItem[], sent: readonly VectorItem[]): Interface[] {
  const names = new Set([...received, ...sent].map((it) => it.labels["device"] ?? ""));
  return [...names].map((device) => ({
    device,
    physical: PHYSICAL.test(device),
    received: valueOf(received, device),
    sent: valueOf(sent, device),
  })).sort((a, b) => rank(a) - rank(b) || a.device.localeCompare(b.device));
}

function rank({ device, physical }: Interface): number {
  if (physical) return 0;
  return device === "lo" ? 2 : 1;
}

function valueOf(items: readonly VectorItem[], device: string): number | null {
  return items.find((it) => it.labels["device"] === device)?.value ?? null;
}
