// What the store says of itself: bytes on disk and samples kept. Not the disk of the machine (the disks panel).
import { isRecord, request } from "./request";

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
