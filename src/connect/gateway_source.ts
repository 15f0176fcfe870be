/**
 * The gateway as a relay finds it: the supervisor is brought up where there is none, and holds this client's sessions for as
 * long as the client lives.
 *
 * @module
 */
import { OWNER_HEADER } from "../gateway/owner_header.ts";
import type { World } from "../lifecycle/world.ts";
import { verdictNow } from "../registry/identity.ts";
import { readSupervisorFile } from "../registry/supervisor_files.ts";
import type { ProcessFate } from "../relay/retry.ts";
import type { AcquireRequest, AcquireResult, ServerIdentity, ServerSource } from "../relay/server_source.ts";
import { HttpUpstream } from "../relay/upstream/http.ts";
import type { SupervisedServer } from "../supervisor/enrolment.ts";

export interface GatewaySourceOptions {
  servers: readonly SupervisedServer[];
  /** Below the gateway's address: `/mcp/KEY`. */
  path: string;
  /** How long a request waits for a server that is not there. */
  timeoutMs: number;
  /** Whether foster may translate where client and server speak different revisions. */
  mayTranslate: boolean;
}

interface Registration {
  /** What the supervisor calls this client. */
  name: string;
  identity: ServerIdentity & { pid: number; startTime: string; endpoint: string };
  token: string;
}

export class GatewaySource implements ServerSource {
  readonly #world: World;
  readonly #options: GatewaySourceOptions;
  #registered: Registration | null = null;
  readonly #noted = new Set<string>();

  constructor(world: World, options: GatewaySourceOptions) {
    this.#world = world;
    this.#options = options;
  }

  async acquire({ signal }: AcquireRequest): Promise<AcquireResult> {
    const registered = this.#registered ?? await this.#register(signal);
    if ("kind" in registered) return registered;
    const { name, identity, token } = registered;
    const headers = { authorization: `Bearer ${token}`, [OWNER_HEADER]: name };
    return {
      kind: "there",
      server: {
        identity,
        connect: (options) =>
          Promise.resolve(
            new HttpUpstream(this.#world.host, { ...options, endpoint: new URL(identity.endpoint), headers }),
          ),
      },
    };
  }

  /** Of the supervisor. Another one goes on with the session: nothing that it is asked was lost with a server. */
  async fate({ pid, startTime }: ServerIdentity): Promise<ProcessFate> {
    if (pid === null || this.#registered === null) return "unknown";
    try {
      const process = await verdictNow(this.#world.host, { pid, start_token: startTime });
      return process.kind === "ours" ? "same" : "unknown";
    } catch {
      return "unknown";
    }
  }

  reason(): Promise<string | null> {
    return Promise.resolve(null);
  }

  async #register(signal: AbortSignal): Promise<Registration | AcquireResult> {
    // Dear to load, and not needed for as long as the supervisor lives.
    const { ensureSupervisor, ownEnvironment } = await import("../supervisor/ensure.ts");
    const { host, state, signal: life } = this.#world;
    const supervisor = await ensureSupervisor({ ...this.#world, signal });
    if (supervisor.kind === "without") return { kind: "later", reason: supervisor.why };
    const file = await readSupervisorFile(host, state.path);
    if (file.kind !== "file") return { kind: "later", reason: "the supervisor ended right after its start" };
    const environment = ownEnvironment(this.#world);
    const { servers, path, timeoutMs, mayTranslate } = this.#options;
    const { name, notes, over } = await supervisor.control.client(
      { servers: [...servers], environment, timeoutMs, mayTranslate },
      life,
    );
    // Each once: it is registered again with every supervisor.
    for (const note of notes) {
      if (this.#noted.has(note)) continue;
      this.#noted.add(note);
      this.#world.warn(note);
    }
    const { pid, start_token, endpoint } = file.value;
    const registered: Registration = {
      name,
      identity: { pid, startTime: start_token, endpoint: `${endpoint}${path}` },
      token: await state.gatewayToken(),
    };
    this.#registered = registered;
    over.then(() => {
      if (this.#registered === registered) this.#registered = null;
    });
    return registered;
  }
}
