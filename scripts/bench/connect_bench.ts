/**
 * `foster connect` beside other bridges from stdio to HTTP, in one run: the same server, the same client.
 *
 * `deno run -A scripts/bench/connect_bench.ts [--foster COMMAND] [--calls N] [--only NAME]`
 *
 * @module
 */
import { parseArgs } from "@std/cli";
import { fromFileUrl, join } from "@std/path";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));
const SERVER = join(ROOT, "tests", "fixtures", "connect_server.ts");
const PACKAGES = ["mcp-remote@0.15.1", "supergateway@4.0.0"];
const BIG_BYTES = 5 * 1024 * 1024;
const BIG_CALLS = 12;
const WARM_UP_CALLS = 200;
const STARTS = 5;

interface Bridge {
  name: string;
  command: string;
  args: string[];
  env: Record<string, string>;
}

interface Figures {
  name: string;
  firstListMs: number;
  p50Ms: number;
  p99Ms: number;
  bigMs: number;
  residentMiB: number;
}

/** One way of asking the server: through a bridge, or straight over HTTP. */
interface Line {
  ask(method: string, params: unknown): Promise<unknown>;
  residentMiB(): Promise<number>;
  close(): Promise<void>;
}

const encoder = new TextEncoder();
const HELLO = {
  protocolVersion: "2025-11-25",
  capabilities: {},
  clientInfo: { name: "bench", version: "1" },
};

async function overStdio({ command, args, env }: Bridge): Promise<Line> {
  const child = new Deno.Command(command, { args, env, stdin: "piped", stdout: "piped", stderr: "null" })
    .spawn();
  const writer = child.stdin.getWriter();
  const waiting = new Map<number, (answer: unknown) => void>();
  const reading = readAnswers(child.stdout, waiting);
  let id = 0;
  const ask = (method: string, params: unknown) => {
    const own = ++id;
    const answered = new Promise<unknown>((resolve) => waiting.set(own, resolve));
    writer.write(encoder.encode(JSON.stringify({ jsonrpc: "2.0", id: own, method, params }) + "\n"));
    return answered;
  };
  await ask("initialize", HELLO);
  await writer.write(encoder.encode('{"jsonrpc":"2.0","method":"notifications/initialized"}\n'));
  return {
    ask,
    residentMiB: () => residentMiB(child.pid),
    async close() {
      await writer.close();
      const stop = setTimeout(() => Deno.kill(child.pid, "SIGTERM"), 3000);
      await child.status;
      clearTimeout(stop);
      await reading;
    },
  };
}

async function readAnswers(
  stream: ReadableStream<Uint8Array>,
  waiting: Map<number, (answer: unknown) => void>,
): Promise<void> {
  let parts: Uint8Array[] = [];
  for await (const chunk of stream) {
    let from = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      parts.push(chunk.subarray(from, end));
      const answer = JSON.parse(await new Blob(parts as Uint8Array<ArrayBuffer>[]).text());
      parts = [];
      from = end + 1;
      waiting.get(answer.id)?.(answer);
      waiting.delete(answer.id);
    }
    parts.push(chunk.subarray(from));
  }
}

async function overHttp(endpoint: string): Promise<Line> {
  let session: string | null = null;
  let id = 0;
  const post = async (message: Record<string, unknown>): Promise<unknown> => {
    const response = await fetch(endpoint, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        ...(session === null ? {} : { "mcp-session-id": session }),
      },
      body: encoder.encode(JSON.stringify(message)),
    });
    session ??= response.headers.get("mcp-session-id");
    const text = await response.text();
    const data = text.startsWith("event:") ? text.slice(text.indexOf("data: ") + 6).trimEnd() : text;
    return data === "" ? null : JSON.parse(data);
  };
  const ask = (method: string, params: unknown) => post({ jsonrpc: "2.0", id: ++id, method, params });
  await ask("initialize", HELLO);
  await post({ jsonrpc: "2.0", method: "notifications/initialized" });
  return { ask, residentMiB: () => Promise.resolve(0), close: () => Promise.resolve() };
}

/** Of a process and all below it. */
async function residentMiB(pid: number): Promise<number> {
  const text = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
  const own = Number(/^VmRSS:\s+(\d+)/m.exec(text)?.[1] ?? 0) / 1024;
  const children = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`).catch(() => "");
  const below = await Promise.all(
    children.split(" ").filter(Boolean).map((child) => residentMiB(Number(child))),
  );
  return below.reduce((sum, each) => sum + each, own);
}

async function measure(name: string, open: () => Promise<Line>, calls: number): Promise<Figures> {
  const starts: number[] = [];
  for (let round = 0; round < STARTS; round++) {
    const startedAt = performance.now();
    const line = await open();
    await line.ask("tools/list", {});
    starts.push(performance.now() - startedAt);
    await line.close();
  }
  const line = await open();
  const echo = () => line.ask("tools/call", { name: "echo", arguments: { text: "hello" } });
  for (let call = 0; call < WARM_UP_CALLS; call++) await echo();
  const times = await timesOf(calls, echo);
  const resident = await line.residentMiB();
  const big = () => line.ask("tools/call", { name: "big", arguments: { bytes: BIG_BYTES } });
  await big();
  const bigTimes = await timesOf(BIG_CALLS, big);
  await line.close();
  return {
    name,
    firstListMs: quantile(starts, 0.5),
    p50Ms: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
    bigMs: quantile(bigTimes, 0.5),
    residentMiB: resident,
  };
}

async function timesOf(count: number, run: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  for (let n = 0; n < count; n++) {
    const startedAt = performance.now();
    await run();
    times.push(performance.now() - startedAt);
  }
  return times;
}

function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;
}

function print(rows: Figures[]): void {
  const [direct] = rows;
  if (direct === undefined) return;
  console.log(
    "\n" + ["", "first list", "echo p50", "p99", "over direct p50", "p99", "5 MiB", "of direct", "RSS"]
      .map((cell, column) => cell.padStart(column === 0 ? 0 : 16).padEnd(column === 0 ? 16 : 0)).join(""),
  );
  for (const row of rows) {
    const cells = [
      `${row.firstListMs.toFixed(0)} ms`,
      `${row.p50Ms.toFixed(2)} ms`,
      `${row.p99Ms.toFixed(2)} ms`,
      `+${(row.p50Ms - direct.p50Ms).toFixed(2)} ms`,
      `+${(row.p99Ms - direct.p99Ms).toFixed(2)} ms`,
      `${row.bigMs.toFixed(1)} ms`,
      `${(100 * direct.bigMs / row.bigMs).toFixed(0)} %`,
      row.residentMiB === 0 ? "" : `${row.residentMiB.toFixed(0)} MiB`,
    ];
    console.log(row.name.padEnd(16) + cells.map((cell) => cell.padStart(16)).join(""));
  }
}

async function installed(folder: string): Promise<void> {
  const { code, stderr } = await new Deno.Command("npm", {
    args: ["install", "--no-audit", "--no-fund", "--prefix", folder, ...PACKAGES],
    stdout: "null",
    stderr: "piped",
  }).output();
  if (code !== 0) throw new Error(`npm install failed: ${new TextDecoder().decode(stderr)}`);
}

const args = parseArgs(Deno.args, { string: ["foster", "calls", "only"] });
const calls = Number(args.calls ?? 2000);
const folder = await Deno.makeTempDir({ prefix: "foster-bench-" });
const stateDir = join(folder, "state");
const env = { FOSTER_STATE_DIR: stateDir };
const config = join(folder, "foster.json");
const server = ["run", "-A", "-q", "--config", join(ROOT, "deno.json"), SERVER, "--port=${port}", "--json"];
await Deno.writeTextFile(
  config,
  JSON.stringify({ servers: { bench: { command: "deno", args: server, port: "auto" } } }),
);
const [command = "deno", ...before] = args.foster === undefined
  ? ["deno", "run", "-q", "-A", "--config", join(ROOT, "deno.json"), join(ROOT, "main.ts")]
  : String(args.foster).split(" ");

async function foster(...verb: string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args: [...before, ...verb], env })
    .output();
  if (code !== 0) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

try {
  const { servers: [{ endpoint }] } = JSON.parse(await foster("up", "bench", "--config", config, "--json"));
  const bridges: Bridge[] = [
    { name: "foster connect", command, args: [...before, "connect", "bench", "--config", config], env },
  ];
  if (args.only === undefined) {
    await installed(folder);
    const bin = join(folder, "node_modules", ".bin");
    bridges.push(
      { name: "mcp-remote", command: join(bin, "mcp-remote"), args: [endpoint, "--allow-http"], env: {} },
      {
        name: "supergateway",
        command: join(bin, "supergateway"),
        args: ["--streamableHttp", endpoint, "--logLevel", "none"],
        env: {},
      },
    );
  }
  const rows = [await measure("direct HTTP", () => overHttp(endpoint), calls)];
  for (const bridge of bridges) rows.push(await measure(bridge.name, () => overStdio(bridge), calls));
  print(rows);
} finally {
  await foster("down", "bench", "--config", config);
  await Deno.remove(folder, { recursive: true });
}
