// The pages, one line each: address, name, and how its part of the program is loaded. Not the navigation's looks.
import type { Component } from "svelte";
import StatusPage from "./StatusPage.svelte";
import { t } from "../words/t";

type Load = () => Promise<{ default: Component }>;
export type PageEntry = {
  path: string;
  name: string;
  /** The page that leads to it; it is then not in the navigation itself. */
  below?: string;
} & ({ component: Component; load?: never } | { component?: never; load: Load });

export const pages: readonly PageEntry[] = [
  // The first page comes with the program; the others are loaded when somebody goes there.
  { path: "/", name: t("System Status"), component: StatusPage },
  { path: "/overview", name: t("Overview"), load: () => import("./OverviewPage.svelte") },
  { path: "/dashboards", name: t("Dashboards"), load: () => import("./DashboardsPage.svelte") },
  { path: "/d", name: t("Dashboard"), below: "/dashboards", load: () => import("./DashboardPage.svelte") },
  { path: "/alerts", name: t("Alerts"), load: () => import("./AlertsPage.svelte") },
  { path: "/rules", name: t("Rules"), below: "/alerts", load: () => import("./RulesPage.svelte") },
  { path: "/doctor", name: t("Doctor"), below: "/alerts", load: () => import("./DoctorPage.svelte") },
  { path: "/logs", name: t("Logs"), load: () => import("./LogsPage.svelte") },
  { path: "/traces", name: t("Traces"), load: () => import("./TracesPage.svelte") },
  { path: "/profiles", name: t("Profiles"), load: () => import("./ProfilesPage.svelte") },
  { path: "/pipeline", name: t("Pipeline"), load: () => import("./PipelinePage.svelte") },
  { path: "/cameras", name: t("Cameras"), load: () => import("./CamerasPage.svelte") },
  { path: "/services", name: t("Services"), load: () => import("./ServicesPage.svelte") },
  { path: "/processes", name: t("Processes"), load: () => import("./ProcessesPage.svelte") },
  { path: "/targets", name: t("Targets"), load: () => import("./TargetsPage.svelte") },
  { path: "/storage", name: t("Storage"), load: () => import("./StoragePage.svelte") },
  { path: "/query", name: t("Query"), load: () => import("./QueryPage.svelte") },
  { path: "/explore", name: t("Explore"), below: "/logs", load: () => import("./ExplorePage.svelte") },
  { path: "/settings", name: t("Settings"), load: () => import("./SettingsPage.svelte") },
  { path: "/settings/dlq", name: t("DLQ Monitor"), below: "/settings", load: () => import("./DlqPage.svelte") },
];

/** Where Grafana has the same: its links and people's habits lead here, too. */
const HABITS: Readonly<Record<string, string>> = { "/alerting": "/alerts", "/alerting/list": "/rules", "/alerting/groups": "/alerts", "/alerting/silences": "/alerts", "/alerting/history": "/alerts" };

export function pageAt(path: string): PageEntry | undefined {
  // Below the search for traces stand its other views and each trace, below profiles their comparison, below /d each dashboard.
  const plain = path.replace(/^(\/traces|\/profiles|\/d)\/.*|(.)\/+$/, "$1$2");
  return pages.find((it) => it.path === (HABITS[plain] ?? plain));
}
