// What the store says of itself: bytes on disk, what is kept of each kind of data, and what a cleanup would remove.
// Not the disks of the machine (the disks panel), but for the one that the data are on.
import { numberIn, recordIn, textIn } from "./fields";
import { ApiError, isRecord, request } from "./request";
import { t } from "../words/t";

export interface Storage {
  bytes: number | undefined;
  samples: number | undefined;
  sizeMax: number | undefined;
  failure: string | undefined;
}

export async function storage(signal?: AbortSignal): Promise<Storage> {
  return parseStorage(await request("/api/system/storage/stats", { signal }));
}

export function parseStorage(body: unknown): Storage {
  const fields = isRecord(body) ? body : {};
  const signals = isRecord(fields["signals"]) ? Object.values(fields["signals"]) : fields["signals"];
  const list = Array.isArray(signals) ? signals.filter(isRecord) : [];
  const number = (key: string): number | undefined => (typeof fields[key] === "number" ? fields[key] : undefined);
  return {
    bytes: number("total_bytes") ?? number("used_bytes"),
    samples: list.length === 0 ? undefined : list.reduce((sum, it) => sum + (typeof it["samples"] === "number" ? it["samples"] : 0), 0),
    sizeMax: number("size_max") ?? number("max_size_bytes"),
    failure: typeof fields["failure"] === "string" ? fields["failure"] : undefined,
  };
}

export interface SignalUse {
  name: string;
  series: number | null;
  samples: number | null;
  segments: number | null;
  segmentBytes: number | null;
  oldest: string | null;
  newest: string | null;
  /** Null for ever. */
  retentionSeconds: number | null;
}
export interface StorageDetails {
  dataDir: string | null;
  diskUsed: number | null;
  diskTotal: number | null;
  diskFree: number | null;
  diskPercent: number | null;
  totalBytes: number | null;
  sizeMax: number | null;
  logBytes: number | null;
  stateBytes: number | null;
  failure: string | null;
  offline: string | null;
  events: number | null;
  detections: number | null;
  signals: SignalUse[];
}

export async function storageDetails(signal?: AbortSignal): Promise<StorageDetails> {
  return parseStorageDetails(await request("/api/system/storage/stats", { signal }));
}

export function parseStorageDetails(body: unknown): StorageDetails {
  if (!isRecord(body)) throw new ApiError("shape", t("/api/system/storage/stats answered without figures"));
  const number = (key: string): number | null => numberIn(body, key);
  const signals = Object.entries(recordIn(body, "signals")).flatMap(([name, value]): SignalUse[] => {
    if (!isRecord(value)) return [];
    const of = (key: string): number | null => numberIn(value, key);
    return [
      {
        name,
        series: of("series"),
        samples: of("samples"),
        segments: of("segments"),
        segmentBytes: of("segment_bytes"),
        oldest: textIn(value, "oldest"),
        newest: textIn(value, "newest"),
        retentionSeconds: of("retention_seconds"),
      },
    ];
  });
  return {
    dataDir: textIn(body, "data_dir"),
    diskUsed: number("disk_used_bytes"),
    diskTotal: number("disk_total_bytes"),
    diskFree: number("disk_free_bytes"),
    diskPercent: number("disk_usage_percent"),
    totalBytes: number("total_bytes"),
    sizeMax: number("size_max"),
    logBytes: number("log_bytes"),
    stateBytes: number("state_bytes"),
    failure: textIn(body, "failure"),
    offline: textIn(body, "offline"),
    events: number("events_count"),
    detections: number("detections_count"),
    signals,
  };
}

export interface Cleanup {
  segments: number | null;
  samples: number | null;
  bytes: number | null;
  retentionSeconds: number | null;
  keepFrom: string | null;
  /** The clock has jumped: nothing goes for its age. */
  held: boolean;
}

export async function cleanupPreview(signal?: AbortSignal): Promise<Cleanup> {
  return parseCleanup(await request("/api/system/cleanup/preview", { signal }));
}

/** Removes what the preview names. */
export async function cleanUp(): Promise<Cleanup> {
  return parseCleanup(await request("/api/system/cleanup", { method: "POST" }));
}

export function parseCleanup(body: unknown): Cleanup {
  if (!isRecord(body)) throw new ApiError("shape", t("the cleanup answered without figures"));
  return {
    segments: numberIn(body, "segments_deleted"),
    samples: numberIn(body, "samples_deleted"),
    bytes: numberIn(body, "space_reclaimed"),
    retentionSeconds: numberIn(body, "retention_seconds"),
    keepFrom: textIn(body, "keep_from"),
    held: body["held"] === true,
  };
}
