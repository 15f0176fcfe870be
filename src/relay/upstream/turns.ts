/**
 * The order of messages that go out on connections of their own, and how many of them there are at a time.
 *
 * @module
 */
import type { Host } from "../../host/host.ts";
import { isInitialize, itemsOf } from "../pending.ts";
import type { Pending } from "./upstream.ts";

/** Servers that ask the client something within a notification answer it late. */
const READY_LIMIT_MS = 1000;
const REQUEST_LIMIT = 2000;
const NOTIFICATION_LIMIT = 64;
const ROOM_BYTES = 8 * 1024 * 1024;
/** What a message under way takes beside its bytes. Notifications come in floods, and nothing is lost by their wait. */
const REQUEST_BYTES = 1024;
const NOTIFICATION_BYTES = 16 * 1024;

/**
 * Nothing but answers passes a handshake, and no request passes the notification that ends it: beyond that messages go
 * out in the order of their sending, and none waits for the answer to another one.
 */
export class Turns {
  readonly #clock: Host["clock"];
  #handshake: Promise<void> | null = null;
  #ready: Promise<void> | null = null;
  readonly #requests = new Slots(REQUEST_LIMIT);
  readonly #notifications = new Slots(NOTIFICATION_LIMIT);
  #bytes = 0;
  #room: { promise: Promise<void>; resolve(): void } | null = null;

  constructor(clock: Host["clock"]) {
    this.#clock = clock;
  }

  /** Set while too much is under way; resolves when there is room for more. */
  get room(): Promise<void> | null {
    if (this.#bytes < ROOM_BYTES) return null;
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  /** Runs `post` when it is the message's turn. For a handshake, `post` resolves with its answer. */
  async take(pending: Pending, post: () => Promise<void>): Promise<void> {
    const bytes = pending.line.length + (pending.open.size > 0 ? REQUEST_BYTES : NOTIFICATION_BYTES);
    this.#bytes += bytes;
    try {
      // Without a wait it begins at once: the order of the calls is the order of the messages.
      for (let gate = this.#gateOf(pending); gate !== null; gate = this.#gateOf(pending)) await gate;
      await this.#run(pending, post);
    } finally {
      this.#bytes -= bytes;
      if (this.#bytes < ROOM_BYTES) {
        this.#room?.resolve();
        this.#room = null;
      }
    }
  }

  #gateOf(pending: Pending): Promise<void> | null {
    if (pending.message.kind === "response") return null;
    return this.#handshake ?? (pending.open.size > 0 ? this.#ready : null);
  }

  async #run(pending: Pending, post: () => Promise<void>): Promise<void> {
    if (pending.message.kind === "response") return await post();
    const slots = pending.open.size > 0 ? this.#requests : this.#notifications;
    if (isInitialize(pending)) {
      const done = post().finally(() => {
        if (this.#handshake === done) this.#handshake = null;
      });
      this.#handshake = done;
      return await done;
    }
    const slot = slots.take();
    if (slot !== null) await slot;
    try {
      const posted = post();
      if (itemsOf(pending.message).some(isInitialized)) this.#gateRequests(posted);
      await posted;
    } finally {
      slots.free();
    }
  }

  #gateRequests(posted: Promise<void>): void {
    const over = new AbortController();
    const limit = this.#clock.sleep(READY_LIMIT_MS, over.signal).catch(() => {});
    const ready = Promise.race([posted, limit]).finally(() => {
      over.abort();
      if (this.#ready === ready) this.#ready = null;
    });
    this.#ready = ready;
  }
}

export function isInitialized(item: { kind: string; method?: string }): boolean {
  return item.kind === "notification" && item.method === "notifications/initialized";
}

class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(limit: number) {
    this.#free = limit;
  }

  /** Null where there is one at once. */
  take(): Promise<void> | null {
    if (this.#free > 0) {
      this.#free--;
      return null;
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  free(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}
