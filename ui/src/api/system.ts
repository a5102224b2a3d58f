// The native face: GPU samples and the health of services. Values that the server does not know stay null here.
// Not the live channel: live/messages.ts reads that, with the same GPU parser.
import { ApiError, isRecord, request } from "./request";
import { t } from "../words/t";

export interface GpuSample {
  name: string;
  utilization: number | null;
  memoryUsedMb: number | null;
  memoryTotalMb: number | null;
  temperature: number | null;
  powerUsage: number | null;
  powerLimit: number | null;
  inferenceFps: number | null;
  /** How it was read (nvml, nvidia-smi, ai-service), when the server says so. */
  source: string | null;
  /** Milliseconds since 1970. */
  recordedAt: number | null;
}

export type ServiceState = "healthy" | "unhealthy" | "restarting" | "restart_failed" | "failed" | "not_configured" | "unknown";
export interface Service {
  name: string;
  state: ServiceState;
  message: string;
}
export interface Health {
  status: string;
  services: Service[];
}

const MOCK_NAME = /^mock gpu/i;
const STATES: readonly string[] = ["healthy", "unhealthy", "restarting", "restart_failed", "failed", "not_configured"];

export async function gpu(signal?: AbortSignal): Promise<GpuSample> {
  const sample = parseGpu(await request("/api/system/gpu", { signal }));
  if (!sample) throw new ApiError("shape", t("/api/system/gpu answered without a GPU sample"));
  return sample;
}

export async function gpuHistory(minutes: number, signal?: AbortSignal): Promise<GpuSample[]> {
  const body = await request("/api/system/gpu/history", { params: { minutes }, signal });
  const list = Array.isArray(body) ? body : isRecord(body) && Array.isArray(body["samples"]) ? body["samples"] : [];
  return list.flatMap((it: unknown) => parseGpu(it) ?? []);
}

export async function health(signal?: AbortSignal): Promise<Health> {
  return parseHealth(await request("/api/system/health", { signal }));
}

/** Reads one GPU sample; nothing when the value is none. */
export function parseGpu(value: unknown): GpuSample | undefined {
  if (!isRecord(value) || !("gpu_utilization" in value || "gpu_name" in value)) return undefined;
  const number = (key: string): number | null => (typeof value[key] === "number" ? value[key] : null);
  const text = (key: string): string | null => (typeof value[key] === "string" ? value[key] : null);
  const at = text("recorded_at");
  return {
    name: text("gpu_name") ?? "",
    utilization: number("gpu_utilization"),
    memoryUsedMb: number("memory_used"),
    memoryTotalMb: number("memory_total"),
    temperature: number("temperature"),
    powerUsage: number("power_usage"),
    powerLimit: number("power_limit"),
    inferenceFps: number("inference_fps"),
    source: text("source") ?? text("origin"),
    recordedAt: at === null || Number.isNaN(Date.parse(at)) ? null : Date.parse(at),
  };
}

export type Presence = "present" | "absent" | "not_seen_yet";

/** Whether there is a GPU: the stand-in's name or not one figure mean no; no name either means that nobody has looked yet. */
export function presence(sample: GpuSample): Presence {
  const figures = [sample.utilization, sample.memoryUsedMb, sample.memoryTotalMb, sample.temperature, sample.powerUsage];
  const empty = figures.every((it) => it === null);
  if (empty && sample.name === "") return "not_seen_yet";
  return empty || MOCK_NAME.test(sample.name) ? "absent" : "present";
}

export function parseHealth(body: unknown): Health {
  if (!isRecord(body) || !isRecord(body["services"])) {
    throw new ApiError("shape", t("/api/system/health answered without services"));
  }
  // The details repeat the word of each service and add a sentence.
  const details = isRecord(body["details"]) ? body["details"] : {};
  const services = Object.entries(body["services"]).map(([name, value]) => parseService(name, details[name] ?? value));
  return { status: String(body["status"] ?? "unknown"), services };
}

/** A service is a bare state in the documented form; an object with status and message is read as well. */
export function parseService(name: string, value: unknown): Service {
  if (!isRecord(value)) return { name, state: serviceState(value), message: "" };
  const message = [value["message"], value["error"]].find((it) => typeof it === "string");
  return { name, state: serviceState(value["status"]), message: typeof message === "string" ? message : "" };
}

/** Anything we do not know is unknown, never healthy. */
export function serviceState(value: unknown): ServiceState {
  const text = typeof value === "string" ? value.toLowerCase().replaceAll(" ", "_") : "";
  return STATES.includes(text) ? (text as ServiceState) : "unknown";
}
