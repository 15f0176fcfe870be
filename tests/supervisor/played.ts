/**
 * A supervisor over the server of a rig, with all that it said.
 *
 * @module
 */
import { assert } from "@std/assert";
import type { LoopEnd, LoopEvent, LoopOptions } from "../../src/supervisor/loop_events.ts";
import { EndWatcher } from "../../src/supervisor/end_watcher.ts";
import { ServerLoop } from "../../src/supervisor/server_loop.ts";
import type { WrittenServer } from "../../src/definitions/schema.ts";
import { definitionOf, Rig } from "../lifecycle/rig.ts";

export const INTERVAL_MS = 2000;

export class Played {
  readonly events: LoopEvent[] = [];
  readonly #interrupt = new AbortController();
  readonly #end: Promise<LoopEnd>;
  #hasEnded = false;

  private constructor(readonly rig: Rig, written: WrittenServer, options: Partial<LoopOptions>) {
    const definition = definitionOf(written);
    const loop = new ServerLoop({ ...rig.world, signal: this.#interrupt.signal }, {
      definition,
      startedBy: "run",
      timeoutMs: null,
      owner: null,
      ends: new EndWatcher(rig.host),
      idleMs: null,
      adoptOnly: false,
      reload: () => Promise.resolve(definition),
      onEvent: (event) => void this.events.push(event),
      ...options,
    });
    this.#end = loop.run().finally(() => this.#hasEnded = true);
  }

  static start(
    written: WrittenServer = {},
    { rig = new Rig(), ...options }: { rig?: Rig } & Partial<LoopOptions> = {},
  ): Played {
    return new Played(rig, written, options);
  }

  of<T extends LoopEvent["type"]>(type: T): Extract<LoopEvent, { type: T }>[] {
    return this.events.filter((event): event is Extract<LoopEvent, { type: T }> => event.type === type);
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Lets time pass until an event of the type was said `count` times. */
  async until(type: LoopEvent["type"], count = 1): Promise<void> {
    await this.untilSeen(() => this.of(type).length >= count);
  }

  /** Lets time pass until the check holds. */
  async untilSeen(check: () => boolean): Promise<void> {
    for (let turn = 0; turn < 2000 && !check(); turn++) await this.rig.host.clock.advance(50);
    assert(check(), JSON.stringify(this.events));
  }

  /** The server ends by itself. */
  crash(code = 1): void {
    this.rig.host.processes.end(this.rig.spawned.at(-1) ?? 0, { code, signal: null });
  }

  /** How the supervisor ends by itself. */
  async ended(): Promise<LoopEnd> {
    return await this.rig.host.clock.run(this.#end);
  }

  /** The user ends the supervisor with a signal. */
  interrupt(): void {
    this.#interrupt.abort(new Error("interrupted"));
  }

  async stop(): Promise<LoopEnd> {
    this.interrupt();
    return await this.ended();
  }
}
