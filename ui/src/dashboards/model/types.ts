// What a dashboard is to this page: a reading of Grafana's JSON, made anew from it after every change. The JSON itself stays as it came,
// so that what this page does not know is kept. Not the JSON's own shape.

export type Fields = Record<string, unknown>;

/** Which data source something names: by type and id, or, in older files, by a name. */
export interface SourceRef {
  type?: string | undefined;
  uid?: string | undefined;
}
export interface GridPos {
  x: number;
  y: number;
  w: number;
  h: number;
}
export interface Target {
  refId: string;
  hide: boolean;
  source: SourceRef | undefined;
  raw: Fields;
}
export interface Override {
  matcher: { id: string; options: unknown };
  properties: { id: string; value: unknown }[];
}
export interface Transformation {
  id: string;
  options: Fields;
  disabled: boolean;
  filter: { id: string; options: unknown } | undefined;
}
export interface Link {
  title: string;
  type: "link" | "dashboards";
  url: string;
  tooltip: string;
  tags: string[];
  asDropdown: boolean;
  targetBlank: boolean;
  includeVars: boolean;
  keepTime: boolean;
}
export interface Panel {
  id: number;
  /** As the file names it. */
  type: string;
  title: string;
  description: string;
  pos: GridPos;
  transparent: boolean;
  source: SourceRef | undefined;
  targets: Target[];
  options: Fields;
  defaults: Fields;
  overrides: Override[];
  transformations: Transformation[];
  links: Link[];
  repeat: string;
  repeatDirection: "h" | "v";
  maxPerRow: number;
  /** The least interval, as text. */
  interval: string;
  timeFrom: string;
  timeShift: string;
  /** Does not say that its times are its own. */
  hideTimes: boolean;
  maxDataPoints: number | undefined;
  /** What the file asks for and this page has not, in words. */
  findings: string[];
}
export interface Section {
  /** The row's own id, or undefined for what stands above the first row. */
  id: number | undefined;
  title: string;
  collapsed: boolean;
  repeat: string;
  panels: Panel[];
}
export type VariableKind = "query" | "custom" | "constant" | "interval" | "datasource" | "textbox" | "adhoc" | "switch" | "unknown";
export interface Variable {
  kind: VariableKind;
  /** As the file names it. */
  type: string;
  name: string;
  label: string;
  /** 0 shown, 1 without its label, 2 not shown. */
  hide: number;
  multi: boolean;
  includeAll: boolean;
  allValue: string;
  regex: string;
  sort: number;
  source: SourceRef | undefined;
  /** The question, or the values as text. */
  query: string;
  current: { value: string[]; text: string[] };
  options: { value: string; text: string }[];
  auto: boolean;
  autoCount: number;
  autoMin: string;
  raw: Fields;
}
export interface AnnotationQuery {
  name: string;
  enabled: boolean;
  color: string;
  source: SourceRef | undefined;
  expr: string;
  step: string;
  titleFormat: string;
  textFormat: string;
  tagKeys: string[];
  builtIn: boolean;
  /** What annotations that were noted here are chosen by. */
  tags: string[];
  anyTag: boolean;
}
export interface Board {
  uid: string;
  title: string;
  description: string;
  tags: string[];
  utc: boolean;
  from: string;
  to: string;
  refresh: string;
  editable: boolean;
  /** Charts have a cross-hair of their own, one together, or one with what stands under it. */
  tooltip: "own" | "line" | "all";
  variables: Variable[];
  annotations: AnnotationQuery[];
  links: Link[];
  sections: Section[];
  /** Names that the file gives data sources which are to be chosen at import. */
  inputs: Map<string, SourceRef | string>;
  findings: string[];
}
