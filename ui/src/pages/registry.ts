// The pages, one line each: address, name, and how its part of the program is loaded. Not the navigation's looks.
import type { Component } from "svelte";
import StatusPage from "./StatusPage.svelte";

type Load = () => Promise<{ default: Component }>;
export type PageEntry = {
  path: string;
  name: string;
  /** The page that leads to it; it is then not in the navigation itself. */
  below?: string;
} & ({ component: Component; load?: never } | { component?: never; load: Load });

export const pages: readonly PageEntry[] = [
  // The first page comes with the program; the others are loaded when somebody goes there.
  { path: "/", name: "System Status", component: StatusPage },
  { path: "/alerts", name: "Alerts", load: () => import("./AlertsPage.svelte") },
  { path: "/rules", name: "Rules", below: "/alerts", load: () => import("./RulesPage.svelte") },
  { path: "/doctor", name: "Doctor", below: "/alerts", load: () => import("./DoctorPage.svelte") },
  { path: "/logs", name: "Logs", load: () => import("./LogsPage.svelte") },
  { path: "/traces", name: "Traces", load: () => import("./TracesPage.svelte") },
  { path: "/profiles", name: "Profiles", load: () => import("./ProfilesPage.svelte") },
  { path: "/pipeline", name: "Pipeline", load: () => import("./PipelinePage.svelte") },
  { path: "/services", name: "Services", load: () => import("./ServicesPage.svelte") },
  { path: "/storage", name: "Storage", load: () => import("./StoragePage.svelte") },
  { path: "/query", name: "Query", load: () => import("./QueryPage.svelte") },
  { path: "/settings", name: "Settings", load: () => import("./SettingsPage.svelte") },
  { path: "/settings/dlq", name: "DLQ Monitor", below: "/settings", load: () => import("./DlqPage.svelte") },
];

export function pageAt(path: string): PageEntry | undefined {
  // Below the search for traces stand its other views and each trace, below profiles their comparison.
  const plain = path.replace(/^(\/traces|\/profiles)\/.*|(.)\/+$/, "$1$2");
  return pages.find((it) => it.path === plain);
}
