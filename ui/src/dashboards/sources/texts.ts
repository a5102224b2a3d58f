// Lists of texts out of answers in Prometheus' envelope. Not other shapes.
import { isRecord } from "../../api/request";

export function textsOf(body: unknown): string[] {
  const data = isRecord(body) ? body["data"] : undefined;
  return Array.isArray(data) ? data.filter((it): it is string => typeof it === "string") : [];
}
