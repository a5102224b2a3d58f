// The panels of the first page, one line each, in the order in which they are shown.
// Not their contents: one panel is one folder.
import type { Component } from "svelte";
import CpuPanel from "./cpu/CpuPanel.svelte";
import DisksPanel from "./disks/DisksPanel.svelte";
import GpuPanel from "./gpu/GpuPanel.svelte";
import LoadPanel from "./load/LoadPanel.svelte";
import MemoryPanel from "./memory/MemoryPanel.svelte";
import NetworkPanel from "./network/NetworkPanel.svelte";
import OwnPanel from "./own/OwnPanel.svelte";
import QueuesPanel from "./queues/QueuesPanel.svelte";
import ServicesPanel from "./services/ServicesPanel.svelte";
import TemperaturesPanel from "./temperatures/TemperaturesPanel.svelte";

export type SectionName = "gpu" | "host" | "services" | "own";
export interface PanelEntry {
  section: SectionName;
  /** How much of a wide row it takes. */
  width: "full" | "wide" | "half" | "third";
  component: Component;
}

export const panels: readonly PanelEntry[] = [
  { section: "gpu", width: "full", component: GpuPanel },
  { section: "host", width: "half", component: CpuPanel },
  { section: "host", width: "half", component: MemoryPanel },
  { section: "host", width: "half", component: NetworkPanel },
  { section: "host", width: "half", component: DisksPanel },
  { section: "host", width: "half", component: LoadPanel },
  { section: "host", width: "half", component: TemperaturesPanel },
  { section: "services", width: "wide", component: ServicesPanel },
  { section: "services", width: "third", component: QueuesPanel },
  { section: "own", width: "full", component: OwnPanel },
];
