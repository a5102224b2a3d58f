// A WebSocket that comes back by itself: opens, reports messages, and after a loss waits longer each time.
// Not what the messages mean (messages.ts) and not what the page shows of it (live.svelte.ts).
import { waitMs } from "./backoff";

export interface SocketEvents {
  opened(): void;
  message(text: string): void;
  /** Lost or refused; the next try is in `nextTryMs`. */
  lost(nextTryMs: number): void;
}
/** The part of WebSocket that is used, so that tests need no network. */
export interface SocketLike {
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  close(): void;
}

export class LiveSocket {
  #socket: SocketLike | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #tries = 0;
  #stopped = false;

  constructor(
    readonly connect: () => SocketLike,
    readonly events: SocketEvents,
    readonly wait: (tries: number) => number = waitMs,
  ) {}

  start(): void {
    this.#stopped = false;
    this.#open();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
    this.#socket = undefined;
  }

  /** Tries at once instead of after the wait; for when the network or the reader is back. */
  hurry(): void {
    if (this.#stopped || this.#socket) return;
    clearTimeout(this.#timer);
    this.#open();
  }

  /** Gives up a socket that is open but dead, without waiting for the network to notice. */
  renew(): void {
    const dead = this.#socket;
    if (this.#stopped || !dead) return;
    this.#socket = undefined;
    dead.close();
    this.#lost();
  }

  #lost(): void {
    const next = this.wait(this.#tries);
    this.#tries += 1;
    this.#timer = setTimeout(() => this.#open(), next);
    this.events.lost(next);
  }

  #open(): void {
    const socket = this.connect();
    this.#socket = socket;
    socket.onopen = () => {
      this.#tries = 0;
      this.events.opened();
    };
    socket.onmessage = (event) => {
      if (this.#socket === socket && typeof event.data === "string") this.events.message(event.data);
    };
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      if (!this.#stopped) this.#lost();
    };
  }
}
