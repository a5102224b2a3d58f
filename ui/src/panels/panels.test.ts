// What panels make of answers. Not how it looks.
import { expect, test } from "vitest";
import type { LabelSet, VectorItem } from "../api/prometheus";
import { parseGpu } from "../api/system";
import { cpuTimes } from "./cpu/modes";
import { filesystems } from "./disks/filesystems";
import { arcPath, pointAt } from "./gpu/arc";
import { historySeries } from "./gpu/history";
import { interfaces } from "./network/interfaces";
import { depths } from "./queues/depths";
import { overall, stateWords } from "./services/states";
import { sensors } from "./temperatures/sensors";

const item = (labels: LabelSet, value: number): VectorItem => ({ labels, value, time: 0, text: String(value) });

const range = { start: 0, end: 1, step: 1 };

test("cpu: rare modes share a band, idle is the rest", () => {
  const mode = (name: string, value: number) => ({ labels: { mode: name }, points: [[1, value]] as [number, number][] });
  const { bands, busy } = cpuTimes([mode("idle", 60), mode("user", 30), mode("steal", 4), mode("irq", 6)], range);
  expect(bands).toEqual([
    { label: "user", points: [[1, 30]] },
    { label: "other", points: [[1, 10]] },
  ]);
  expect(busy).toBe(40);
  expect(cpuTimes([], range).busy).toBeUndefined();
  expect(cpuTimes([mode("user", 30)], { ...range, end: 60 }).busy).toBeUndefined();
});

test("disks: pseudo filesystems are left out, and a device counts once", () => {
  const disk = (device: string, mountpoint: string, fstype: string) => [
    item({ __name__: "node_filesystem_size_bytes", device, mountpoint, fstype }, 100),
    item({ __name__: "node_filesystem_free_bytes", device, mountpoint, fstype }, 40),
    item({ __name__: "node_filesystem_avail_bytes", device, mountpoint, fstype }, 20),
  ];
  const list = filesystems([
    ...disk("/dev/sda", "/etc/hosts", "ext4"),
    ...disk("/dev/sda", "/data", "ext4"),
    ...disk("tmpfs", "/run", "tmpfs"),
    ...disk("overlay", "/", "overlay"),
    ...disk("overlay", "/var/lib/x", "overlay"),
  ]);
  expect(list.map((it) => [it.mountpoint, it.used, it.available, it.percent])).toEqual([
    ["/", 60, 20, 75],
    ["/data", 60, 20, 75],
  ]);
});

test("network: physical first, loopback last, one direction alone is enough", () => {
  const of = (...names: string[]) => names.map((device, value) => item({ device }, value));
  expect(interfaces(of("lo", "veth1", "wlan0", "enp3s0"), of("eth1"))).toMatchObject([
    { device: "enp3s0", sent: null },
    { device: "eth1", received: null },
    { device: "wlan0" },
    { device: "veth1" },
    { device: "lo" },
  ]);
});

test("temperatures: names from the name series, else from the address", () => {
  const sensor = (chip: string, name: string, now: number) => ({
    labels: { __name__: "node_hwmon_temp_celsius", chip, sensor: name },
    points: [[1, now]] as [number, number][],
  });
  const names = [
    item({ __name__: "node_hwmon_chip_names", chip: "pci_1", chip_name: "k10temp" }, 1),
    item({ __name__: "node_hwmon_sensor_label", chip: "pci_1", sensor: "temp1", label: "Tctl" }, 1),
  ];
  const zone = { labels: { __name__: "node_thermal_zone_temp", type: "acpitz", zone: "0" }, points: [[1, 30]] as [number, number][] };
  expect(sensors([zone, sensor("platform_coretemp_0", "temp2", 40), sensor("pci_1", "temp1", 50)], range, names).map((it) => it.label)).toEqual([
    "k10temp Tctl",
    "coretemp 0 temp2",
    "acpitz 0",
  ]);
});

test("queues: a missing depth is not zero", () => {
  expect(depths([item({ __name__: "hsi_analysis_queue_depth" }, 0)]).map((it) => it.depth)).toEqual([undefined, 0]);
});

test("services: not configured and unknown have no tone", () => {
  expect(stateWords("not_configured")).toEqual({ word: "not configured", tone: "neutral" });
  expect(stateWords("unknown").tone).toBe("neutral");
  expect(overall("healthy").tone).toBe("ok");
  expect(overall("splendid")).toEqual({ word: "splendid", tone: "neutral" });
});

test("gpu: samples without a figure leave no point, and the newest is appended once", () => {
  const sample = (at: string, utilization: number | null) => parseGpu({ gpu_name: "x", gpu_utilization: utilization, memory_used: 1, memory_total: 4, recorded_at: at })!;
  const past = [sample("2025-01-01T00:00:00Z", 10), sample("2025-01-01T00:00:05Z", null)];
  const newest = sample("2025-01-01T00:00:10.000Z", 30);
  const [utilization, vram] = historySeries(past, newest);
  expect(utilization?.points.map(([, value]) => value)).toEqual([10, 30]);
  expect(vram?.points.map(([, value]) => value)).toEqual([25, 25, 25]);
  expect(historySeries([...past, newest], newest)[0]?.points.length).toBe(2);
});

test("the gauge's arc is open at the bottom and symmetric", () => {
  expect(pointAt(50, 80)).toEqual([0, -80]);
  const [[left, low], [right, low2]] = [pointAt(0, 80), pointAt(100, 80)];
  expect(left).toBe(-right);
  expect(low).toBe(low2);
  expect(pointAt(250, 80)).toEqual(pointAt(100, 80));
  expect(arcPath(80)).toBe(`M ${left} ${low} A 80 80 0 1 1 ${right} ${low2}`);
});
