// Lines of logs as a frame: time, line, labels. Not their looks.
import type { Entry } from "../../api/entry";
import { field, type Frame } from "../fields/frame";

export function logFrame(entries: readonly Entry[], refId: string): Frame {
  return {
    refId,
    name: refId,
    kind: "logs",
    fields: [
      field("Time", "time", entries.map((it) => it.ms), refId),
      field("Line", "string", entries.map((it) => it.line), refId),
      field("labels", "other", entries.map((it) => ({ ...it.labels, ...it.metadata, ...it.parsed })), refId),
      field("tsNs", "string", entries.map((it) => it.ns), refId),
    ],
    more: entries,
  };
}
