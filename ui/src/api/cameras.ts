// Watched cameras and streaming servers over HTTP: how each one is now, and looking for cameras. Not their history: that is among the metrics.
import { numberIn, recordsIn, textIn } from "./fields";
import { ApiError, isRecord, request } from "./request";
import { t } from "../words/t";

export type CameraState = "online" | "frozen" | "offline" | "unknown";

export interface Camera {
  id: string;
  name: string;
  state: CameraState;
  url: string;
  transport: string;
  codec: string | null;
  /** In pixels. */
  size: { width: number; height: number } | null;
  fps: number | null;
  expectedFps: number | null;
  bitsPerSecond: number | null;
  jitterMs: number | null;
  keyframeSeconds: number | null;
  latencyMs: number | null;
  packets: number | null;
  packetsLost: number | null;
  framesDropped: number | null;
  reconnects: number | null;
  lastFrame: string | null;
  /** What is wrong with its pictures: black, covered, blurred, moved, identical. */
  faults: string[];
  /** Where its latest picture is, if it may be shown. */
  picture: string | null;
  error: string | null;
}

export interface StreamServer {
  name: string;
  kind: string;
  url: string;
  up: boolean;
  streams: number | null;
  viewers: number | null;
  error: string | null;
}

export interface Watching {
  cameras: Camera[];
  servers: StreamServer[];
}

/** A device that says it is a camera; its texts are its own words. */
export interface FoundCamera {
  address: string;
  name: string | null;
  hardware: string | null;
  location: string | null;
  /** The id of the camera at this address that is watched already. */
  watchedAs: string | null;
  /** Lines for the configuration. */
  snippet: string;
}

export interface Search {
  found: FoundCamera[];
  askedFrom: string[];
  leftOut: number;
}

const PATH = "/api/cameras";
const SEARCH = `${PATH}/discover`;
const STATES: readonly string[] = ["online", "frozen", "offline"];

export async function watching(signal?: AbortSignal): Promise<Watching> {
  return parseWatching(await request(PATH, { signal }));
}

/** Has the server look for cameras; it takes some seconds. */
export async function searchCameras(): Promise<Search> {
  const body = await request(SEARCH, { method: "POST" });
  if (!isRecord(body) || !Array.isArray(body["found"])) throw new ApiError("shape", t("{0} answered without found", SEARCH));
  const from = body["asked_from"];
  const found = recordsIn(body, "found").map((fields) => ({
    address: textIn(fields, "address") ?? "",
    name: textIn(fields, "name"),
    hardware: textIn(fields, "hardware"),
    location: textIn(fields, "location"),
    watchedAs: textIn(fields, "watched_as"),
    snippet: textIn(fields, "snippet") ?? "",
  }));
  return { found, askedFrom: Array.isArray(from) ? from.map(String) : [], leftOut: numberIn(body, "left_out") ?? 0 };
}

export function parseWatching(body: unknown): Watching {
  if (!isRecord(body) || !Array.isArray(body["cameras"])) throw new ApiError("shape", t("{0} answered without cameras", PATH));
  const servers = recordsIn(body, "servers").map((fields) => ({
    name: textIn(fields, "name") ?? "",
    kind: textIn(fields, "kind") ?? "",
    url: textIn(fields, "url") ?? "",
    up: fields["up"] === true,
    streams: numberIn(fields, "streams"),
    viewers: numberIn(fields, "viewers"),
    error: textIn(fields, "error"),
  }));
  const cameras = recordsIn(body, "cameras").map((fields): Camera => {
    const faults = fields["faults"];
    const state = textIn(fields, "status") ?? "";
    const [width, height] = [numberIn(fields, "width"), numberIn(fields, "height")];
    return {
      id: textIn(fields, "id") ?? "",
      name: textIn(fields, "name") ?? "",
      state: STATES.includes(state) ? (state as CameraState) : "unknown",
      url: textIn(fields, "url") ?? "",
      transport: textIn(fields, "transport") ?? "",
      codec: textIn(fields, "codec"),
      size: width === null || height === null ? null : { width, height },
      fps: numberIn(fields, "fps"),
      expectedFps: numberIn(fields, "expected_fps"),
      bitsPerSecond: numberIn(fields, "bits_per_second"),
      jitterMs: numberIn(fields, "jitter_ms"),
      keyframeSeconds: numberIn(fields, "keyframe_interval_seconds"),
      latencyMs: numberIn(fields, "latency_ms"),
      packets: numberIn(fields, "packets"),
      packetsLost: numberIn(fields, "packets_lost"),
      framesDropped: numberIn(fields, "frames_dropped"),
      reconnects: numberIn(fields, "reconnects"),
      lastFrame: textIn(fields, "last_frame_at"),
      faults: Array.isArray(faults) ? faults.map(String) : [],
      picture: textIn(fields, "picture"),
      error: textIn(fields, "error"),
    };
  });
  return { cameras, servers };
}
