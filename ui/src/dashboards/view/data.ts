// What a panel gets to draw: configured frames, times, and how to write its texts and links. Not the drawing.
import type { Exemplar } from "../../charts/exemplars";
import { configured } from "../fields/config";
import { display } from "../fields/display";
import type { Field, Frame } from "../fields/frame";
import type { Board, Link, Panel } from "../model/types";
import { flag, parts, text } from "../model/values";
import { transformed } from "../transform/registry";
import { interpolate, type Plain, type Scope } from "../variables/interpolate";
import type { Range } from "../variables/time";

export interface Annotation {
  name: string;
  color: string;
  from: number;
  to: number;
  title: string;
  text: string;
  tags: string[];
  /** The only panel that shows it, unless all do. */
  panel?: number | undefined;
}
export interface DataLink {
  title: string;
  url: string;
  blank: boolean;
}
export interface PanelData {
  key: string;
  panel: Panel;
  frames: Frame[];
  range: Range;
  intervalMs: number;
  board: Board;
  scope: Scope;
  annotations: Annotation[];
  /** Points that lead to traces, their times in milliseconds. */
  exemplars: readonly Exemplar[];
  zoom: (range: Range) => void;
  /** Tells what else changed in a range. */
  ask: (range: Range) => void;
  /** Boards with a shared cross-hair have its name. */
  sync: string | undefined;
}

export function prepared(panel: Panel, frames: readonly Frame[], scope: Scope): { frames: Frame[]; findings: string[] } {
  const { frames: shaped, findings } = transformed(frames, panel.transformations);
  return { frames: configured(shaped, panel.defaults, panel.overrides, (it, field, frame) => interpolate(it, fieldScope(scope, field, frame))), findings };
}

/** Words that a field and one of its values add: `${__field.labels.x}`, `${__value.raw}`, `${__series.name}`, `${__data.fields.x}`. */
export function fieldScope(scope: Scope, field: Field, frame: Frame, row?: number): Scope {
  return {
    ...scope,
    local(path) {
      const plain = path.replace(/\[(?:"([^"]*)"|'([^']*)'|([^\]]*))\]/g, (_, a?: string, b?: string, c?: string) => `.${a ?? b ?? c ?? ""}`);
      const label = /^__(?:field|series)\.labels\.(.+)$/.exec(plain)?.[1];
      if (label !== undefined) return field.labels[label] ?? "";
      const other = /^__data\.fields\.(.+?)(?:\.(text|numeric))?$/.exec(plain);
      if (other) {
        const name = other[1] ?? "";
        const of = frame.fields.find((it) => it.title === name || it.name === name) ?? frame.fields[Number(name)];
        return of && row !== undefined ? (other[2] === "text" ? display(of.values[row], of).text : valueText(of.values[row])) : "";
      }
      switch (plain) {
        case "__field.name":
        case "__field.displayName":
          return field.title ?? field.name;
        case "__field":
          return field.title ?? field.name;
        case "__series.name":
        case "__series":
          return frame.name || (field.title ?? field.name);
        case "__data.refId":
          return frame.refId;
        case "__value.raw":
        case "__value":
        case "__value.numeric":
          return row === undefined ? "" : valueText(field.values[row]);
        case "__value.text":
          return row === undefined ? "" : display(field.values[row], field).text;
        case "__value.time": {
          const time = frame.fields.find((it) => it.type === "time");
          return row === undefined ? "" : valueText(time?.values[row]);
        }
        default:
          return scope.local?.(path);
      }
    },
  };
}

function valueText(value: unknown): string {
  return value === null || value === undefined ? "" : String(value);
}

export function linksOf(field: Field, frame: Frame, row: number, scope: Scope): DataLink[] {
  return parts(field.config, "links").flatMap((it) => {
    const own = fieldScope(scope, field, frame, row);
    const url = safeUrl(interpolate(text(it, "url"), own, "url"));
    return url === undefined ? [] : [{ title: interpolate(text(it, "title"), own) || url, url, blank: flag(it, "targetBlank") }];
  });
}

/** A link of a board or a panel, with times and variables where it asks for them. */
export function linkUrl(link: Link, scope: Scope, params: URLSearchParams, write: Plain = "url"): string | undefined {
  const url = interpolate(link.url, scope, write);
  if (url === "") return undefined;
  const more = new URLSearchParams();
  if (link.includeVars) for (const [key, value] of params) if (key.startsWith("var-")) more.append(key, value);
  if (link.keepTime) for (const key of ["from", "to"]) if (params.has(key)) more.set(key, params.get(key) ?? "");
  const tail = more.toString();
  return safeUrl(tail === "" ? url : `${url}${url.includes("?") ? "&" : "?"}${tail}`);
}

/** Only addresses that go somewhere: a link that runs something is none. */
export function safeUrl(url: string): string | undefined {
  const plain = url.trim();
  if (plain === "") return undefined;
  try {
    const { protocol } = new URL(plain, "http://here/");
    return protocol === "http:" || protocol === "https:" || protocol === "mailto:" ? plain : undefined;
  } catch {
    return undefined;
  }
}

export function isInside(url: string): boolean {
  return url.startsWith("/") && !url.startsWith("//");
}
