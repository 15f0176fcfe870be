/**
 * A relay between a client and connections to servers that only take what they are sent.
 *
 * @module
 */
import { readClientLine } from "../../src/relay/message.ts";
import type { PendingTable } from "../../src/relay/pending.ts";
import { Relay } from "../../src/relay/relay.ts";
import type { ProcessFate } from "../../src/relay/retry.ts";
import type { Destination } from "../../src/relay/client_side.ts";
import type { Failure, Pending, Upstream, UpstreamEvents } from "../../src/relay/upstream/upstream.ts";
import { FakeHost } from "../host/fake_host.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What a connection tells of whatever a test does not ask about is heard by nobody. */
export function eventsOf(asked: Partial<UpstreamEvents>): UpstreamEvents {
  const nobody = () => {};
  return { message: nobody, refused: nobody, failed: nobody, doubted: nobody, lost: nobody, ...asked };
}

/** One life of a server, of which only what it is sent matters. */
export class Life implements Upstream {
  readonly sharesStream: boolean;
  hasSession = false;
  isFresh = false;
  room: Promise<void> | null = null;
  readonly received: string[] = [];
  readonly pendings: Pending[] = [];
  isGood = true;
  isRetired = false;
  events: UpstreamEvents | null = null;

  constructor({ sharesStream = true }: { sharesStream?: boolean } = {}) {
    this.sharesStream = sharesStream;
  }
  send(pending: Pending): Promise<void> {
    this.received.push(decoder.decode(pending.line));
    this.pendings.push(pending);
    return Promise.resolve();
  }
  cancel(): boolean {
    return false;
  }
  isAlive(): Promise<boolean> {
    return Promise.resolve(this.isGood);
  }
  retire(): void {
    this.isRetired = true;
  }
  close(): Promise<void> {
    return Promise.resolve();
  }

  /** What the relay sent, as values. */
  // deno-lint-ignore no-explicit-any
  get messages(): any[] {
    return this.received.map((line) => JSON.parse(line));
  }
  async says(message: object, pending: Pending | null = null): Promise<void> {
    await this.events?.message(this, encoder.encode(JSON.stringify(message)), pending);
  }
  fails(failure: Failure, at = this.pendings.length - 1): void {
    const pending = this.pendings[at];
    if (pending !== undefined) this.events?.failed(this, pending, failure);
  }
  isLost(reason = "it broke"): void {
    this.events?.lost(this, reason, { sameProcess: false });
  }
}

/** A relay whose server is the next of its lives at each look. */
export class Scene {
  readonly host = new FakeHost();
  readonly lives: Life[];
  // deno-lint-ignore no-explicit-any
  readonly told: any[] = [];
  readonly to: Destination[] = [];
  readonly warnings: string[] = [];
  readonly busy: boolean[] = [];
  fate: ProcessFate = "replaced";
  readonly relay: Relay;
  #exchange = 0;

  constructor(
    lives: Life[],
    { timeoutMs = 1000, mintsIds = false, onSessionRefused }: {
      timeoutMs?: number;
      mintsIds?: boolean;
      onSessionRefused?(): void;
    } = {},
  ) {
    this.lives = [...lives];
    this.relay = new Relay(this.host, {
      name: "scene",
      timeoutMs,
      mintsIds,
      onSessionRefused,
      client: {
        write: (line, to) => {
          this.told.push(JSON.parse(decoder.decode(line)));
          this.to.push(to);
        },
      },
      warn: (text) => void this.warnings.push(text),
      onBusy: (isBusy) => void this.busy.push(isBusy),
      source: {
        acquire: () => {
          const life = this.lives.shift();
          if (life === undefined) return Promise.resolve({ kind: "later", reason: "it is not there" });
          return Promise.resolve({
            kind: "there",
            server: {
              identity: { pid: 1, startTime: "t", endpoint: null },
              connect: ({ events }) => {
                life.events = events;
                return Promise.resolve(life);
              },
            },
          });
        },
        fate: () => Promise.resolve(this.fate),
        reason: () => Promise.resolve(null),
      },
    });
  }

  async start(): Promise<this> {
    this.relay.start();
    await this.settle();
    return this;
  }

  /** Lets everything happen that needs no time. */
  async settle(ms = 0): Promise<void> {
    await this.host.clock.advance(ms);
  }

  async say(message: unknown): Promise<number> {
    await this.relay.receive(++this.#exchange, encoder.encode(JSON.stringify(message)));
    return this.#exchange;
  }
}

/** What a client says in one line, as a table keeps it. */
export function pendingIn(table: PendingTable, said: unknown): Pending {
  const line = encoder.encode(JSON.stringify(said));
  const read = readClientLine(line);
  if (read.kind === "invalid") throw new Error(read.why);
  const pending = table.create(line, read.message, { exchange: 1 });
  table.add(pending);
  return pending;
}
