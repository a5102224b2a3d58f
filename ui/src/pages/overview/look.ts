// Asks what the page Overview tells of. Each topic by itself: what does not answer is not known, and the others are told. Not what is said.
import { alertGroups } from "../../api/alerts";
import { deadLetters } from "../../api/dlq";
import { numberIn } from "../../api/fields";
import { llmCosts } from "../../api/llm";
import { queryVector } from "../../api/prometheus";
import { ApiError, isRecord, NoData, request } from "../../api/request";
import { storageDetails } from "../../api/storage";
import { gpu, health } from "../../api/system";
import * as say from "./statements";

/** How far back "since when" is looked for. */
const BACK = "[1d:1m]";

type Ask = (signal: AbortSignal) => Promise<say.Statement>;

const asks: Record<say.Topic, Ask> = {
  alerts: async (signal) => say.alerts(await alertGroups(signal)),
  services: async (signal) => say.services(await health(signal)),
  cameras: async (signal) => say.cameras(await cameras(signal)),
  graphics: async (signal) => say.graphics(await gpu(signal)),
  models: async (signal) => say.models(await whereThere(llmCosts(signal))),
  queues: async (signal) => say.queues(await whereThere(queues(signal))),
  disk: async (signal) => say.disk(await storageDetails(signal)),
  programs: async (signal) => say.programs(await programs(signal)),
};

export async function look(signal: AbortSignal): Promise<say.Statement[]> {
  const statements = await Promise.all(
    Object.entries(asks).map(async ([name, ask]) => {
      const topic = name as say.Topic;
      try {
        return await ask(signal);
      } catch (error) {
        if (signal.aborted) throw error;
        return say.unanswered(topic, error instanceof Error ? error.message : String(error), say.EVIDENCE[topic]);
      }
    }),
  );
  return say.sorted(statements);
}

async function cameras(signal: AbortSignal): Promise<say.CameraLook[]> {
  const [connected, frozen] = await Promise.all([
    queryVector("min by (camera_id) (camera_connection_status)", signal),
    queryVector("max by (camera_id) (camera_frozen) > 0", signal),
  ]);
  const bad = connected.some((it) => it.value < 1) || frozen.length > 0;
  const good = bad ? await queryVector(`max by (camera_id) (max_over_time(timestamp(camera_connection_status == 1 unless on (camera_id) camera_frozen > 0)${BACK}))`, signal) : [];
  return connected.map((it) => ({
    id: it.labels["camera_id"] ?? "",
    connected: it.value >= 1,
    frozen: frozen.some((one) => one.labels["camera_id"] === it.labels["camera_id"]),
    lastGood: say.lastGood(["camera_id"], it, good),
  }));
}

async function programs(signal: AbortSignal): Promise<say.ProgramLook> {
  const all = await queryVector("max by (job, instance) (up)", signal);
  const down = all.filter((it) => it.value < 1);
  const good = down.length > 0 ? await queryVector(`max by (job, instance) (max_over_time(timestamp(up == 1)${BACK}))`, signal) : [];
  return {
    all: all.length,
    down: down.map((it) => ({
      name: `${it.labels["job"] ?? ""} ${it.labels["instance"] ?? ""}`.trim(),
      lastGood: say.lastGood(["job", "instance"], it, good),
    })),
  };
}

async function queues(signal: AbortSignal): Promise<say.QueueLook> {
  const [list, dead] = await Promise.all([request("/api/queues", { signal }), deadLetters(signal)]);
  if (!Array.isArray(list)) throw new ApiError("shape", "/api/queues answered without a list");
  const of = (it: Record<string, unknown>): number => (numberIn(it, "waiting") ?? 0) + (numberIn(it, "retrying") ?? 0);
  return { waiting: list.filter(isRecord).reduce((sum, it) => sum + of(it), 0), dead };
}

/** What a server need not have is absent, not unknown. */
async function whereThere<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof NoData || (error instanceof ApiError && error.status === 404)) return undefined;
    throw error;
  }
}
