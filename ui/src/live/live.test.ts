// Messages, freshness, backoff, and the socket that comes back, with a hand-cranked clock. Not a network.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { waitMs } from "./backoff";
import { freshness } from "./freshness";
import { parseMessage } from "./messages";
import { LiveSocket, type SocketLike } from "./socket";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("gpu_29_both_shapes_of_gpu_stats_are_read", () => {
  const gpu = (body: unknown) => {
    const message = parseMessage(JSON.stringify(body));
    return message.type === "gpu_stats" ? message.gpu : undefined;
  };
  expect(gpu({ type: "gpu_stats", data: { gpu_name: "A", gpu_utilization: 45 } })?.utilization).toBe(45);
  expect(gpu({ type: "gpu_stats", gpu_utilization: 35, memory_used: 1, memory_total: 2 })?.utilization).toBe(35);
  expect(gpu({ type: "gpu_stats", gpu_utilization: null, data: { gpu_utilization: null } })?.utilization).toBeNull();
  expect(gpu({ type: "gpu_stats" })).toBeUndefined();
});

test("service and system messages are read, others are only a sign of life", () => {
  expect(parseMessage('{"type":"service_status","data":{"service":"rtdetr","status":"unhealthy","message":"m"},"timestamp":"t"}')).toEqual({
    type: "service_status",
    service: { name: "rtdetr", state: "unhealthy", message: "m" },
  });
  expect(parseMessage('{"type":"system_status","data":{"health":"degraded","gpu":{"utilization":1},"host":{"load1":0.5,"memory_used_bytes":null}}}')).toEqual({
    type: "system_status",
    status: "degraded",
    health: undefined,
    gpu: undefined,
    host: { load1: 0.5 },
  });
  for (const text of ["", "[]", "{}", '{"type":"pong"}', '{"type":"service_status"}', "null"]) {
    expect(parseMessage(text)).toEqual({ type: "other" });
  }
});

test("freshness is said in one word", () => {
  expect(freshness(false, undefined, 0).state).toBe("connecting");
  expect(freshness(true, 0, 20_000)).toEqual({ state: "live", since: 0 });
  expect(freshness(true, 0, 20_001).state).toBe("reconnecting");
  expect(freshness(false, 0, 25_000).state).toBe("reconnecting");
  expect(freshness(false, 0, 25_001)).toEqual({ state: "stale", since: 0 });
});

test("waits double up to a ceiling, half of each at random", () => {
  expect([0, 1, 2, 5, 99].map((tries) => waitMs(tries, 0))).toEqual([500, 1000, 2000, 15_000, 15_000]);
  expect([0, 5].map((tries) => waitMs(tries, 1))).toEqual([1000, 30_000]);
});

class FakeSocket implements SocketLike {
  onopen: SocketLike["onopen"] = null;
  onmessage: SocketLike["onmessage"] = null;
  onclose: SocketLike["onclose"] = null;
  closed = false;
  close(): void {
    this.closed = true;
  }
}

function bench() {
  const made: FakeSocket[] = [];
  const log: string[] = [];
  const connect = (): FakeSocket => {
    const next = new FakeSocket();
    made.push(next);
    return next;
  };
  const events = { opened: () => log.push("opened"), message: (text: string) => log.push(text), lost: (ms: number) => log.push(`lost ${ms}`) };
  return { made, log, socket: new LiveSocket(connect, events, (tries) => 1000 * (tries + 1)) };
}

test("a lost socket is tried again, later each time, until it opens", () => {
  const { made, log, socket } = bench();
  socket.start();
  made[0]?.onclose?.({} as CloseEvent);
  vi.advanceTimersByTime(999);
  expect(made.length).toBe(1);
  vi.advanceTimersByTime(1);
  made[1]?.onclose?.({} as CloseEvent);
  vi.advanceTimersByTime(2000);
  made[2]?.onopen?.({} as Event);
  made[2]?.onmessage?.({ data: "hello" } as MessageEvent);
  made[2]?.onclose?.({} as CloseEvent);
  expect(log).toEqual(["lost 1000", "lost 2000", "opened", "hello", "lost 1000"]);
});

test("a dead socket is renewed once, and its late events are ignored", () => {
  const { made, log, socket } = bench();
  socket.start();
  made[0]?.onopen?.({} as Event);
  socket.renew();
  expect(made[0]?.closed).toBe(true);
  made[0]?.onclose?.({} as CloseEvent);
  made[0]?.onmessage?.({ data: "late" } as MessageEvent);
  vi.advanceTimersByTime(1000);
  expect(made.length).toBe(2);
  expect(log).toEqual(["opened", "lost 1000"]);
});

test("stopping stops", () => {
  const { made, log, socket } = bench();
  socket.start();
  made[0]?.onclose?.({} as CloseEvent);
  socket.stop();
  socket.hurry();
  vi.advanceTimersByTime(60_000);
  expect(made.length).toBe(1);
  expect(log).toEqual(["lost 1000"]);
});
