/**
 * The endpoint of several servers as one: all that are enrolled, or those of one definition file.
 *
 * @module
 */
import type { World } from "../lifecycle/world.ts";
import type { ClientSide } from "../relay/client_side.ts";
import type { Conversation } from "./conversation.ts";
import type { EndpointServer } from "./endpoint.ts";
import { RequestCounts } from "./counts.ts";
import { Everything } from "./everything.ts";
import { NewerClients } from "./newer_clients.ts";
import type { GatewayServer } from "./server.ts";
import { Sessions } from "./sessions.ts";
import { TranslatedOlder } from "./translated.ts";

export interface AllServersOptions {
  /** Names the endpoint among those of sessions. */
  key: string;
  servers(): readonly GatewayServer[];
  epoch: string;
  admit(): string | null;
  onFault(error: unknown): void;
}

export class AllServers implements EndpointServer {
  readonly #world: World;
  readonly #options: AllServersOptions;
  readonly sessions: Sessions;
  readonly counts = new RequestCounts();
  readonly #conversations = new Set<Everything>();
  readonly #translated = new Set<TranslatedOlder>();
  #newer: NewerClients | null = null;

  constructor(world: World, options: AllServersOptions) {
    this.#world = world;
    this.#options = options;
    const now = () => world.host.clock.monotonic();
    this.sessions = new Sessions(world, {
      key: options.key,
      epoch: options.epoch,
      // Each server remembers for itself.
      memoryFor: () => ({ find: () => null, noteAnswer: () => {}, noteList: () => {} }),
      restMs: () => REST_MS,
      endsWithStream: () => false,
      isThere: () => true,
      open: (client, facts) => {
        const translated = new TranslatedOlder(client, {
          now,
          onFault: options.onFault,
          open: (inner) => this.#everything(inner, { isOwn: true, name: facts.client }),
        });
        this.#translated.add(translated);
        translated.onClosed = () => this.#translated.delete(translated);
        return translated;
      },
      admit: options.admit,
      onRequest: (outcome, ms) => this.counts.note(outcome, ms),
      onFault: options.onFault,
    });
  }

  newerClients(): NewerClients {
    const { clock } = this.#world.host;
    return this.#newer ??= new NewerClients({
      now: () => clock.monotonic(),
      onRequest: (outcome, ms) => this.counts.note(outcome, ms),
      open: (client) => this.#everything(client, { isOwn: false, name: null }),
    });
  }

  tick(options: { withComments: boolean }): void {
    this.sessions.tick(options);
    this.#newer?.tick(options);
    for (const translated of this.#translated) translated.tick();
  }

  /** Servers were enrolled, or taken away. */
  noteServers(): void {
    for (const conversation of this.#conversations) conversation.noteMembers().catch(this.#options.onFault);
  }

  async close(): Promise<void> {
    await this.sessions.close();
    await this.#newer?.close();
  }

  #everything(client: ClientSide, { isOwn, name }: { isOwn: boolean; name: string | null }): Conversation {
    const everything = new Everything({
      client,
      clock: this.#world.host.clock,
      members: () =>
        this.#options.servers().map((server) => ({
          key: server.key,
          name: server.definition.name,
          open: (inner) => server.join(inner, { isOwn, name }),
        })),
    });
    this.#conversations.add(everything);
    return {
      receive: (exchange, line, messages) => everything.receive(exchange, line, messages),
      cancel: (exchange) => everything.cancel(exchange),
      finish: (limitMs) => everything.finish(limitMs),
      close: async () => {
        this.#conversations.delete(everything);
        await everything.close();
      },
    };
  }
}

const REST_MS = 5 * 60_000;
