/**
 * pm2 as its manual has it fastest: in fork mode, without wrapper, version metadata and logs.
 *
 * @module
 */
import { join } from "@std/path";
import type { Keeper } from "./keeper.ts";
import { ended, freePort, opened } from "./machine.ts";
import { QUICK_SERVER } from "./quick_server.ts";

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
