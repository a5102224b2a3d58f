// What a server answers that watches cameras in every state. Not watching.
import type { Handler } from "./mock.ts";

type Fields = Record<string, unknown>;
const ago = (seconds: number): string => new Date(Date.now() - seconds * 1000).toISOString();

export function camera(id: string, status: string, more: Fields = {}): Fields {
  const live = status !== "offline";
  return {
    id,
    name: id,
    status,
    url: `rtsp://10.0.0.5/${id}`,
    transport: "tcp",
    codec: live ? "H264" : null,
    width: live ? 1920 : null,
    height: live ? 1080 : null,
    fps: live ? 25 : null,
    expected_fps: null,
    bits_per_second: live ? 4_210_000 : null,
    jitter_ms: live ? 1.5 : null,
    keyframe_interval_seconds: live ? 2 : null,
    latency_ms: null,
    packets: 9_990,
    packets_lost: 10,
    frames_dropped: 3,
    reconnects: 1,
    last_frame_at: live ? ago(1) : null,
    faults: [],
    picture: null,
    error: live ? null : "the camera closed the connection",
    ...more,
  };
}

export class Watching {
  readonly cameras: Fields[] = [
    camera("back", "offline", { name: "Back door" }),
    camera("front", "online", { name: "Front door", expected_fps: 25 }),
    camera("garage", "frozen", { faults: ["identical", "blurred"], picture: "/favicon.svg", fps: 0, bits_per_second: 0, last_frame_at: ago(95) }),
    camera("yard", "online", { name: '<img src=x onerror="document.title=1">', fps: 11.5, expected_fps: 25, transport: "hls", latency_ms: 6200, bits_per_second: 640_000 }),
  ];

  readonly servers: Fields[] = [
    { name: "media", kind: "mediamtx", url: "http://mtx:9997/", up: true, streams: 3, viewers: 12, error: null },
    { name: "nvr", kind: "frigate", url: "http://frigate:5000/", up: false, streams: 0, viewers: 0, error: "cannot get /api/stats: the server answers 502" },
  ];

  search: Fields | undefined = {
    found: [
      { address: "10.0.0.5", name: "Front", hardware: null, location: null, service: null, watched_as: "front", snippet: "" },
      { address: "10.0.0.9", name: "<b>Hall</b>", hardware: "X-1", location: "hall", service: null, watched_as: null, snippet: "cameras:\n  - id: hall\n    url: rtsp://10.0.0.9/PATH\n" },
    ],
    asked_from: ["10.0.0.2"],
    left_out: 1,
    timestamp: ago(0),
  };

  readonly handler: Handler = ({ path, method }) => {
    if (path === "/api/cameras/discover" && method === "POST") {
      return this.search ? { body: this.search } : { status: 429, body: { error: { code: "too_many_requests", message: "another search is under way" } } };
    }
    return path === "/api/cameras" ? { body: { cameras: this.cameras, servers: this.servers, timestamp: ago(0) } } : undefined;
  };
}
