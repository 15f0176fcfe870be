/**
 * What a server last said of itself, kept in its folder.
 *
 * @module
 */
import { join } from "node:path";
import { specHash } from "../definitions/hash.ts";
import type { ServerDefinition } from "../definitions/definition.ts";
import { environmentNames } from "../definitions/variables.ts";
import type { World } from "../lifecycle/world.ts";
import { type Fields, NEWER_REVISION } from "../mcp/revisions/messages.ts";
import { readOwnText } from "../registry/own_text.ts";
import { FILE_MODE } from "../registry/paths.ts";
import type { ServerFolder } from "../registry/store.ts";
import { Discovery, DISCOVERY_LIMIT_BYTES, discoveryKey, type ListMethod, type Spoken } from "./discovery.ts";
import type { ServerMemory } from "./remembering.ts";

export interface DiscoveryFileOptions {
  /** As it is now. */
  definition(): ServerDefinition;
  /** Environment for processes that no session brings its own for; null for foster's own. */
  environment(): Record<string, string> | null;
  /** Keys the hash of what a server's answer depends on. */
  secret: string;
}

export async function readDiscovery({ host }: Pick<World, "host">, folder: ServerFolder): Promise<Discovery> {
  const limitBytes = DISCOVERY_LIMIT_BYTES;
  const file = await readOwnText(host, join(folder.paths.folder, "discovery.json"), { limitBytes });
  return file.kind === "text" ? Discovery.decode(file.text) : new Discovery();
}

export class DiscoveryFile {
  readonly #world: World;
  readonly #folder: ServerFolder;
  readonly #discovery: Discovery;
  readonly #options: DiscoveryFileOptions;
  #saving: Promise<void> = Promise.resolve();

  constructor(
    world: World,
    folder: ServerFolder,
    { discovery, ...options }: DiscoveryFileOptions & { discovery: Discovery },
  ) {
    this.#world = world;
    this.#folder = folder;
    this.#discovery = discovery;
    this.#options = options;
  }

  get spoken(): Spoken {
    return this.#discovery.spoken(specHash(this.#options.definition()));
  }

  get wasEverReady(): boolean {
    const { older, newer } = this.spoken;
    return older === true || newer === true;
  }

  lastList(method: ListMethod): ReturnType<Discovery["lastList"]> {
    return this.#discovery.lastList(method);
  }

  /** Resolves once nothing is left to be written. */
  get saved(): Promise<void> {
    return this.#saving;
  }

  /** `mayTranslate`: false remembers nothing of a server that is not known to speak that revision itself. */
  memoryFor(revision: "older" | "newer", mayTranslate: boolean): ServerMemory {
    const keyFor = (asked: { version: string; capabilities: Fields }) => this.#keyFor(revision, asked);
    const now = () => this.#world.host.clock.now();
    return {
      find: (asked) =>
        mayTranslate || this.spoken[revision] === true ? this.#discovery.find(keyFor(asked)) : null,
      noteAnswer: (asked, answer) => {
        if (this.#discovery.noteAnswer(keyFor(asked), answer, now())) this.save();
      },
      noteList: (asked, method: ListMethod, items) => {
        if (this.#discovery.noteList(keyFor(asked), { method, items, at: now() })) this.save();
      },
    };
  }

  #keyFor(
    revision: "older" | "newer",
    { version, capabilities }: { version: string; capabilities: Fields },
  ): string {
    const { env } = this.#world.host;
    const definition = this.#options.definition();
    const given = this.#options.environment();
    const names = environmentNames(JSON.stringify(definition.written));
    const environment = Object.fromEntries(
      names.map((name) => [name, (given === null ? env.get(name) : given[name]) ?? ""]),
    );
    return discoveryKey({
      specHash: specHash(definition),
      environment,
      folder: definition.cwd,
      revision,
      asked: revision === "newer" ? NEWER_REVISION : version,
      capabilities,
    }, this.#options.secret);
  }

  /** One write at a time, of the newest state. */
  save(): void {
    this.#saving = this.#saving.then(async () => {
      const text = this.#discovery.encode();
      if (text === null) return;
      await this.#folder.prepare();
      await this.#world.host.files.writeAtomic(
        join(this.#folder.paths.folder, "discovery.json"),
        text,
        FILE_MODE,
      );
    }).catch((error) =>
      this.#world.warn(
        `discovery.json of "${this.#options.definition().key}" can't be written: ${String(error)}`,
      )
    );
  }
}
