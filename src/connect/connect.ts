/**
 * A stdio MCP server in front of a managed one: one client, carried across the server's restarts.
 *
 * @module
 */
import { aborted } from "../base/abort.ts";
import type { ServerDefinition } from "../definitions/definition.ts";
import type { World } from "../lifecycle/world.ts";
import { errorLine, INVALID_REQUEST } from "../relay/message.ts";
import { idAtEdge, MESSAGE_LIMIT_BYTES, readLines } from "../relay/lines.ts";
import { Relay } from "../relay/relay.ts";
import type { ServerSource } from "../relay/server_source.ts";
import { ClientOutput } from "./client_output.ts";
import { comparingEnvironment } from "./environment.ts";
import { FramingCheck } from "./framing.ts";
import { ClientLease } from "./lease.ts";
import { ManagedSource } from "../gateway/managed_source.ts";

export interface ConnectOptions {
  definition: ServerDefinition;
  /** How long the server stays when its last client is gone; null for ever. */
  idleMs: number | null;
  /** How long a request waits for the server, and for its answer once the client has ended its side. */
  timeoutMs: number;
}

const FLUSH_MS = 500;

/** Runs until the client closes its side. @throws the signal's reason where it was interrupted */
export async function runConnect(world: World, options: ConnectOptions): Promise<void> {
  const { host } = world;
  const { definition, timeoutMs } = options;
  const ending = new AbortController();
  const own: World = { ...world, signal: AbortSignal.any([world.signal, ending.signal]) };
  const output = new ClientOutput(host.terminal.stdout, () => ending.abort());
  const isShared = definition.transport !== "stdio";
  const lease = isShared ? new ClientLease(own, world.state.server(definition.key)) : null;
  const relay: Relay = new Relay(host, {
    name: definition.name,
    source: await sourceOf(own, options),
    timeoutMs,
    client: output,
    warn: (text) => world.warn(text),
    onBusy: (isBusy) => lease?.noteBusy(isBusy ? () => relay.oldestCallMs : null),
  });
  relay.start();
  try {
    await Promise.race([readClient(own, { relay, output }), aborted(own.signal)]);
    if (!own.signal.aborted) await Promise.race([relay.finish(timeoutMs), aborted(own.signal)]);
    if (!own.signal.aborted) await Promise.race([output.flush(), aborted(own.signal)]);
  } finally {
    ending.abort();
    await relay.close();
    await lease?.release();
    await Promise.race([output.flush(), host.clock.sleep(FLUSH_MS)]);
  }
  world.signal.throwIfAborted();
}

async function readClient(
  world: World,
  { relay, output }: { relay: Relay; output: ClientOutput },
): Promise<void> {
  const framing = new FramingCheck();
  let exchange = 0;
  for await (const read of readLines(world.host.terminal.stdin)) {
    if (read.kind === "overlong") {
      const message = `a message may have at most ${MESSAGE_LIMIT_BYTES / 1024 / 1024} MiB`;
      await output.write(errorLine(idAtEdge(read), { code: INVALID_REQUEST, message }));
      continue;
    }
    const seen = framing.look(read.line);
    switch (seen.kind) {
      case "line":
        await relay.receive(++exchange, read.line);
        break;
      case "headers":
        await output.write(seen.answer);
        world.warn(seen.message);
        break;
      case "ignored":
        break;
    }
  }
}

async function sourceOf(world: World, options: ConnectOptions): Promise<ServerSource> {
  const { definition } = options;
  if (definition.transport !== "stdio") {
    const { idleMs, timeoutMs } = options;
    const source = new ManagedSource(world, {
      definition,
      bringUp: async (startedBy) => {
        // Not needed where the server is there already, and dear to load.
        const { ensureSupervised } = await import("../supervisor/supervise.ts");
        return await ensureSupervised(world, definition, { startedBy, idleMs, timeoutMs });
      },
    });
    return comparingEnvironment(source, { world, definition });
  }
  const { PrivateSource } = await import("./private_source.ts");
  return new PrivateSource(world, definition);
}
