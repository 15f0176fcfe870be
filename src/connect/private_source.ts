/**
 * A private copy of a stdio server: foster's child for as long as the client stays, started again when it ends.
 *
 * @module
 */
import type { PipedChild } from "../host/host.ts";
import { rotateOpenLog } from "../registry/log_files.ts";
import type { World } from "../lifecycle/world.ts";
import type { PrivateCopy } from "../registry/process_files.ts";
import type { ServerFolder } from "../registry/store.ts";
import type { ServerDefinition } from "../definitions/definition.ts";
import { endChild, endOrphans, recordChild } from "./private_child.ts";
import { StdioUpstream } from "../relay/upstream/stdio.ts";
import type { ProcessFate } from "../relay/retry.ts";
import type { AcquireRequest, AcquireResult, ServerIdentity, ServerSource } from "../relay/server_source.ts";
import type { UpstreamOptions } from "../relay/upstream/upstream.ts";

const LOG_LIMIT_BYTES = 10 * 1024 * 1024;

const INPUT_END_MS = 500;

/** One child. */
interface Copy {
  child: PipedChild;
  startedMs: number;
  upstream: StdioUpstream | null;
  /** Null where the child could not be seen. */
  known: PrivateCopy | null;
  isOver: boolean;
}

export class PrivateSource implements ServerSource {
  readonly #world: World;
  readonly #definition: ServerDefinition;
  readonly #folder: ServerFolder;
  #last: Copy | null = null;
  #failures = 0;

  constructor(world: World, definition: ServerDefinition) {
    this.#world = world;
    this.#definition = definition;
    this.#folder = world.state.server(definition.key);
  }

  async acquire({ signal }: AcquireRequest): Promise<AcquireResult> {
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
    return await this.#prepare(signal);
  }

  fate({ pid }: ServerIdentity): Promise<ProcessFate> {
    const last = this.#last;
    return Promise.resolve(last?.child.pid === pid && !last.isOver ? "same" : "replaced");
  }

  reason(): Promise<string | null> {
    return Promise.resolve(null);
  }

  async #prepare(signal: AbortSignal): Promise<AcquireResult> {
    const { host } = this.#world;
    // Not needed by the clients of a shared server, and dear to load.
    const { resolveCommand } = await import("../lifecycle/start/command.ts");
    await this.#folder.prepare();
    const request = { definition: this.#definition, ports: null, ownerPid: host.processes.selfPid };
    const launch = await resolveCommand(this.#world, this.#folder, request);
    if (!("tier" in launch)) return { kind: "refused", ...launch };
    signal.throwIfAborted();
    await rotateOpenLog(host, this.#folder.paths.log, LOG_LIMIT_BYTES);
    if (launch.session !== null) await this.#folder.writeSession(launch.session.file, launch.session.payload);
    const { command, args, cwd, env } = launch;
    const stderr = { kind: "log" as const, file: this.#folder.paths.log };
    const child = await host.processes.spawnPiped({ command, args, cwd, env, detached: true, stderr });
    // From here on the child is ended whatever happens.
    const copy: Copy = {
      child,
      startedMs: host.clock.monotonic(),
      upstream: null,
      known: null,
      isOver: false,
    };
    this.#last = copy;
    child.exited.then(() => copy.isOver = true);
    try {
      copy.known = await recordChild(this.#world, this.#folder, child.pid);
    } catch (error) {
      await this.#end(copy);
      throw error;
    }
    if (signal.aborted) await this.#end(copy);
    signal.throwIfAborted();
    return {
      kind: "there",
      server: {
        identity: { pid: child.pid, startTime: copy.known?.start_token ?? null, endpoint: null },
        isNewProcess: true,
        revision: null,
        connect: (options) => Promise.resolve(this.#connect(copy, options)),
      },
    };
  }

  #connect(copy: Copy, options: UpstreamOptions): StdioUpstream {
    const end = () => this.#end(copy);
    copy.upstream = new StdioUpstream(this.#world.host, { ...options, child: copy.child, end });
    return copy.upstream;
  }

  /** Ends a child with its group; one whose identity is not known ends with its input. */
  async #end({ child, known }: Copy): Promise<void> {
    if (known !== null) return await endChild(this.#world, this.#folder, known);
    await Promise.race([child.stdin.abort().catch(() => {}), this.#world.host.clock.sleep(INPUT_END_MS)]);
  }

  /** Waits before a child that never got anywhere is started again. */
  async #backOff(signal: AbortSignal): Promise<void> {
    const { clock } = this.#world.host;
    const { backoffMs, backoffMaxMs, stableAfterMs } = this.#definition.restart;
    const last = this.#last;
    if (last === null) return;
    const wasStable = last.upstream?.spoke === true || clock.monotonic() - last.startedMs > stableAfterMs;
    this.#failures = wasStable ? 0 : this.#failures + 1;
    if (this.#failures === 0) return;
    await clock.sleep(Math.min(backoffMaxMs, backoffMs * 2 ** (this.#failures - 1)), signal).catch(() => {});
  }
}
