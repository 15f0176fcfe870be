/**
 * A stdio server as a relay finds it: a process of its own for each conversation, started when something is asked of it.
 *
 * @module
 */
import type { ServerDefinition } from "../definitions/definition.ts";
import type { World } from "../lifecycle/world.ts";
import type { ProcessFate } from "../relay/retry.ts";
import type { AcquireRequest, AcquireResult, ServerIdentity, ServerSource } from "../relay/server_source.ts";
import { StdioUpstream } from "../relay/upstream/stdio.ts";
import type { UpstreamOptions } from "../relay/upstream/upstream.ts";
import type { Copies, Copy } from "./copies.ts";

export interface CopySourceOptions {
  definition(): ServerDefinition;
  client: string | null;
  shared: boolean;
  onDemand: boolean;
  environment(): Record<string, string> | null;
  /** Whether this definition has been ready before: one failed start may then be bad luck. */
  wasEverReady(): boolean;
  /** A process was started, or ended (null). */
  onChange(copy: Copy | null): void;
  /** What foster does to the server while it ends processes; null while it ends none. */
  fate?(): ProcessFate | null;
  /** The next process is a restart: the one before ended by itself. */
  onRestart?(): void;
}

export class CopySource implements ServerSource {
  readonly #world: World;
  readonly #copies: Copies;
  readonly #options: CopySourceOptions;
  #copy: Copy | null = null;
  /** The process before this one. */
  #before: Copy | null = null;
  #upstream: StdioUpstream | null = null;
  /** The process was told of, and its end was not. */
  #isCounted = false;
  /** Starts in a row that ended before a word of MCP. */
  #failures = 0;
  #failedMs = 0;
  #failure: Extract<AcquireResult, { kind: "refused" }> | null = null;

  constructor(world: World, copies: Copies, options: CopySourceOptions) {
    this.#world = world;
    this.#copies = copies;
    this.#options = options;
  }

  async acquire({ demand, signal }: AcquireRequest): Promise<AcquireResult> {
    if (!demand) return { kind: "later", reason: "it is not running" };
    const failure = await this.#noteLast();
    if (failure !== null) return failure;
    const { client, shared, onDemand, environment } = this.#options;
    const started = await this.#copies.start({
      client,
      shared,
      onDemand,
      environment: environment(),
      signal,
    });
    if (started.kind === "failed") return { kind: "refused", message: started.message, hint: started.hint };
    const { copy } = started;
    this.#copy = copy;
    this.#isCounted = true;
    this.#options.onChange(copy);
    return {
      kind: "there",
      server: {
        identity: { pid: copy.child.pid, startTime: copy.identity?.start_token ?? null, endpoint: null },
        connect: (options) => Promise.resolve(this.#connect(copy, options)),
      },
    };
  }

  fate(identity: ServerIdentity): Promise<ProcessFate> {
    const isSame = this.#copy?.child.pid === identity.pid && this.#copy.exit === null;
    return Promise.resolve(this.endedAs(identity) ?? (isSame ? "same" : "replaced"));
  }

  endedAs({ pid }: ServerIdentity): ProcessFate | null {
    const copy = [this.#copy, this.#before].find((each) => each?.child.pid === pid);
    return copy?.isAskedToEnd === true ? this.#options.fate?.() ?? "stopped" : null;
  }

  reason(): Promise<string | null> {
    return Promise.resolve(this.#copy?.lastWords ?? null);
  }

  #connect(copy: Copy, options: UpstreamOptions): StdioUpstream {
    const end = async () => {
      await copy.end();
      if (this.#copy === copy) this.#noteGone();
    };
    this.#upstream = new StdioUpstream(this.#world.host, {
      ...options,
      child: copy.child,
      end,
      onShut: () => copy.isAskedToEnd ||= copy.exit === null,
      onText: (line) => this.#copies.appendToLog(line),
      onServer: (server) => copy.noteServer(server),
    });
    return this.#upstream;
  }

  /** Told once for each process, whoever sees its end first. */
  #noteGone(): void {
    if (!this.#isCounted) return;
    this.#isCounted = false;
    this.#options.onChange(null);
  }

  /**
   * What the last process says of the next start: one that ended before a word of MCP is told at once to who waits, and
   * those who come within the pause after it are told the same.
   */
  async #noteLast(): Promise<AcquireResult | null> {
    const last = this.#copy;
    const { clock } = this.#world.host;
    const { backoffMs, backoffMaxMs } = this.#options.definition().restart;
    if (last !== null) {
      await last.end();
      this.#copy = null;
      this.#before = last;
      this.#noteGone();
      const { spoke = false, wasGivenUp = false } = this.#upstream ?? {};
      if (spoke) this.#failures = 0;
      const endedItself = last.exit !== null && !wasGivenUp;
      if (endedItself) this.#options.onRestart?.();
      if (!spoke && endedItself) {
        this.#failures += 1;
        this.#failedMs = clock.monotonic();
        const message = last.lastWords ?? `"${this.#options.definition().name}" ended at once`;
        const hint = `foster logs "${this.#options.definition().name}" shows all it said`;
        this.#failure = { kind: "refused", message, hint };
        if (this.#failures === 1 && this.#options.wasEverReady()) return null;
        return this.#failure;
      }
    }
    if (this.#failures === 0 || this.#failure === null) return null;
    const pauseMs = Math.min(backoffMaxMs, backoffMs * 2 ** (this.#failures - 1));
    return clock.monotonic() - this.#failedMs < pauseMs ? this.#failure : null;
  }
}
