// The panel types, one line each, by the names that dashboards use. Not the panels: each is in its folder.
import type { Component } from "svelte";
import type { PanelData } from "../view/data";
import AlertListPanel from "./alertlist/AlertListPanel.svelte";
import BarChartPanel from "./barchart/BarChartPanel.svelte";
import BarGaugePanel from "./bargauge/BarGaugePanel.svelte";
import DashListPanel from "./dashlist/DashListPanel.svelte";
import FlameGraphPanel from "./flamegraph/FlameGraphPanel.svelte";
import GaugePanel from "./gauge/GaugePanel.svelte";
import HeatmapPanel from "./heatmap/HeatmapPanel.svelte";
import HistogramPanel from "./histogram/HistogramPanel.svelte";
import LogsPanel from "./logs/LogsPanel.svelte";
import PieChartPanel from "./piechart/PieChartPanel.svelte";
import StateTimelinePanel from "./statetimeline/StateTimelinePanel.svelte";
import StatPanel from "./stat/StatPanel.svelte";
import TablePanel from "./table/TablePanel.svelte";
import TextPanel from "./text/TextPanel.svelte";
import TimeSeriesPanel from "./timeseries/TimeSeriesPanel.svelte";
import TracesPanel from "./traces/TracesPanel.svelte";
import { t } from "../../words/t";

export type PanelComponent = Component<{ data: PanelData }>;
export interface PanelType {
  name: string;
  component: PanelComponent;
  /** It says something without any data. */
  alone?: boolean;
}

export const PANEL_TYPES: Record<string, PanelType> = {
  timeseries: { name: t("Time series"), component: TimeSeriesPanel },
  stat: { name: t("Stat"), component: StatPanel },
  gauge: { name: t("Gauge"), component: GaugePanel },
  bargauge: { name: t("Bar gauge"), component: BarGaugePanel },
  barchart: { name: t("Bar chart"), component: BarChartPanel },
  piechart: { name: t("Pie chart"), component: PieChartPanel },
  table: { name: t("Table"), component: TablePanel },
  text: { name: t("Text"), component: TextPanel, alone: true },
  heatmap: { name: t("Heatmap"), component: HeatmapPanel },
  histogram: { name: t("Histogram"), component: HistogramPanel },
  "state-timeline": { name: t("State timeline"), component: StateTimelinePanel },
  "status-history": { name: t("Status history"), component: StateTimelinePanel },
  logs: { name: t("Logs"), component: LogsPanel },
  traces: { name: t("Traces"), component: TracesPanel },
  flamegraph: { name: t("Flame graph"), component: FlameGraphPanel },
  alertlist: { name: t("Alert list"), component: AlertListPanel, alone: true },
  dashlist: { name: t("Dashboard list"), component: DashListPanel, alone: true },
};
