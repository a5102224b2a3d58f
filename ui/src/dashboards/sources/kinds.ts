// Which of this server's faces answers for a data source of a dashboard. By the type that the file names, else by what the server knows
// of the id or name, else by the words in the name. One server has one of each, so ids only tell the kind. Not the asking.
import type { Board, SourceRef } from "../model/types";
import type { Option } from "../variables/resolve";
import { t } from "../../words/t";

export type Kind = "prometheus" | "loki" | "tempo" | "pyroscope" | "alertmanager" | "mixed" | "dashboard" | "grafana" | "unknown";

export interface KnownSource {
  uid: string;
  name: string;
  type: string;
  isDefault: boolean;
}

const TYPES: Record<string, Kind> = {
  prometheus: "prometheus",
  "grafana-amazonprometheus-datasource": "prometheus",
  "grafana-azureprometheus-datasource": "prometheus",
  "victoriametrics-metrics-datasource": "prometheus",
  "victoriametrics-datasource": "prometheus",
  loki: "loki",
  tempo: "tempo",
  jaeger: "tempo",
  zipkin: "tempo",
  "grafana-pyroscope-datasource": "pyroscope",
  phlare: "pyroscope",
  pyroscope: "pyroscope",
  alertmanager: "alertmanager",
  mixed: "mixed",
  dashboard: "dashboard",
  grafana: "grafana",
};
const NAMES: Record<string, Kind> = { "-- Mixed --": "mixed", "-- Dashboard --": "dashboard", "-- Grafana --": "grafana", grafana: "grafana", default: "prometheus" };
const WORDS: readonly [RegExp, Kind][] = [
  [/loki|logs?\b/i, "loki"],
  [/tempo|jaeger|trac/i, "tempo"],
  [/pyroscope|phlare|profil/i, "pyroscope"],
  [/alertmanager/i, "alertmanager"],
  [/prom|mimir|thanos|cortex|victoria/i, "prometheus"],
];

export interface Found {
  kind: Kind;
  /** What the file calls it, for messages. */
  name: string;
}

export function kindOf(source: SourceRef | undefined, known: readonly KnownSource[], board: Board, write: (text: string) => string): Found {
  if (!source) return { kind: kindOfType(known.find((it) => it.isDefault)?.type) ?? "prometheus", name: t("the default") };
  const uid = source.uid === undefined ? "" : write(source.uid);
  const name = uid || (source.type ?? "");
  const named = NAMES[uid];
  if (named) return { kind: named, name };
  if (source.type !== undefined && source.type !== "" && source.type !== "datasource") {
    const type = source.type.startsWith("$") ? write(source.type) : source.type;
    return { kind: kindOfType(type) ?? "unknown", name: type };
  }
  if (source.type === "datasource") return { kind: uid === "grafana" ? "grafana" : uid === "-- Dashboard --" ? "dashboard" : "grafana", name };
  const input = board.inputs.get(uid.replace(/^\$\{?(\w+)\}?$/, "$1"));
  const type = (typeof input === "object" ? input.type : undefined) ?? known.find((it) => it.uid === uid || it.name === uid)?.type ?? uid;
  // A name may say what it is where nothing else does.
  const guess = WORDS.find(([words]) => words.test(name))?.[1];
  return { kind: kindOfType(type) ?? guess ?? (known.length === 0 || uid.startsWith("$") ? "prometheus" : "unknown"), name };
}

export function kindOfType(type: string | undefined): Kind | undefined {
  return type === undefined ? undefined : TYPES[type];
}

/** The data sources of a type, as a variable of that type offers them. */
export function sourcesOfType(known: readonly KnownSource[], type: string): Option[] {
  const kind = kindOfType(type);
  const found = known.filter((it) => it.type === type || (kind !== undefined && kindOfType(it.type) === kind));
  // A server that does not say what it has still answers for the kinds that it is.
  if (found.length === 0 && kind !== undefined && known.length === 0) return [{ value: type, text: type }];
  return found.map((it) => ({ value: it.name, text: it.name }));
}
