/**
 * Drives foster as a user does: its own state folder, home and working folder, real processes, nothing left behind.
 *
 * By default the program runs from source with the scoped permissions of `deno task foster`; where FOSTER_BIN names a
 * binary, that binary runs instead.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { scopedFlags } from "../../src/host/engine/deno/permissions.ts";
import { carriersOf, endByPid, noteMark, SUITE_MARK } from "./leftovers.ts";
import { argvOf, isAlive } from "../fixtures/machine.ts";
import { LIMIT_MS, Running } from "./running.ts";

export { isAlive };

const ROOT = fromFileUrl(new URL("../..", import.meta.url));

/** `default` is the binary of FOSTER_BIN where there is one, else `scoped`; `all` is `deno run -A`. */
export type Runner = "default" | "scoped" | "all" | { binary: string };

export interface RunOptions {
  /** The program is ended by force after so long, and the test fails. */
  timeoutMs?: number;
  /** Added to the bare environment; undefined takes a variable away. */
  env?: Record<string, string | undefined>;
  cwd?: string;
  runner?: Runner;
  /** Whether it gets a standard input to write to; else it has none. */
  stdin?: boolean;
}

export interface Result {
  code: number;
  stdout: string;
  stderr: string;
  /** stdout as one JSON document. */
  json<T = Document>(): T;
  /** The only row of the document. */
  row(): Row;
}

/** A server as foster's JSON shows it: the fields that tests look at by name. */
export interface Row extends Record<string, unknown> {
  name: string;
  key: string;
  state: string;
  state_code: number;
  startup_path: string;
  adoption: string | null;
  endpoint: string;
  port: number;
  ws_port: number | null;
  pid: number;
  server: { name: string | null; version: string | null; protocol: string | null };
  recovered: { proof: string; killed: number[] } | null;
  message: string;
  hint: string;
  log: string;
}

export interface Document {
  servers: Row[];
  error?: { code: string; message: string; hint: string; exit_code: number };
}

/** One user with one state folder. To be held with `await using`: its end stops all and looks for leftovers. */
export class Foster implements AsyncDisposable {
  readonly mark = `foster-test-${crypto.randomUUID()}`;
  readonly stateDir: string;
  readonly home: string;
  readonly cwd: string;
  readonly #running: Running[] = [];

  private constructor(readonly folder: string) {
    this.stateDir = join(folder, "state");
    this.home = join(folder, "home");
    this.cwd = join(folder, "project");
  }

  static async create(): Promise<Foster> {
    const foster = new Foster(await Deno.realPath(await Deno.makeTempDir({ prefix: "foster-e2e-" })));
    await Promise.all([Deno.mkdir(foster.home), Deno.mkdir(foster.cwd)]);
    await noteMark(foster.mark);
    return foster;
  }

  /** Runs one command line to its end. */
  async run(args: readonly string[], options: RunOptions = {}): Promise<Result> {
    const running = this.start(args, options);
    return await resultOf(running, { args, timeoutMs: options.timeoutMs ?? LIMIT_MS });
  }

  /** {@link run}, failing the test when the exit code is another than `code`. */
  async expect(code: number, args: readonly string[], options: RunOptions = {}): Promise<Result> {
    const result = await this.run(args, options);
    const said = `foster ${args.join(" ")}\n${result.stdout}\n${result.stderr}`;
    // Where the end of the test fails as well, Deno shows neither error.
    if (result.code !== code) console.error(`${result.code} instead of ${code}: ${said}`);
    assertEquals(result.code, code, said);
    return result;
  }

  /** Starts a command line that goes on, or that is to be interrupted. */
  start(args: readonly string[], options: RunOptions = {}): Running {
    const [command, ...before] = commandOf(options.runner ?? "default");
    return this.startProgram(command, [...before, ...args], options);
  }

  /** Starts any program in the same bare environment; it is ended with the test. */
  startProgram(command: string, args: readonly string[], options: RunOptions = {}): Running {
    const running = new Running(command, args, {
      cwd: options.cwd ?? this.cwd,
      env: this.#environment(options.env ?? {}),
      stdin: options.stdin,
    });
    this.#running.push(running);
    return running;
  }

  /** Writes the definition file of the working folder. */
  async define(servers: Record<string, unknown>): Promise<string> {
    return await this.write("foster.json", JSON.stringify({ servers }, null, 2));
  }

  /** Writes a file of the working folder. */
  async write(name: string, text: string): Promise<string> {
    const path = join(this.cwd, name);
    await Deno.writeTextFile(path, text);
    return path;
  }

  async events(key: string): Promise<{ event: string; at: string; pid?: number; message?: string }[]> {
    const text = await Deno.readTextFile(join(this.stateDir, "servers", key, "events.ndjson"));
    return text.trim().split("\n").map((line) => JSON.parse(line));
  }

  async record(key: string): Promise<Record<string, unknown> | null> {
    try {
      return JSON.parse(await Deno.readTextFile(join(this.stateDir, "servers", key, "record.json")));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    }
  }

  /** Every process that carries the instance token of this state folder. */
  async servers(): Promise<number[]> {
    const id = await Deno.readTextFile(join(this.stateDir, "id")).catch(() => "");
    return id === "" ? [] : await carriersOf(`FOSTER_TOKEN=${id.trim()}:`);
  }

  /** Ends every process of this state folder, where its files do not say any more which those are. */
  async endServers(): Promise<void> {
    const mine = await carriersOf(`${SUITE_MARK}=${this.mark}`);
    const running = this.#running.map(({ pid }) => pid);
    for (const pid of mine) if (!running.includes(pid)) await endByPid(pid);
    await until("they are gone", async () => {
      const left = await carriersOf(`${SUITE_MARK}=${this.mark}`);
      return left.every((pid) => running.includes(pid));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const problems: string[] = [];
    for (const running of this.#running) await running.end();
    if (await exists(this.stateDir)) {
      // From a folder without definitions: a broken one must not stand in the way.
      const { code, stderr } = await this.run(["down", "--all"], { cwd: this.home });
      if (code !== 0) problems.push(`down --all ended with ${code}: ${stderr}`);
      if (await exists(join(this.stateDir, "supervisor.json"))) await this.run(["serve", "--stop"]);
    }
    for (const pid of await carriersOf(`${SUITE_MARK}=${this.mark}`)) {
      // A process that is ending at this moment has no command line any more.
      if ((await argvOf(pid)).length > 0) problems.push(`left behind: ${await endByPid(pid)}`);
    }
    await removed(this.folder);
    if (problems.length > 0) console.error(problems.join("\n"));
    assert(problems.length === 0, problems.join("\n"));
  }

  #environment(extra: Record<string, string | undefined>): Record<string, string> {
    const env: Record<string, string | undefined> = {
      ...inherited(),
      HOME: this.home,
      ...Deno.build.os === "windows" ? windowsFolders(this.home) : {},
      FOSTER_STATE_DIR: this.stateDir,
      FOSTER_AUTO_PORTS: `${own.autoFirst}-${own.autoFirst + SLICE - 1}`,
      DENO_DIR: denoDir,
      npm_config_cache: npmCache,
      NO_COLOR: undefined,
      // A server that lives and fails its probes is restarted by their count alone.
      FOSTER_LIVE_MS: "0",
      [SUITE_MARK]: this.mark,
      ...extra,
    };
    return Object.fromEntries(
      Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
    );
  }
}

function windowsFolders(home: string): Record<string, string> {
  const data = join(home, "AppData");
  return { USERPROFILE: home, LOCALAPPDATA: join(data, "Local"), APPDATA: join(data, "Roaming") };
}

/** Test files run side by side: each has ports that no other one is given. */
const SLICE = 200;
const own = claimPorts();

/**
 * The first port of a slice says whose it is, for as long as the file runs. All are below the range that the system
 * hands out to outgoing connections.
 */
function claimPorts(): { first: number; autoFirst: number } {
  for (let slice = 0; slice < 45; slice++) {
    const first = 10_000 + slice * SLICE;
    try {
      Deno.listen({ hostname: "127.0.0.1", port: first }).unref();
      return { first, autoFirst: first + 10_000 };
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
  throw new Error("no free ports found");
}

let given = 0;

/** A port that nobody listened on a moment ago, another one each time. */
export function freePort(): number {
  for (let attempt = 1; attempt < SLICE; attempt++) {
    const port = own.first + 1 + given++ % (SLICE - 1);
    if (isFree(port)) return port;
  }
  throw new Error("no free port found");
}

export function isFree(port: number): boolean {
  try {
    Deno.listen({ hostname: "127.0.0.1", port }).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return false;
    throw error;
  }
}

/** Waits until `check` gives something other than null, undefined and false. @throws after `timeoutMs` */
export async function until<T>(
  what: string,
  check: () => T | Promise<T>,
  timeoutMs = LIMIT_MS,
): Promise<Exclude<T, null | undefined | false>> {
  const endsAt = performance.now() + timeoutMs;
  while (performance.now() < endsAt) {
    const value = await check();
    if (value !== null && value !== undefined && value !== false) {
      return value as Exclude<T, null | undefined | false>;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`after ${timeoutMs} ms still not: ${what}`);
}

/** Whether the process handles a signal itself. */
export async function handles(pid: number, signal: "SIGINT" | "SIGTERM"): Promise<boolean> {
  if (Deno.build.os === "darwin") {
    const { stdout } = await new Deno.Command("ps", { args: ["-o", "caught=", "-p", String(pid)] }).output();
    const mask = BigInt(`0x${new TextDecoder().decode(stdout).trim() || "0"}`);
    return (mask >> BigInt({ SIGINT: 2, SIGTERM: 15 }[signal] - 1) & 1n) === 1n;
  }
  const status = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
  const caught = BigInt(`0x${/^SigCgt:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  return (caught >> BigInt({ SIGINT: 2, SIGTERM: 15 }[signal] - 1) & 1n) === 1n;
}

/** Windows keeps a folder busy for a moment after what used it has ended. */
async function removed(folder: string): Promise<void> {
  if (Deno.build.os !== "windows") return await Deno.remove(folder, { recursive: true });
  await until(
    `${folder} can be removed`,
    () => Deno.remove(folder, { recursive: true }).then(() => true, () => false),
  );
}

export async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

/** Why `npx` can't start this package here, null where it can. */
export async function npxReason(packageSpec: string): Promise<string | null> {
  try {
    const { code, stderr } = await new Deno.Command("npm", {
      args: ["view", packageSpec, "version"],
      stdin: "null",
      signal: AbortSignal.timeout(30_000),
    }).output();
    return code === 0 ? null : `npm does not find ${packageSpec}: ${new TextDecoder().decode(stderr).trim()}`;
  } catch (error) {
    return `npm can't be asked for ${packageSpec}: ${error instanceof Error ? error.message : error}`;
  }
}

/** The binary to test, null where the program runs from source. */
export const binary: string | null = Deno.env.get("FOSTER_BIN") || null;

export function commandOf(runner: Runner): [string, ...string[]] {
  if (typeof runner === "object") return [runner.binary];
  switch (runner) {
    case "default":
      return binary === null ? commandOf("scoped") : [binary];
    case "scoped":
      return fromSource(scopedFlags);
    case "all":
      return fromSource(["-A"]);
  }
}

function fromSource(flags: readonly string[]): [string, ...string[]] {
  const before = ["run", "-q", "--no-prompt", "--config", join(ROOT, "deno.json")];
  return [Deno.execPath(), ...before, ...flags, join(ROOT, "main.ts")];
}

async function resultOf(
  running: Running,
  { args, timeoutMs }: { args: readonly string[]; timeoutMs: number },
): Promise<Result> {
  const { code, stdout, stderr } = await running.finish(timeoutMs);
  function json<T = Document>(): T {
    try {
      return JSON.parse(stdout);
    } catch (cause) {
      throw new Error(`foster ${args.join(" ")} printed no JSON: ${stdout}\n${stderr}`, { cause });
    }
  }
  function row(): Row {
    const { servers } = json();
    const [only] = servers;
    assert(only !== undefined && servers.length === 1, `not one row: ${stdout}`);
    return only;
  }
  return { code, stdout, stderr, json, row };
}

/** What the test itself has, without what would lead foster elsewhere. */
function inherited(): Record<string, string> {
  const unwanted = /^(?:INIT_CWD|FOSTER_.*|XDG_.*|GITHUB_OUTPUT)$/i;
  return Object.fromEntries(Object.entries(Deno.env.toObject()).filter(([name]) => !unwanted.test(name)));
}

const denoDir = await outputOf(Deno.execPath(), ["info", "--json"])
  .then((text): string => JSON.parse(text).denoDir);
const npmCache = Deno.env.get("npm_config_cache") ?? join(Deno.env.get("HOME") ?? "/", ".npm");

async function outputOf(command: string, args: string[]): Promise<string> {
  const { stdout } = await new Deno.Command(command, { args, stderr: "null" }).output();
  return new TextDecoder().decode(stdout);
}
