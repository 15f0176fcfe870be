/**
 * supervisord as its manual has it fastest: without `startsecs` and logs.
 *
 * @module
 */
import { join } from "@std/path";
import { type Keeper, keeperOf } from "./keeper.ts";
import { ended, freePort } from "./machine.ts";
import { QUICK_SERVER } from "./quick_server.ts";

export const SUPERVISOR = "supervisor==4.3.0";

export class Supervisord {
  private constructor(readonly folder: string) {}

  static async install(folder: string): Promise<Supervisord> {
    await Deno.mkdir(folder);
    const supervisord = new Supervisord(folder);
    await ended(["uv", "venv", "-q", join(folder, "env")], { cwd: folder });
    const python = supervisord.#program("python");
    await ended(["uv", "pip", "install", "-q", "--python", python, SUPERVISOR], { cwd: folder });
    return supervisord;
  }

  async keep(bun: string): Promise<Keeper> {
    const { folder } = this;
    const port = freePort();
    const config = join(folder, "supervisord.conf");
    await Deno.writeTextFile(config, configOf(`${bun} ${QUICK_SERVER} ${port}`, folder));
    const command = [this.#program("supervisord"), "-c", config] as const;
    return await keeperOf("supervisord", { command, cwd: folder, port });
  }

  #program(name: string): string {
    return join(this.folder, "env", "bin", name);
  }
}

function configOf(command: string, folder: string): string {
  return `[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile=${join(folder, "supervisord.pid")}
[program:kept]
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
