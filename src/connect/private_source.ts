/**
 * A private copy of a stdio server: foster's child for as long as the client stays, started again when it ends.
 *
 * @module
 */
import { rotateOpenLog } from "../lifecycle/log_files.ts";
import type { World } from "../lifecycle/world.ts";
import type { ServerFolder } from "../registry/store.ts";
import type { ServerDefinition } from "../definitions/definition.ts";
import { endChild, endOrphans, recordChild } from "./private_child.ts";
import { StdioUpstream } from "../relay/upstream/stdio.ts";
import type { Opened, OpenRequest, Source } from "../relay/upstream/upstream.ts";

const LOG_LIMIT_BYTES = 10 * 1024 * 1024;

export class PrivateSource implements Source {
  readonly #world: World;
  readonly #definition: ServerDefinition;
  readonly #folder: ServerFolder;
  #last: { upstream: StdioUpstream; startedMs: number } | null = null;
  #failures = 0;

  constructor(world: World, definition: ServerDefinition) {
    this.#world = world;
    this.#definition = definition;
    this.#folder = world.state.server(definition.key);
  }

  async open({ events, signal }: OpenRequest): Promise<Opened> {
    const { name, restart } = this.#definition;
    if (this.#last === null) await endOrphans(this.#world, this.#folder);
    await this.#backOff(signal);
    if (this.#failures > restart.max) {
      this.#failures = 0;
      return {
        kind: "refused",
        message: `"${name}" ended ${restart.max + 1} times in a row`,
        hint: `foster logs "${name}" shows what it said`,
      };
    }
    return await this.#spawn(events);
  }

  reason(): Promise<string | null> {
    return Promise.resolve(null);
  }

  async #spawn(events: OpenRequest["events"]): Promise<Opened> {
    const { host } = this.#world;
    // Not needed by the clients of a shared server, and dear to load.
    const { resolveCommand } = await import("../lifecycle/start/command.ts");
    await this.#folder.prepare();
    const request = { definition: this.#definition, ports: null, ownerPid: host.processes.selfPid };
    const launch = await resolveCommand(this.#world, this.#folder, request);
    if (!("tier" in launch)) return { kind: "refused", ...launch };
    await rotateOpenLog(host, this.#folder.paths.log, LOG_LIMIT_BYTES);
    if (launch.session !== null) await this.#folder.writeSession(launch.session.file, launch.session.payload);
    const { command, args, cwd, env } = launch;
    const stderr = { kind: "log" as const, file: this.#folder.paths.log };
    const child = await host.processes.spawnPiped({ command, args, cwd, env, detached: true, stderr });
    const known = await recordChild(this.#world, this.#folder, child.pid);
    const upstream = new StdioUpstream(host, {
      child,
      events,
      end: () => known === null ? Promise.resolve() : endChild(this.#world, this.#folder, known),
    });
    this.#last = { upstream, startedMs: host.clock.monotonic() };
    return { kind: "open", upstream };
  }

  /** Waits before a child that never got anywhere is started again. */
  async #backOff(signal: AbortSignal): Promise<void> {
    const { clock } = this.#world.host;
    const { backoffMs, backoffMaxMs, stableAfterMs } = this.#definition.restart;
    const last = this.#last;
    if (last === null) return;
    const wasStable = last.upstream.spoke || clock.monotonic() - last.startedMs > stableAfterMs;
    this.#failures = wasStable ? 0 : this.#failures + 1;
    if (this.#failures === 0) return;
    await clock.sleep(Math.min(backoffMaxMs, backoffMs * 2 ** (this.#failures - 1)), signal).catch(() => {});
  }
}
