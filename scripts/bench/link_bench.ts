/**
 * What a link costs beside a bare WebSocket client on the same runtime, how fast it comes back, and whether it grows.
 *
 *     deno run -A --v8-flags=--expose-gc scripts/bench/link_bench.ts [--commands N] [--reconnects N] [--rounds N]
 *         [--json]
 *     bun --expose-gc scripts/bench/link_bench.ts …
 *
 * The server is a process of its own, so that only the client's work counts; it measures from the first command sent
 * to the last answer received.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
// @ts-types="../../src/ambient/ws.d.ts"
import { type ServerPeer, WebSocketServer } from "ws";
import type { Host } from "../../src/host/host.ts";
import { openLink } from "../../src/link/mod.ts";
import { atLeast, atMost, type Figure, median, quantile } from "./figures.ts";

const FILL = "x".repeat(1_024);
const IN_FLIGHT = 64;
const RATIO_GOAL = 0.8;
const RECONNECT_GOAL_MS = 50;
/** Heap that may come and go between two measurements. */
const HEAP_NOISE_BYTES = 1_000_000;

interface Seen {
  /** Messages per second, the median. */
  bare: number;
  link: number;
  reconnects: number;
  /** From the drop to the open link. */
  reopenMs: { median: number; slowest: number };
  growthBytes: number;
}

const { values } = parseArgs({
  options: {
    serve: { type: "boolean", default: false },
    commands: { type: "string", default: "50000" },
    reconnects: { type: "string", default: "1000" },
    rounds: { type: "string", default: "3" },
    json: { type: "boolean", default: false },
  },
});
const commands = Number(values.commands);

if (values.serve) serve();
else {
  const seen = await measure();
  if (values.json) console.log(JSON.stringify(figuresOf(seen)));
  else print(seen);
}

// --------------------------------------------------------------------------------------------------------- server

/** Drives whoever connects: `project_path` of the handshake says how. */
function serve(): void {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  server.on("listening", () => console.log(server.address().port));
  server.on("connection", (peer) => {
    let driver: ((text: string) => void) | null = null;
    peer.on("error", () => undefined);
    peer.on("message", (data) => {
      const text = new TextDecoder().decode(data);
      if (driver !== null) return driver(text);
      peer.send(JSON.stringify({ type: "handshake_ack", server_version: "1.0.0" }));
      driver = JSON.parse(text).project_path === "drop" ? drop(peer) : drive(peer);
    });
  });
  process.stdin.on("end", () => process.exit(0)).resume();
}

function drop(peer: ServerPeer): () => void {
  peer.close(1000, "again");
  return () => undefined;
}

function drive(peer: ServerPeer): (text: string) => void {
  const startMs = performance.now();
  let sent = 0;
  let answered = 0;
  const next = () => {
    sent += 1;
    const requestId = sent.toString(16).padStart(32, "0");
    peer.send(JSON.stringify({ request_id: requestId, command: "echo", params: { fill: FILL } }));
  };
  while (sent < Math.min(IN_FLIGHT, commands)) next();
  return (text) => {
    if (JSON.parse(text).status !== "ok") throw new Error(text);
    answered += 1;
    if (sent < commands) next();
    if (answered < commands) return;
    console.log(Math.round(commands / ((performance.now() - startMs) / 1_000)));
    peer.close(1000, "done");
  };
}

// ---------------------------------------------------------------------------------------------------------- bench

async function measure(): Promise<Seen> {
  const host = await createHost();
  const child = spawn(process.execPath, serverArgs(), { stdio: ["pipe", "pipe", "inherit"] });
  const said = lines(child);
  const port = Number(await said());

  const bare: number[] = [];
  const link: number[] = [];
  for (let round = 0; round < Number(values.rounds); round += 1) {
    bare.push(await rate(said, () => bareClient(host, port)));
    link.push(await rate(said, () => linkClient(host, port)));
  }
  const seen = { bare: median(bare), link: median(link), ...await reconnect(host, port) };
  child.stdin?.end();
  return seen;
}

async function rate(said: () => Promise<string>, connect: () => () => void): Promise<number> {
  const disconnect = connect();
  const perSecond = Number(await said());
  disconnect();
  return perSecond;
}

/** The least that can answer a command. */
function bareClient(host: Host, port: number): () => void {
  const socket = host.net.webSocket(`ws://127.0.0.1:${port}`);
  socket.onopen = () => socket.send(JSON.stringify({ type: "handshake", project_path: "bare" }));
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.type === "handshake_ack") return;
    const { request_id, params: { fill } } = message;
    socket.send(JSON.stringify({ request_id, status: "ok", data: { fill } }));
  };
  return () => socket.close();
}

function linkClient(host: Host, port: number): () => void {
  const link = openLink(host, {
    ...hello(port, "link"),
    handlers: { echo: ({ fill }) => ({ data: { fill } }) },
  });
  return () => void link.close();
}

function hello(port: number, projectPath: string) {
  return {
    name: "bench",
    port,
    projectPath,
    clientVersion: "1.0.0",
    runtimeVersion: "1.0.0",
    launchMode: "bench",
  };
}

async function reconnect(
  host: Host,
  port: number,
): Promise<Pick<Seen, "reconnects" | "reopenMs" | "growthBytes">> {
  const count = Number(values.reconnects);
  const took: number[] = [];
  const done = Promise.withResolvers<void>();
  let halfway = 0;
  let droppedAt = 0;
  const link = openLink(host, {
    ...hello(port, "drop"),
    onEvent: (event) => {
      if (event.type === "closed") droppedAt = host.clock.monotonic();
      if (event.type !== "open" || droppedAt === 0) return;
      took.push(host.clock.monotonic() - droppedAt);
      if (took.length === Math.floor(count / 2)) halfway = heapBytes();
      if (took.length === count) done.resolve();
    },
  });
  await done.promise;
  const growthBytes = heapBytes() - halfway;
  await link.close();
  const reopenMs = { median: median(took), slowest: quantile(took, 0.99) };
  return { reconnects: count, reopenMs, growthBytes };
}

function heapBytes(): number {
  const { gc } = globalThis as { gc?: () => void };
  gc?.();
  return process.memoryUsage().heapUsed;
}

function lines(child: ChildProcess): () => Promise<string> {
  if (child.stdout === null) throw new Error("the server has no output");
  const iterator = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return async () => String((await iterator.next()).value);
}

function serverArgs(): string[] {
  const args = [fileURLToPath(import.meta.url), "--serve", "--commands", String(commands)];
  return "Deno" in globalThis ? ["run", "-A", ...args] : args;
}

async function createHost(): Promise<Host> {
  return "Deno" in globalThis
    ? await (await import("../../src/host/engine/deno/mod.ts")).createDenoHost()
    : await (await import("../../src/host/engine/bun/mod.ts")).createBunHost();
}

// -------------------------------------------------------------------------------------------------------- figures

function figuresOf({ bare, link, reconnects, reopenMs, growthBytes }: Seen): Figure[] {
  const name = `link, ${"Deno" in globalThis ? "deno" : "bun"}`;
  return [
    {
      what: `${name}: messages of a bare client's`,
      unit: "%",
      goal: atLeast(RATIO_GOAL * 100),
      values: [link / bare * 100],
    },
    {
      what: `${name}: drop → open again, slowest 1 %`,
      unit: "ms",
      goal: atMost(RECONNECT_GOAL_MS),
      values: [reopenMs.slowest],
    },
    {
      what: `${name}: heap growth over the second half of ${reconnects} reconnects`,
      unit: "MB",
      goal: atMost(HEAP_NOISE_BYTES / 1e6),
      values: [growthBytes / 1e6],
    },
  ];
}

function print({ bare, link, reconnects, reopenMs, growthBytes }: Seen): void {
  const ratio = link / bare;
  report("messages/s, bare client", bare, true);
  report("messages/s, link", link, true);
  report(`link/bare (goal ≥ ${RATIO_GOAL})`, ratio.toFixed(2), ratio >= RATIO_GOAL);
  report("reconnects", reconnects, true);
  report("ms from drop to open, median", reopenMs.median.toFixed(2), true);
  report(
    `ms from drop to open, slowest 1 % (goal ≤ ${RECONNECT_GOAL_MS})`,
    reopenMs.slowest.toFixed(2),
    reopenMs.slowest <= RECONNECT_GOAL_MS,
  );
  report("heap growth over the second half, bytes (goal 0)", growthBytes, growthBytes <= HEAP_NOISE_BYTES);
}

function report(what: string, value: number | string, ok: boolean): void {
  console.log(`${ok ? " " : "!"} ${what.padEnd(56)} ${value}`);
}
