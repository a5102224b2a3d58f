// Scrape targets as the server knows them, each with its last scrape. Not what was scraped.
import { isRecord, ApiError, request } from "./request";
import { t } from "../words/t";

export interface Target {
  pool: string;
  url: string;
  health: "up" | "down" | "unknown";
  lastError: string;
  /** Empty before the first scrape. */
  lastScrape: string;
  /** Seconds of the last scrape; null before the first. */
  duration: number | null;
  interval: string;
  timeout: string;
  labels: [string, string][];
  discovered: [string, string][];
}

/** Before the first scrape the interface says that it was in the year 1. */
const NEVER = "0001-01-01T00:00:00Z";

export async function targets(signal?: AbortSignal): Promise<Target[]> {
  return parseTargets(await request("/api/v1/targets", { params: { state: "active" }, signal }));
}

export function parseTargets(body: unknown): Target[] {
  const data = isRecord(body) && body["status"] === "success" ? body["data"] : undefined;
  const list = isRecord(data) ? data["activeTargets"] : undefined;
  if (!Array.isArray(list)) throw new ApiError("shape", t("the answer has no list of targets"));
  return list.filter(isRecord).map((it) => {
    const text = (key: string): string => (typeof it[key] === "string" ? it[key] : "");
    const health = text("health");
    const lastScrape = text("lastScrape") === NEVER ? "" : text("lastScrape");
    const duration = it["lastScrapeDuration"];
    return {
      pool: text("scrapePool"),
      url: text("scrapeUrl"),
      health: health === "up" || health === "down" ? health : "unknown",
      lastError: text("lastError"),
      lastScrape,
      duration: lastScrape && typeof duration === "number" ? duration : null,
      interval: text("scrapeInterval"),
      timeout: text("scrapeTimeout"),
      labels: pairs(it["labels"]),
      discovered: pairs(it["discoveredLabels"]),
    };
  });
}

function pairs(labels: unknown): [string, string][] {
  return isRecord(labels) ? Object.entries(labels).map(([name, value]) => [name, String(value)]) : [];
}
