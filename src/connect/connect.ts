/**
 * A stdio MCP server in front of a managed one: one client, carried across the server's restarts.
 *
 * @module
 */
import { aborted } from "../base/abort.ts";
import type { World } from "../lifecycle/world.ts";
import { isoNow } from "../lifecycle/world.ts";
import { writeLease } from "../registry/process_files.ts";
import type { ServerFolder } from "../registry/store.ts";
import type { ServerDefinition } from "../definitions/definition.ts";
import { FramingCheck } from "../relay/framing.ts";
import { readLines, withEnd } from "../relay/lines.ts";
import { ManagedSource } from "./managed_source.ts";
import { Relay } from "../relay/relay.ts";
import type { Source } from "../relay/upstream/upstream.ts";

export interface ConnectOptions {
  definition: ServerDefinition;
  /** How long the server stays when its last client is gone; null for ever. */
  idleMs: number | null;
  /** How long a request waits for the server. */
  timeoutMs: number;
}

/** Requests that are about to be answered when the client ends its side still are. */
const FINISH_MS = 700;
const FLUSH_MS = 200;

/** Runs until the client closes its side. @throws the signal's reason where it was interrupted */
export async function runConnect(world: World, options: ConnectOptions): Promise<void> {
  const { host } = world;
  const { definition, timeoutMs } = options;
  const ending = new AbortController();
  const own: World = { ...world, signal: AbortSignal.any([world.signal, ending.signal]) };
  const output = host.terminal.stdout.getWriter();
  output.closed.catch(() => {});
  let written = Promise.resolve();
  const toClient = (line: Uint8Array) => {
    // A client that reads no more has closed its side: that ends everything by itself.
    written = output.write(withEnd(line)).catch(() => ending.abort());
  };

  const relay: Relay = new Relay(host, {
    name: definition.name,
    source: await sourceOf(own, { ...options, toolHeaders: () => relay.memory.toolHeaders }),
    timeoutMs,
    toClient,
    warn: (text) => world.warn(text),
  });
  const isShared = definition.transport !== "stdio";
  const lease = isShared ? holdLease(own, world.state.server(definition.key)) : null;
  relay.start();
  try {
    await Promise.race([readClient(own, { relay, toClient }), aborted(own.signal)]);
    if (!own.signal.aborted) await relay.finish(FINISH_MS);
  } finally {
    ending.abort();
    await relay.close();
    const path = await lease;
    if (path) await host.files.remove(path);
    await Promise.race([written, host.clock.sleep(FLUSH_MS)]);
  }
  world.signal.throwIfAborted();
}

async function readClient(
  world: World,
  { relay, toClient }: { relay: Relay; toClient(line: Uint8Array): void },
): Promise<void> {
  const framing = new FramingCheck();
  for await (const line of readLines(world.host.terminal.stdin)) {
    const seen = framing.look(line);
    switch (seen.kind) {
      case "line":
        relay.receive(line);
        break;
      case "headers":
        toClient(seen.answer);
        world.warn(seen.message);
        break;
      case "ignored":
        break;
    }
  }
}

async function sourceOf(
  world: World,
  options: ConnectOptions & { toolHeaders: () => Relay["memory"]["toolHeaders"] },
): Promise<Source> {
  const { definition } = options;
  if (definition.transport !== "stdio") return new ManagedSource(world, options);
  const { PrivateSource } = await import("./private_source.ts");
  return new PrivateSource(world, definition);
}

/** Says that this client uses the server; resolves with the file that says it, null where it can't be written. */
async function holdLease(world: World, folder: ServerFolder): Promise<string | null> {
  const { host } = world;
  const pid = host.processes.selfPid;
  const seen = (await host.processes.inspect([pid])).get(pid);
  if (seen?.kind !== "seen") {
    world.warn(`Cannot say that "${folder.key}" is in use: foster can't see its own process`);
    return null;
  }
  const lease = { pid, start_token: seen.facts.startTime, since: isoNow(host) };
  return await writeLease(host, folder.paths.leases, lease);
}
