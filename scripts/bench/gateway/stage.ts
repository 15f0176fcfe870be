/**
 * Servers, gateways and clients as the benchmark of the gateway has them.
 *
 * @module
 */
import { join } from "@std/path";
import { startedOn } from "../keepers.ts";
import { type Command, ended, freePort, pause, sharedMemoryMib } from "../machine.ts";
import { Bench, binaryOf, project } from "../program.ts";

export const SDK = "@modelcontextprotocol/sdk@1.32.2";

const here = join(project, "scripts", "bench", "gateway");
const HELLO = {
  protocolVersion: "2025-11-25",
  capabilities: {},
  clientInfo: { name: "bench", version: "1" },
};

export interface Load {
  p50: number;
  p99: number;
  rps: number;
}

/** Something that listens on a port until it is stopped. */
export interface Listening {
  url: string;
  stop(): Promise<void>;
}

export class Stage {
  readonly bench: Bench;
  /** The server of the official SDK, where its packages are. */
  readonly server: string;
  #token = "";
  #origin = "";
  #keys = new Map<string, string>();

  private constructor(readonly folder: string, readonly bun: string, binary: string) {
    this.bench = new Bench(binaryOf(binary, { bun, folder }), folder);
    this.server = join(folder, "echo_server.mjs");
  }

  static async create(
    { binary, bun, folder }: { binary: string; bun: string; folder: string },
  ): Promise<Stage> {
    const stage = new Stage(folder, bun, binary);
    await Deno.mkdir(stage.bench.cwd, { recursive: true });
    await ended(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, SDK, "zod"], {
      cwd: folder,
    });
    await Deno.copyFile(join(here, "echo_server.mjs.txt"), stage.server);
    return stage;
  }

  /** A stdio server's command. */
  stdio(...args: string[]): Command {
    return ["node", this.server, ...args];
  }

  /** Serves these servers alone, by a supervisor of its own. */
  async serve(servers: Record<string, unknown>): Promise<void> {
    await this.stop();
    await this.bench.define(servers);
    await this.detach();
  }

  /** Has a supervisor, which the first verb or connect brings back where it was killed. */
  async detach(): Promise<void> {
    const { stdout } = await this.bench.expect(0, "serve", "--detach", "--json");
    const { supervisor, servers } = JSON.parse(stdout);
    this.#origin = supervisor.endpoint;
    this.#token = (await Deno.readTextFile(supervisor.token_file)).trim();
    this.#keys = new Map(servers.map(({ name, key }: { name: string; key: string }) => [name, key]));
  }

  async stop(): Promise<void> {
    await this.bench.foster("down", "--all");
    await this.bench.foster("serve", "--stop");
    await Deno.remove(this.bench.stateDir, { recursive: true }).catch(() => {});
  }

  /** The address of a server, or of all as one. */
  url(name: string | null): string {
    return `${this.#origin}/mcp${name === null ? "" : `/${this.#keys.get(name)}`}`;
  }

  get token(): string {
    return this.#token;
  }

  async supervisorPid(): Promise<number> {
    return JSON.parse(await Deno.readTextFile(join(this.bench.stateDir, "supervisor.json"))).pid;
  }

  /** Load on an address, without a client's costs. */
  async load(url: string, { clients, calls }: { clients: number; calls: number }): Promise<Load> {
    const token = url.startsWith(this.#origin) && this.#origin !== "" ? [this.#token] : [];
    const script = join(here, "raw_load.ts");
    const command = [this.bun, script, url, `${clients}`, `${calls}`, ...token] as const;
    return JSON.parse(await ended(command, { cwd: this.folder }));
  }

  async floor(kind: "stdio" | "http", ...rest: string[]): Promise<Listening> {
    const port = freePort();
    return await this.listening([this.bun, join(here, "floors.ts"), kind, `${port}`, ...rest], port);
  }

  async listening(command: Command, port: number, path = "/mcp"): Promise<Listening> {
    const { stop } = await startedOn(port, { command, cwd: this.folder });
    return { url: `http://127.0.0.1:${port}${path}`, stop };
  }

  /** A client of the older revision over HTTP. */
  async client(name: string | null): Promise<HttpClient> {
    return await this.clientAt(this.url(name));
  }

  async clientAt(url: string): Promise<HttpClient> {
    const client = new HttpClient(url, this.#token);
    await client.ask("initialize", HELLO);
    await client.tell("notifications/initialized");
    return client;
  }

  /** A connect with its handshake done. */
  async connect(...args: string[]): Promise<ConnectClient> {
    const [command, ...before] = this.bench.program.command;
    const client = new ConnectClient([command, ...before, "connect", ...args], this.bench);
    await client.ask("initialize", HELLO);
    await client.tell("notifications/initialized");
    return client;
  }
}

export interface BenchClient {
  ask(method: string, params: unknown): Promise<Record<string, unknown>>;
  close(): Promise<void>;
}

export class HttpClient implements BenchClient {
  #session: string | null = null;
  #id = 0;

  constructor(readonly url: string, readonly token: string) {}

  async ask(method: string, params: unknown): Promise<Record<string, unknown>> {
    const text = await this.#post({ id: ++this.#id, method, params });
    const data = text.split("\n").filter((line) => line.startsWith("data: {")).at(-1)?.slice(6) ?? text;
    const answer = JSON.parse(data);
    if (answer.error !== undefined) throw new Error(`${method}: ${answer.error.message}`);
    return answer.result;
  }

  async tell(method: string): Promise<void> {
    await this.#post({ method });
  }

  async close(): Promise<void> {
    const response = await fetch(this.url, { method: "DELETE", headers: this.#headers() });
    await response.body?.cancel();
  }

  async #post(message: Record<string, unknown>): Promise<string> {
    const body = JSON.stringify({ jsonrpc: "2.0", ...message });
    const response = await fetch(this.url, { method: "POST", headers: this.#headers(), body });
    this.#session ??= response.headers.get("mcp-session-id");
    return await response.text();
  }

  #headers(): Record<string, string> {
    return {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      authorization: `Bearer ${this.token}`,
      ...(this.#session === null ? {} : { "mcp-session-id": this.#session }),
    };
  }
}

export class ConnectClient implements BenchClient {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #waiting = new Map<number, (answer: Record<string, unknown>) => void>();
  readonly #reading: Promise<void>;
  #id = 0;

  constructor([command, ...args]: Command, { cwd, folder, stateDir }: Bench) {
    this.#child = new Deno.Command(command, {
      args,
      cwd,
      clearEnv: true,
      env: { ...environment(), HOME: folder, FOSTER_STATE_DIR: stateDir },
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#reading = this.#read();
  }

  get pid(): number {
    return this.#child.pid;
  }

  async ask(method: string, params: unknown): Promise<Record<string, unknown>> {
    const id = ++this.#id;
    const answered = new Promise<Record<string, unknown>>((resolve) => this.#waiting.set(id, resolve));
    await this.#write({ id, method, params });
    const { result, error } = await answered;
    if (error !== undefined) throw new Error(`${method}: ${(error as { message: string }).message}`);
    return result as Record<string, unknown>;
  }

  async tell(method: string): Promise<void> {
    await this.#write({ method });
  }

  async close(): Promise<void> {
    await this.#writer.close().catch(() => {});
    await this.#child.status;
    await this.#reading;
  }

  async #write(message: Record<string, unknown>): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(JSON.stringify({ jsonrpc: "2.0", ...message }) + "\n"));
  }

  async #read(): Promise<void> {
    let text = "";
    for await (const chunk of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) {
        const answer = JSON.parse(line);
        this.#waiting.get(answer.id)?.(answer);
        this.#waiting.delete(answer.id);
      }
    }
  }
}

function environment(): Record<string, string> {
  const { PATH = "", ...rest } = Deno.env.toObject();
  return { ...rest, PATH };
}

/** Pids of a process and of all below it. Linux only. */
export async function treeOf(pid: number): Promise<number[]> {
  const children = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`).catch(() => "");
  const below = await Promise.all(children.split(" ").filter(Boolean).map((child) => treeOf(Number(child))));
  return [pid, ...below.flat()];
}

/** The share of all their pages that these processes use, with all below them. Linux only. */
export async function memoryOf(roots: readonly number[]): Promise<{ mib: number; processes: number }> {
  const pids = (await Promise.all(roots.map(treeOf))).flat();
  let mib = 0;
  for (const pid of pids) mib += (await sharedMemoryMib(pid).catch(() => ({ proportional: 0 }))).proportional;
  return { mib, processes: pids.length };
}

/** Until it holds. @throws Error where that takes longer */
export async function until(isTrue: () => Promise<boolean>, limitMs: number, what: string): Promise<void> {
  const endsAt = performance.now() + limitMs;
  while (!await isTrue()) {
    if (performance.now() > endsAt) throw new Error(`not within ${limitMs} ms: ${what}`);
    await pause(2);
  }
}

export async function isAlive(pid: number): Promise<boolean> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
  return stat !== "" && !/\) [ZX] /.test(stat);
}
