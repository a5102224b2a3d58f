// What is true right now: the newest GPU sample, the services, and how fresh that is. Fed by /ws/system, by polling while the
// socket is silent. Not history (the panels ask for that) and not the socket's own care (socket.ts).
import { ApiError } from "../api/request";
import { type GpuSample, type Health, type Service, gpu as askGpu, health as askHealth } from "../api/system";
import type { Loaded } from "../api/poll.svelte";
import { type HostFigures, parseMessage } from "./messages";
import { freshness, type Freshness, OPEN_QUIET_MS_MAX } from "./freshness";
import { LiveSocket } from "./socket";

const POLL_MS = 10_000;
/** Changes are pushed; the whole picture is fetched again at this age, in case a push was lost. */
const HEALTH_AGE_MS_MAX = 30_000;

class Live {
  gpu = $state.raw<Loaded<GpuSample>>({ state: "loading" });
  health = $state.raw<Loaded<Health>>({ state: "loading" });
  #host = $state.raw<{ figures: HostFigures; at: number }>({ figures: {}, at: 0 });
  /** How many changes of services were pushed, so that a page can tell that there was one. */
  serviceChanges = $state(0);
  #open = $state(false);
  #newsAt = $state<number | undefined>();
  #now = $state(Date.now());
  /** When the socket last spoke, which polling does not change. */
  #heardAt = 0;
  #gpuPushes = 0;

  get freshness(): Freshness {
    return freshness(this.#open, this.#newsAt, this.#now);
  }

  /** The machine as the socket told it; nothing once that is older than a few messages. */
  get host(): HostFigures {
    return this.#now - this.#host.at <= OPEN_QUIET_MS_MAX ? this.#host.figures : {};
  }

  /** Starts socket, polling and the clock; returns how to stop. Made to be returned from an effect. */
  start(): () => void {
    const socket = new LiveSocket(connect, {
      opened: () => {
        this.#open = true;
        this.#heardAt = Date.now();
        this.#news();
      },
      message: (text) => this.#take(text),
      lost: () => {
        this.#open = false;
        void this.#poll();
      },
    });
    const hurry = (): void => socket.hurry();
    socket.start();
    void this.#poll();
    const poll = setInterval(() => {
      if (this.freshness.state !== "live") void this.#poll();
      else if (healthIsOld(this.health)) void this.#pollHealth();
    }, POLL_MS);
    const tick = setInterval(() => {
      this.#now = Date.now();
      if (this.#open && this.#now - this.#heardAt > OPEN_QUIET_MS_MAX) socket.renew();
    }, 1000);
    addEventListener("online", hurry);
    document.addEventListener("visibilitychange", hurry);
    return () => {
      socket.stop();
      this.#open = false;
      clearInterval(poll);
      clearInterval(tick);
      removeEventListener("online", hurry);
      document.removeEventListener("visibilitychange", hurry);
    };
  }

  #news(): void {
    this.#now = Date.now();
    this.#newsAt = this.#now;
  }

  #take(text: string): void {
    const message = parseMessage(text);
    this.#heardAt = Date.now();
    this.#news();
    if (message.type === "gpu_stats") this.#sample(message.gpu);
    if (message.type === "service_status") this.#service(message.service);
    if (message.type === "system_status") {
      this.#host = { figures: message.host, at: Date.now() };
      if (message.health) this.health = ready(message.health);
      else if (message.status !== undefined) this.#status(message.status);
      if (message.gpu) this.#sample(message.gpu);
    }
  }

  #sample(gpu: GpuSample): void {
    this.#gpuPushes += 1;
    this.gpu = ready(gpu);
  }

  #service(service: Service): void {
    this.serviceChanges += 1;
    if (this.health.state !== "ready") return;
    const before = this.health.value;
    const known = before.services.some((it) => it.name === service.name);
    const services = known
      ? before.services.map((it) => (it.name === service.name ? service : it))
      : [...before.services, service];
    this.health = ready({ ...before, services });
    // One message names one service: the state of the whole is the server's to say.
    void this.#pollHealth();
  }

  /** The state of the whole, without the services: those are then asked for, since one of them must have changed. */
  #status(status: string): void {
    if (this.health.state !== "ready" || this.health.value.status === status) return;
    this.health = { ...this.health, value: { ...this.health.value, status } };
    void this.#pollHealth();
  }

  async #poll(): Promise<void> {
    const [gpu, health] = await Promise.all([this.#pollGpu(), this.#pollHealth()]);
    if (gpu || health) this.#news();
  }

  async #pollGpu(): Promise<boolean> {
    const pushes = this.#gpuPushes;
    try {
      const sample = await askGpu();
      // A push that came while we waited is newer than this answer.
      if (pushes === this.#gpuPushes) this.gpu = ready(sample);
      return true;
    } catch (error) {
      this.gpu = failed(this.gpu, error);
      return false;
    }
  }

  async #pollHealth(): Promise<boolean> {
    try {
      this.health = ready(await askHealth());
      return true;
    } catch (error) {
      this.health = failed(this.health, error);
      return false;
    }
  }
}

function connect(): WebSocket {
  return new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/system`);
}

function healthIsOld(health: Loaded<Health>): boolean {
  return health.state !== "ready" || Date.now() - health.at > HEALTH_AGE_MS_MAX;
}

function ready<T>(value: T): Loaded<T> {
  return { state: "ready", value, at: Date.now() };
}

function failed<T>(before: Loaded<T>, cause: unknown): Loaded<T> {
  const error = cause instanceof ApiError ? cause : new ApiError("shape", String(cause));
  return before.state === "ready" ? { ...before, failed: error } : { state: "failed", error };
}

export const live = new Live();
