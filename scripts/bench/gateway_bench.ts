/**
 * What the gateway costs beside the least that one can cost, and beside its peers; what is lost with a server and with the
 * supervisor; what is left in memory. Linux only: it reads /proc. Prints the figures as JSON.
 *
 *     deno run -A scripts/bench/gateway_bench.ts --binary FILE [--quick] [--only NAME]…
 *
 * @module
 */
import { parseArgs } from "node:util";
import { join, resolve } from "@std/path";
import { bunPath } from "../bun_tool.ts";
import {
  atLeast,
  atMost,
  type Figure,
  type Goal,
  median,
  type Missing,
  type Taken,
  type Unit,
} from "./figures.ts";
import {
  type BenchClient,
  type ConnectClient,
  isAlive,
  type Listening,
  type Load,
  memoryOf,
  Stage,
  treeOf,
  until,
} from "./gateway/stage.ts";
import { ended, freePort, pause, sharedMemoryMib } from "./machine.ts";

interface Rounds {
  /** Of load, on each target in turn. */
  load: number;
  calls: number;
  kills: number;
  lists: number;
  sessions: number;
  manySessions: number;
}

const WHOLE: Rounds = { load: 5, calls: 2000, kills: 10, lists: 20, sessions: 200, manySessions: 10_000 };
const QUICK: Rounds = { load: 1, calls: 500, kills: 2, lists: 3, sessions: 20, manySessions: 100 };
const CALLS_A_SESSION = 10;
const CONNECTIONS = 32;
const SETTLE_MS = 4000;

type Part = (stage: Stage, rounds: Rounds) => Promise<Taken[]>;

const parts: Record<string, Part> = {
  stdio,
  http,
  kill,
  sigkill,
  lists,
  sleeping,
  memory,
  sessions,
  real,
  idle,
};

function figure(what: string, unit: Unit, goal: Goal, values: number[]): Figure {
  return { what: `gateway: ${what}`, unit, goal, values };
}

/** The load on each target in turn, round by round: what a busy machine does to one it does to all. */
async function inTurn(
  stage: Stage,
  { targets, clients, rounds }: { targets: Record<string, string>; clients: number; rounds: Rounds },
): Promise<Record<string, Load[]>> {
  const found: Record<string, Load[]> = Object.fromEntries(Object.keys(targets).map((name) => [name, []]));
  for (let round = 0; round < rounds.load; round++) {
    for (const [name, url] of Object.entries(targets)) {
      found[name]?.push(await stage.load(url, { clients, calls: rounds.calls }));
    }
  }
  return found;
}

function pairs(own: readonly Load[], base: readonly Load[], of: (own: Load, base: Load) => number): number[] {
  return own.flatMap((load, round) => {
    const other = base[round];
    return other === undefined ? [] : [of(load, other)];
  });
}

const beyond = (own: Load, base: Load) => own.p50 - base.p50;
const share = (own: Load, base: Load) => 100 * own.rps / base.rps;
const tail = (own: Load, base: Load) => own.p99 / base.p99;

async function stdio(stage: Stage, rounds: Rounds): Promise<Taken[]> {
  await stage.serve({
    each: { command: "node", args: [stage.server] },
    shared: { command: "node", args: [stage.server], sharing: "shared" },
  });
  const floor = await stage.floor("stdio", ...stage.stdio());
  const { peers, missing } = await peersOf(stage);
  try {
    const targets = { floor: floor.url, each: stage.url("each"), shared: stage.url("shared") };
    const peerUrls = Object.fromEntries(peers.map(({ name, at }) => [name, at.url]));
    const one = await inTurn(stage, { targets: { ...targets, ...peerUrls }, clients: 1, rounds });
    const many = await inTurn(stage, { targets, clients: CONNECTIONS, rounds });
    const bases = { one: one.floor ?? [], many: many.floor ?? [] };
    const figures = ["each", "shared"].flatMap((name) => {
      const how = name === "each" ? "a process for each session" : "one process for all";
      const [own = [], crowd = []] = [one[name], many[name]];
      return [
        figure(
          `stdio server, ${how}, beyond the least, p50`,
          "ms",
          atMost(0.25),
          pairs(own, bases.one, beyond),
        ),
        figure(
          `stdio server, ${how}, ${CONNECTIONS} connections, requests a second of the least`,
          "%",
          atLeast(90),
          pairs(crowd, bases.many, share),
        ),
        figure(
          `stdio server, ${how}, ${CONNECTIONS} connections, p99 of the least`,
          "×",
          atMost(1.3),
          pairs(crowd, bases.many, tail),
        ),
      ];
    });
    const [first, ...others] = figures;
    const beside = peers.map(({ name }) => ({ name, values: pairs(one[name] ?? [], bases.one, beyond) }));
    return [...(first === undefined ? [] : [{ ...first, peers: beside }]), ...others, ...missing];
  } finally {
    await Promise.all([floor, ...peers.map(({ at }) => at)].map((each) => each.stop()));
  }
}

/** Rivals in front of the same server, where they can be installed. */
async function peersOf(
  stage: Stage,
): Promise<{ peers: { name: string; at: Listening }[]; missing: Missing[] }> {
  const peers: { name: string; at: Listening }[] = [];
  const missing: Missing[] = [];
  const begin = async (name: string, start: () => Promise<Listening>) => {
    try {
      const at = await start();
      await stage.load(at.url, { clients: 1, calls: 10 });
      peers.push({ name, at });
    } catch (error) {
      missing.push({ what: `gateway: ${name}`, why: error instanceof Error ? error.message : String(error) });
    }
  };
  const command = stage.stdio();
  await begin("supergateway", async () => {
    const folder = join(stage.folder, "supergateway");
    await ended(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, "supergateway@4.0.0"], {
      cwd: stage.folder,
    });
    const port = freePort();
    const args = ["--stdio", command.join(" "), "--outputTransport", "streamableHttp", "--stateful"];
    const more = ["--port", `${port}`, "--logLevel", "none"];
    return await stage.listening([join(folder, "node_modules/.bin/supergateway"), ...args, ...more], port);
  });
  await begin("mcp-proxy", async () => {
    const folder = join(stage.folder, "mcp-proxy");
    await ended(["uv", "venv", "-q", folder], { cwd: stage.folder });
    const python = join(folder, "bin", "python");
    await ended(["uv", "pip", "install", "-q", "--python", python, "mcp-proxy"], { cwd: stage.folder });
    const port = freePort();
    return await stage.listening([join(folder, "bin/mcp-proxy"), "--port", `${port}`, ...command], port);
  });
  return { peers, missing };
}

async function http(stage: Stage, rounds: Rounds): Promise<Taken[]> {
  const args = [stage.server, "http", "${port}"];
  await stage.serve({ echo: { command: "node", args, port: "auto", path: "/mcp" } });
  const { stdout } = await stage.bench.expect(0, "up", "echo", "--json");
  const direct: string = JSON.parse(stdout).servers[0].endpoint;
  const floor = await stage.floor("http", new URL(direct).origin);
  try {
    const targets = { direct, floor: floor.url, own: stage.url("echo") };
    const one = await inTurn(stage, { targets, clients: 1, rounds });
    const many = await inTurn(stage, { targets, clients: CONNECTIONS, rounds });
    const listMs: Record<string, number[]> = { floor: [], own: [] };
    for (let round = 0; round < rounds.lists; round++) {
      for (const name of ["floor", "own"] as const) {
        listMs[name]?.push(await listOf(stage, targets[name]));
      }
    }
    const [base, own] = [one.direct ?? [], one.own ?? []];
    const ratios = (listMs.own ?? []).map((ms, round) => ms / (listMs.floor?.[round] ?? ms));
    return [
      {
        ...figure("HTTP server, beyond direct, p50", "ms", atMost(0.5), pairs(own, base, beyond)),
        peers: [{ name: "the least", values: pairs(one.floor ?? [], base, beyond) }],
      },
      {
        ...figure(
          `HTTP server, ${CONNECTIONS} connections, requests a second of direct`,
          "%",
          atLeast(85),
          pairs(many.own ?? [], many.direct ?? [], share),
        ),
        peers: [{ name: "the least", values: pairs(many.floor ?? [], many.direct ?? [], share) }],
      },
      figure("HTTP server, connect to first list, of the least", "×", atMost(1.3), ratios),
    ];
  } finally {
    await floor.stop();
  }
}

/** A client from its handshake to its first list. Milliseconds. */
async function listOf(stage: Stage, url: string): Promise<number> {
  const startedAt = performance.now();
  const client = await stage.clientAt(url);
  await client.ask("tools/list", {});
  const tookMs = performance.now() - startedAt;
  await client.close();
  return tookMs;
}

const textOf = ({ content }: Record<string, unknown>) => (content as { text: string }[])[0]?.text ?? "";
const call = (client: BenchClient, name: string, args = {}) =>
  client.ask("tools/call", { name, arguments: args }).then(textOf);

/** A server is killed between two calls: what the next call waits beyond the server's own start. */
async function kill(stage: Stage, { kills }: Rounds): Promise<Taken[]> {
  await stage.serve({ echo: { command: "node", args: [stage.server] } });
  const client = await stage.client("echo");
  const values: number[] = [];
  for (let n = 0; n <= kills; n++) {
    const startMs = await startOf(stage);
    const pid = Number(await call(client, "pid"));
    // One that is lost as soon as it is there, again and again, is started with growing pauses.
    await pause(600);
    Deno.kill(pid, "SIGKILL");
    await until(async () => !await isAlive(pid), 5000, "the server is gone");
    // The last of its threads takes its pipes with it.
    await pause(30);
    const calledAt = performance.now();
    await call(client, "pid");
    if (n > 0) values.push(performance.now() - calledAt - startMs);
  }
  await client.close();
  return [figure("the next call after SIGKILL of the server, beyond its start", "ms", atMost(300), values)];
}

/** From the server's spawn to its first answer. Milliseconds. */
async function startOf(stage: Stage): Promise<number> {
  const [command, ...args] = stage.stdio();
  const startedAt = performance.now();
  const child = new Deno.Command(command, { args, stdin: "piped", stdout: "piped", stderr: "null" }).spawn();
  const writer = child.stdin.getWriter();
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "b", version: "1" } };
  await writer.write(
    new TextEncoder().encode(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params }) + "\n"),
  );
  const reader = child.stdout.getReader();
  await reader.read();
  const tookMs = performance.now() - startedAt;
  await reader.cancel();
  await writer.close().catch(() => {});
  await child.status;
  return tookMs;
}

/** The supervisor is killed: what is left of servers that never end by themselves, once the next verb came. */
async function sigkill(stage: Stage, { kills }: Rounds): Promise<Taken[]> {
  await stage.serve({ sticky: { command: "node", args: [stage.server, "sticky"] } });
  const values: number[] = [];
  for (let n = 0; n < Math.min(kills, 3); n++) {
    const clients = await Promise.all([1, 2, 3].map(() => stage.client("sticky")));
    const pids = await Promise.all(clients.map(async (client) => Number(await call(client, "pid"))));
    Deno.kill(await stage.supervisorPid(), "SIGKILL");
    await stage.bench.expect(0, "ps");
    await stage.detach();
    await pause(1000);
    values.push((await Promise.all(pids.map(isAlive))).filter(Boolean).length);
  }
  return [figure("processes left after SIGKILL of the supervisor and the next verb", "", atMost(0), values)];
}

/** Handshake and list from memory, with the server down. */
async function lists(stage: Stage, rounds: Rounds): Promise<Taken[]> {
  await stage.serve({ echo: { command: "node", args: [stage.server] } });
  const first = await stage.client("echo");
  await first.ask("tools/list", {});
  await first.close();
  const warm: number[] = [];
  const cold: number[] = [];
  for (let round = 0; round <= rounds.lists; round++) {
    const tookMs = await listOf(stage, stage.url("echo"));
    if (round > 0) warm.push(tookMs);
  }
  for (let round = 0; round < Math.min(10, rounds.lists); round++) {
    await stage.bench.expect(0, "serve", "--stop");
    const startedAt = performance.now();
    const client = await stage.connect("echo");
    await client.ask("tools/list", {});
    cold.push(performance.now() - startedAt);
    await client.close();
  }
  return [
    figure("lists with the server down, warm supervisor", "ms", atMost(15), warm),
    figure("lists with the server down, no supervisor, from the start of connect", "ms", atMost(150), cold),
  ];
}

async function sleeping(stage: Stage): Promise<Taken[]> {
  const servers = Object.fromEntries(
    Array.from({ length: 6 }, (_, n) => [`s${n}`, { command: "node", args: [stage.server] }]),
  );
  await stage.serve(servers);
  await pause(500);
  const below = (await treeOf(await stage.supervisorPid())).length - 1;
  return [figure("processes of six servers that nobody uses", "", atMost(0), [below])];
}

/** The supervisor's own memory, and what it keeps of sessions that are over. */
async function memory(stage: Stage, { sessions: count }: Rounds): Promise<Taken[]> {
  await stage.serve({ echo: { command: "node", args: [stage.server] } });
  await pause(SETTLE_MS);
  const pid = await stage.supervisorPid();
  const idleMib = (await sharedMemoryMib(pid)).proportional;
  await oneByOne(stage, 10);
  await pause(SETTLE_MS);
  const before = await sharedMemoryMib(pid);
  await oneByOne(stage, count);
  await pause(SETTLE_MS);
  const after = await sharedMemoryMib(pid);
  const connected = await Promise.all([1, 2, 3].map(async () => {
    const client = await stage.connect("echo");
    for (let n = 0; n < 20; n++) await call(client, "echo", { text: "x" });
    return client;
  }));
  const own = await Promise.all(connected.map(async (client) => (await sharedMemoryMib(client.pid)).own));
  await Promise.all(connected.map((client) => client.close()));
  return [
    figure("supervisor, idle, proportional", "MiB", atMost(60), [idleMib]),
    figure(`supervisor, grown over ${count} sessions`, "MiB", atMost(8), [
      after.proportional - before.proportional,
    ]),
    figure("private memory of one connect", "MiB", atMost(6), own),
  ];
}

async function oneByOne(stage: Stage, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    const client = await stage.client("echo");
    await call(client, "echo", { text: "x" });
    await client.close();
  }
}

async function sessions(stage: Stage, { manySessions }: Rounds): Promise<Taken[]> {
  await stage.serve({ echo: { command: "node", args: [stage.server], sharing: "shared" } });
  const some = async (count: number) => {
    await Promise.all(Array.from({ length: 8 }, async () => {
      for (let n = 0; n < count / 8; n++) {
        const client = await stage.client("echo");
        for (let each = 0; each < CALLS_A_SESSION; each++) await call(client, "echo", { text: "x" });
        await client.close();
      }
    }));
    await pause(SETTLE_MS);
    return (await sharedMemoryMib(await stage.supervisorPid())).proportional;
  };
  const before = await some(Math.min(500, manySessions));
  const after = await some(manySessions);
  const what = `supervisor, grown over ${manySessions} sessions of ${CALLS_A_SESSION} calls`;
  return [figure(what, "MiB", atMost(10), [after - before])];
}

const CLIENTS = 4;

/** Five servers as people have them. */
function realServers(folder: string): Record<string, RealServer> {
  // A cache of its own: nobody else installs into it at the same time.
  const env = { npm_config_cache: join(folder, "npm") };
  const npx = (name: string, ...args: string[]) => ({
    command: "npx",
    args: ["-y", `@modelcontextprotocol/server-${name}`, ...args],
    env,
  });
  return {
    everything: npx("everything"),
    filesystem: npx("filesystem", folder),
    memory: npx("memory"),
    thinking: npx("sequential-thinking"),
    time: { command: "uvx", args: ["mcp-server-time"], env },
  };
}

interface RealServer {
  command: string;
  args: string[];
  env: Record<string, string>;
}

/** Clients that use real servers, over HTTP and through connect, with copies and shared: the memory of all of it. */
async function real(stage: Stage): Promise<Taken[]> {
  const found: Taken[] = [];
  const goals = { http: { session: 1290, shared: 380 }, connect: { session: 1410, shared: 500 } };
  for (const sharing of ["session", "shared"] as const) {
    const servers = realServers(stage.folder);
    await stage.serve(
      Object.fromEntries(Object.entries(servers).map(([name, each]) => [name, { ...each, sharing }])),
    );
    for (const way of ["http", "connect"] as const) {
      const clients: BenchClient[] = [];
      try {
        for (const name of Object.keys(servers)) {
          for (let n = 0; n < CLIENTS; n++) {
            const client = way === "http" ? await stage.client(name) : await stage.connect(name);
            clients.push(client);
            await client.ask("tools/list", {});
            // Any request but a list has to reach the server.
            await client.ask("tools/call", { name: "nothing", arguments: {} }).catch(() => {});
          }
        }
        await pause(SETTLE_MS);
        const connects = way === "http" ? [] : clients.map((client) => (client as ConnectClient).pid);
        const { mib } = await memoryOf([await stage.supervisorPid(), ...connects]);
        const how = sharing === "session" ? "copies" : "shared";
        const what = `${CLIENTS} clients × ${Object.keys(servers).length} real servers, ${
          way === "http" ? "HTTP" : `${clients.length} connects`
        }, ${how}, proportional`;
        found.push(figure(what, "MiB", atMost(goals[way][sharing]), [mib]));
      } finally {
        await Promise.all(clients.map((client) => client.close().catch(() => {})));
      }
    }
  }
  return found;
}

const IDLE_CLIENTS = 5;
const IDLE_SERVERS = 6;

/** Sessions at servers that sleep: the memory of supervisor and connects. */
async function idle(stage: Stage): Promise<Taken[]> {
  const names = Array.from({ length: IDLE_SERVERS }, (_, n) => `s${n}`);
  const definition = { command: "node", args: [stage.server] };
  await stage.serve(Object.fromEntries(names.map((name) => [name, definition])));
  // From now on they are known, and answer lists without a process.
  for (const name of names) {
    const client = await stage.client(name);
    await client.ask("tools/list", {});
    await client.close();
  }
  const all = await stage.connect();
  await all.ask("tools/list", {});
  await all.close();
  const ways: Record<string, { goal: number; open(): Promise<BenchClient[]> }> = {
    "over HTTP": {
      goal: 80,
      open: async () =>
        await each(
          names.flatMap((name) => Array<string>(IDLE_CLIENTS).fill(name)),
          (name) => stage.client(name),
        ),
    },
    "five connects to all": {
      goal: 110,
      open: async () => await each(Array.from({ length: IDLE_CLIENTS }), () => stage.connect()),
    },
    "thirty connects": {
      goal: 250,
      open: async () =>
        await each(
          names.flatMap((name) => Array<string>(IDLE_CLIENTS).fill(name)),
          (name) => stage.connect(name),
        ),
    },
  };
  const found: Taken[] = [];
  for (const [way, { goal, open }] of Object.entries(ways)) {
    const clients = await open();
    for (const client of clients) await client.ask("tools/list", {});
    const pid = await stage.supervisorPid();
    await until(async () => (await treeOf(pid)).length === 1, 60_000, "no server runs").catch(() => {});
    await pause(SETTLE_MS);
    const connects = clients.flatMap((client) => "pid" in client ? [(client as ConnectClient).pid] : []);
    const { mib } = await memoryOf([pid, ...connects]);
    const what = `${IDLE_CLIENTS} sessions × ${IDLE_SERVERS} servers that sleep, ${way}, proportional in all`;
    found.push(figure(what, "MiB", atMost(goal), [mib]));
    await Promise.all(clients.map((client) => client.close()));
  }
  return found;
}

async function each<T, R>(items: readonly T[], open: (item: T) => Promise<R>): Promise<R[]> {
  const all: R[] = [];
  for (const item of items) all.push(await open(item));
  return all;
}

// ------------------------------------------------------------------------------------------------------------ run

async function main(): Promise<void> {
  const { values: options } = parseArgs({
    options: {
      binary: { type: "string" },
      quick: { type: "boolean", default: false },
      only: { type: "string", multiple: true, default: [] },
      json: { type: "boolean", default: false },
    },
  });
  if (options.binary === undefined) throw new Error("--binary FILE is needed");
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "foster-bench-" }));
  const bun = await ended([await bunPath(), "-p", "process.execPath"], { cwd: folder });
  const taken: Taken[] = [];
  try {
    const stage = await Stage.create({ binary: resolve(options.binary), bun, folder });
    const names = options.only.length > 0 ? options.only : Object.keys(parts);
    for (const name of names) {
      console.error(`  ${name}`);
      const found = await takenBy(stage, name, options.quick ? QUICK : WHOLE);
      for (const each of found) console.error(`    ${shown(each)}`);
      taken.push(...found);
      await stage.stop();
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  if (options.json) console.log(JSON.stringify(taken));
}

async function takenBy(stage: Stage, name: string, rounds: Rounds): Promise<Taken[]> {
  try {
    return await parts[name]?.(stage, rounds) ?? [];
  } catch (error) {
    const why = error instanceof Error ? error.message.replaceAll(/\s+/g, " ") : String(error);
    return [{ what: `gateway: ${name}`, why: `failed: ${why}` }];
  }
}

function shown(taken: Taken): string {
  if ("why" in taken) return `${taken.what}: ${taken.why}`;
  const { what, values, unit, goal, peers = [] } = taken;
  const beside = peers.map(({ name, values }) => `, ${name} ${median(values).toFixed(2)}`).join("");
  return `${what}: ${median(values).toFixed(2)} ${unit} (${goal?.side} ${goal?.value}${beside})`;
}

if (Deno.build.os === "linux") await main();
else console.log(JSON.stringify([{ what: "gateway", why: "measured on Linux only" }]));
