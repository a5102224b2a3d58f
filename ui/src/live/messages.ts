// Reads what /ws/system sends: GPU samples in both documented shapes, changes of a service, the state of the system.
// Not the socket, and not what is done with a message.
import { type GpuSample, type Health, type Service, parseGpu, parseHealth, parseService } from "../api/system";
import { isRecord } from "../api/request";

/** Figures of the machine that are sent every few seconds; those that the server does not know are left out. */
export interface HostFigures {
  load1?: number;
  memoryUsed?: number;
}

export type Message =
  | { type: "gpu_stats"; gpu: GpuSample }
  | { type: "service_status"; service: Service }
  | { type: "system_status"; status: string | undefined; health: Health | undefined; gpu: GpuSample | undefined; host: HostFigures }
  /** A message of another kind is a sign of life, nothing more. */
  | { type: "other" };

export function parseMessage(text: string): Message {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return { type: "other" };
  }
  if (!isRecord(body)) return { type: "other" };
  const data = isRecord(body["data"]) ? body["data"] : undefined;
  switch (body["type"]) {
    case "gpu_stats":
      return gpuStats(body, data);
    case "service_status":
      return data && typeof data["service"] === "string"
        ? { type: "service_status", service: parseService(data["service"], data) }
        : { type: "other" };
    case "system_status":
      return systemStatus(data ?? body);
    default:
      return { type: "other" };
  }
}

/** The nested form has every field; the flat one may have only some, so that it serves where `data` is missing. */
function gpuStats(body: Record<string, unknown>, data: Record<string, unknown> | undefined): Message {
  const gpu = parseGpu({ ...body, ...data });
  return gpu ? { type: "gpu_stats", gpu } : { type: "other" };
}

function systemStatus(data: Record<string, unknown>): Message {
  const inner = isRecord(data["health"]) ? data["health"] : data;
  const health = isRecord(inner["services"]) ? parseHealth(inner) : undefined;
  const status = typeof data["health"] === "string" ? data["health"] : undefined;
  return { type: "system_status", status, health, gpu: parseGpu(data["gpu"]), host: hostFigures(data["host"]) };
}

function hostFigures(value: unknown): HostFigures {
  const found: HostFigures = {};
  if (!isRecord(value)) return found;
  const { load1, memory_used_bytes: used } = value;
  if (typeof load1 === "number") found.load1 = load1;
  if (typeof used === "number") found.memoryUsed = used;
  return found;
}
