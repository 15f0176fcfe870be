/**
 * The programs that keep the quick server up, each in a process of its own, and how fast they do so: foster's peers as
 * their manuals have them fastest, without wrappers, version metadata, waits and logs. Linux only.
 *
 * @module
 */
import { join } from "@std/path";
import { type Command, ended, freePort, isOpen, opened, pause, quiet, sharedMemoryMib } from "./machine.ts";
import { QUICK_SERVER } from "./quick_server.ts";

export interface Keeper {
  name: string;
  pid: number;
  port: number;
  stop(): Promise<void>;
}

/** One program that keeps several servers up. */
export interface ManyKept {
  pid: number;
  ports: readonly number[];
  stop(): Promise<void>;
}

/** Between two kills, so that no supervisor meets a server that it does not count as started. */
export const SETTLE_MS = { least: 600, most: 1600 };

/** Runs a program until its port is open. @throws Error when it does not open */
export async function startedOn(
  port: number,
  { command, cwd }: { command: Command; cwd: string },
): Promise<Pick<Keeper, "pid" | "stop">> {
  const child = quiet(command, { cwd });
  const stop = async () => {
    child.kill("SIGTERM");
    await child.status;
  };
  try {
    await opened(port);
  } catch (error) {
    // What ended already cannot be stopped.
    await stop().catch(() => undefined);
    throw error;
  }
  return { pid: child.pid, stop };
}

/** Keeps the server for as long as `command` runs. @throws Error when the server does not come */
export async function keeperOf(
  name: string,
  { command, cwd, port }: { command: Command; cwd: string; port: number },
): Promise<Keeper> {
  return { name, port, ...await startedOn(port, { command, cwd }) };
}

/** Ends the server by force and measures until its port is open again. Milliseconds. */
export async function killOnce(keeper: Keeper): Promise<number> {
  const pid = await serverBelow(keeper);
  if (pid === null) throw new Error(`${keeper.name} has no server on port ${keeper.port}`);
  const startedAt = performance.now();
  Deno.kill(pid, "SIGKILL");
  while (await isOpen(keeper.port)) {
    // On a busy machine the next server may have the port before anybody saw it closed.
    const now = await serverBelow(keeper);
    if (now !== null && now !== pid) break;
    await pause(0);
  }
  await opened(keeper.port);
  const tookMs = performance.now() - startedAt;
  // Of differing length, so that a supervisor that looks once a second is met at every point of its second.
  await pause(SETTLE_MS.least + Math.random() * (SETTLE_MS.most - SETTLE_MS.least));
  return tookMs;
}

/** The child of the keeper that runs the server on its port. */
async function serverBelow({ pid, port }: Keeper): Promise<number | null> {
  for await (const { name } of Deno.readDir(`/proc/${pid}/task`)) {
    const children = await Deno.readTextFile(`/proc/${pid}/task/${name}/children`).catch(() => "");
    for (const child of children.split(" ").filter(Boolean)) {
      const argv = await Deno.readTextFile(`/proc/${child}/cmdline`).catch(() => "");
      if (argv.includes(`${QUICK_SERVER}\0${port}\0`)) return Number(child);
    }
  }
  return null;
}

export const PM2 = "pm2@7.0.4";

/** With a home, and so a daemon, of its own. */
export class Pm2 {
  private constructor(readonly folder: string) {}

  static async install(folder: string): Promise<Pm2> {
    await Deno.mkdir(folder);
    await ended(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, PM2], { cwd: folder });
    return new Pm2(folder);
  }

  async start(apps: readonly unknown[]): Promise<void> {
    const file = join(this.folder, "apps.json");
    await Deno.writeTextFile(file, JSON.stringify({ apps }));
    await this.run("start", file);
  }

  async run(...args: string[]): Promise<string> {
    const command = join(this.folder, "node_modules", ".bin", "pm2");
    const env = { PM2_HOME: join(this.folder, "home"), PM2_DISABLE_VERSION_CHECK: "true" };
    return await ended([command, ...args], { cwd: this.folder, env });
  }

  async keep(bun: string): Promise<Keeper> {
    const port = freePort();
    await this.start([pm2App(bun, { name: "kept", port })]);
    await opened(port);
    const stop = async () => void await this.run("delete", "kept");
    return { name: "pm2", pid: await this.#daemonPid(), port, stop };
  }

  async keepMany(bun: string, count: number): Promise<ManyKept> {
    const ports = freePorts(count);
    await this.start(ports.map((port, index) => pm2App(bun, { name: `kept${index}`, port })));
    for (const port of ports) await opened(port);
    const stop = async () => void await this.run("delete", "all");
    return { pid: await this.#daemonPid(), ports, stop };
  }

  /** Of its one daemon. */
  async memoryMib(): Promise<number> {
    return (await sharedMemoryMib(await this.#daemonPid())).proportional;
  }

  async kill(): Promise<void> {
    await this.run("kill");
  }

  async #daemonPid(): Promise<number> {
    return Number(await Deno.readTextFile(join(this.folder, "home", "pm2.pid")));
  }
}

/** The quick server as pm2 is told of it. */
export function pm2App(bun: string, { name, port }: { name: string; port: number }) {
  return {
    name,
    script: bun,
    args: [QUICK_SERVER, String(port)],
    interpreter: "none",
    exec_mode: "fork",
    vizion: false,
    pmx: false,
    treekill: false,
    // The least that pm2 takes: a server killed earlier counts as unstable.
    min_uptime: 100,
    max_restarts: 100_000,
    out_file: "/dev/null",
    error_file: "/dev/null",
  };
}

export const SUPERVISOR = "supervisor==4.3.0";

export class Supervisord {
  private constructor(readonly folder: string) {}

  static async install(folder: string): Promise<Supervisord> {
    await Deno.mkdir(folder);
    const supervisord = new Supervisord(folder);
    const env = join(folder, "env");
    const python = supervisord.#program("python");
    const withUv = async () => {
      await ended(["uv", "venv", "-q", env], { cwd: folder });
      await ended(["uv", "pip", "install", "-q", "--python", python, SUPERVISOR], { cwd: folder });
    };
    await withUv().catch(async () => {
      await ended(["python3", "-m", "venv", "--clear", env], { cwd: folder });
      await ended([python, "-m", "pip", "install", "-q", SUPERVISOR], { cwd: folder });
    });
    return supervisord;
  }

  async keepMany(bun: string, count: number): Promise<ManyKept> {
    const ports = freePorts(count);
    const { pid, stop } = await this.#keep(bun, ports);
    return { pid, ports, stop };
  }

  async keep(bun: string): Promise<Keeper> {
    const port = freePort();
    return { name: "supervisord", port, ...await this.#keep(bun, [port]) };
  }

  async #keep(bun: string, ports: readonly number[]): Promise<Pick<Keeper, "pid" | "stop">> {
    const { folder } = this;
    const config = join(folder, "supervisord.conf");
    const commands = ports.map((port) => `${bun} ${QUICK_SERVER} ${port}`);
    await Deno.writeTextFile(config, configOf(commands, folder));
    const command = [this.#program("supervisord"), "-c", config] as const;
    const kept = await startedOn(ports[0] ?? 0, { command, cwd: folder });
    for (const port of ports) await opened(port);
    return kept;
  }

  #program(name: string): string {
    return join(this.folder, "env", "bin", name);
  }
}

function freePorts(count: number): number[] {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(freePort());
  return [...ports];
}

function configOf(commands: readonly string[], folder: string): string {
  const programs = commands.map((command, index) => programOf(`kept${index}`, command));
  return `[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile=${join(folder, "supervisord.pid")}
${programs.join("")}`;
}

function programOf(name: string, command: string): string {
  return `[program:${name}]
command=${command}
autorestart=true
startsecs=0
startretries=100000
stdout_logfile=/dev/null
stdout_logfile_maxbytes=0
stderr_logfile=/dev/null
stderr_logfile_maxbytes=0
`;
}
