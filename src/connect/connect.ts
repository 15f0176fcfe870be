/**
 * A stdio MCP server in front of the gateway: one client, carried across restarts of its servers and of the supervisor.
 *
 * @module
 */
import { aborted } from "../base/abort.ts";
import { once } from "../base/once.ts";
import { QuietTimes } from "../relay/quiet_times.ts";
import type { World } from "../lifecycle/world.ts";
import { errorLine, INVALID_REQUEST } from "../relay/message.ts";
import { idAtEdge, MESSAGE_LIMIT_BYTES, readLines } from "../relay/lines.ts";
import { Relay } from "../relay/relay.ts";
import { ClientOutput } from "./client_output.ts";
import { FramingCheck } from "./framing.ts";
import { GatewaySource, type GatewaySourceOptions } from "./gateway_source.ts";

export interface ConnectOptions extends GatewaySourceOptions {
  /** For errors. */
  name: string;
  /** How long a request waits for the server, and for its answer once the client has ended its side. */
  timeoutMs: number;
}

/** The servers, as the command line names them. */
export type ConnectTarget = Pick<ConnectOptions, "name" | "servers" | "path">;

const FLUSH_MS = 500;

/** Runs until the client closes its side. @throws the signal's reason where it was interrupted */
export async function runConnect(world: World, options: ConnectOptions): Promise<void> {
  const { host } = world;
  const { name, servers, path, timeoutMs, mayTranslate } = options;
  const ending = new AbortController();
  const own: World = { ...world, signal: AbortSignal.any([world.signal, ending.signal]) };
  const quiet = new QuietTimes(host, own.signal);
  const output = new ClientOutput(host.terminal.stdout, {
    onClosed: () => ending.abort(),
    onWrite: () => quiet.touch(),
  });
  const relay: Relay = new Relay(host, {
    name,
    source: new GatewaySource(own, { servers, path, timeoutMs, mayTranslate }),
    timeoutMs,
    client: output,
    warn: (text) => world.warn(text),
  });
  try {
    await Promise.race([readClient(own, { relay, output, quiet }), aborted(own.signal)]);
    if (!own.signal.aborted) await Promise.race([relay.finish(timeoutMs), aborted(own.signal)]);
    if (!own.signal.aborted) await Promise.race([output.flush(), aborted(own.signal)]);
  } finally {
    ending.abort();
    await relay.close();
    await Promise.race([output.flush(), host.clock.sleep(FLUSH_MS)]);
  }
  world.signal.throwIfAborted();
}

async function readClient(
  world: World,
  { relay, output, quiet }: { relay: Relay; output: ClientOutput; quiet: QuietTimes },
): Promise<void> {
  const framing = new FramingCheck();
  let exchange = 0;
  // A client that says nothing needs no supervisor.
  const start = once(() => relay.start());
  for await (const read of readLines(world.host.terminal.stdin)) {
    quiet.touch();
    if (read.kind === "overlong") {
      const message = `a message may have at most ${MESSAGE_LIMIT_BYTES / 1024 / 1024} MiB`;
      await output.write(errorLine(idAtEdge(read), { code: INVALID_REQUEST, message }));
      continue;
    }
    const seen = framing.look(read.line);
    switch (seen.kind) {
      case "line":
        start();
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
