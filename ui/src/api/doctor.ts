// What the doctor found in the loaded files and about the machine. Not the finding.
import { numberIn, recordsIn, textIn } from "./fields";
import { ApiError, isRecord, request } from "./request";
import { t } from "../words/t";

export type Severity = "error" | "warning";
export interface Finding {
  severity: Severity;
  code: string;
  /** The file, or "server" for the machine. */
  file: string;
  /** From 1; 0 when it is about no line. */
  line: number;
  column: number;
  subject: string;
  message: string;
  suggestion: string | null;
}
export interface Report {
  checkedAt: string | null;
  files: number;
  findings: Finding[];
}

export async function doctor(signal?: AbortSignal): Promise<Report> {
  return parseReport(await request("/api/system/doctor", { signal }));
}

export function parseReport(body: unknown): Report {
  if (!isRecord(body) || !Array.isArray(body["findings"])) throw new ApiError("shape", t("/api/system/doctor answered without findings"));
  const findings = recordsIn(body, "findings").map((it) => ({
    severity: it["severity"] === "error" ? ("error" as const) : ("warning" as const),
    code: textIn(it, "code") ?? "",
    file: textIn(it, "file") ?? "",
    line: numberIn(it, "line") ?? 0,
    column: numberIn(it, "column") ?? 0,
    subject: textIn(it, "subject") ?? "",
    message: textIn(it, "message") ?? "",
    suggestion: textIn(it, "suggestion"),
  }));
  return { checkedAt: textIn(body, "checked_at"), files: numberIn(body, "files") ?? 0, findings };
}
