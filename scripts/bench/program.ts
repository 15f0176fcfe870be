/**
 * Runs foster for the benchmark: each program with a state folder and a project of its own.
 *
 * @module
 */
import { DELIMITER, dirname, fromFileUrl, join } from "@std/path";
import { callerEnvironment } from "../caller_environment.ts";
import { scopedFlags, sourceFlags } from "../../src/host/engine/deno/permissions.ts";

export const project = fromFileUrl(new URL("../..", import.meta.url));

export interface Timed {
  ms: number;
  code: number;
  stdout: string;
  stderr: string;
}

/** How foster is started: the Bun binary, or Deno from source with the usual permissions. */
export interface Program {
  name: string;
  command: readonly [string, ...string[]];
  /** The runtime alone, with an empty program. */
  empty: readonly [string, ...string[]];
}

export interface Row {
  name: string;
  elapsed_ms: number;
  log: string;
}

export function fromSource(folder: string): Program {
  const flags = [...sourceFlags, "--config", join(project, "deno.json"), ...scopedFlags];
  return {
    name: "deno",
    command: [Deno.execPath(), ...flags, join(project, "main.ts")],
    empty: [Deno.execPath(), "run", "-q", "--no-config", join(folder, "empty.js")],
  };
}

export function binaryOf(path: string, { bun, folder }: { bun: string; folder: string }): Program {
  return { name: "binary", command: [path], empty: [bun, join(folder, "empty.js")] };
}

/** One program's own home, state folder and working folder. */
export class Bench {
  readonly stateDir: string;
  readonly cwd: string;

  constructor(readonly program: Program, readonly folder: string) {
    this.stateDir = join(folder, "state");
    this.cwd = join(folder, "project");
  }

  async define(servers: Record<string, unknown>): Promise<void> {
    await Deno.mkdir(this.cwd, { recursive: true });
    await Deno.writeTextFile(join(this.cwd, "foster.json"), JSON.stringify({ servers }));
  }

  async foster(...args: string[]): Promise<Timed> {
    const [command, ...before] = this.program.command;
    return await this.time([command, ...before, ...args]);
  }

  /** {@link foster}, which has to end with `code`. @throws Error */
  async expect(code: number, ...args: string[]): Promise<Timed> {
    const ended = await this.foster(...args);
    if (ended.code === code) return ended;
    throw new Error(
      `foster ${args.join(" ")} ended with ${ended.code}, not ${code}\n${ended.stdout}${ended.stderr}`,
    );
  }

  async time([command, ...args]: readonly [string, ...string[]]): Promise<Timed> {
    const startedAt = performance.now();
    const { code, stdout, stderr } = await this.spawn([command, ...args]).output();
    const ms = performance.now() - startedAt;
    const decoder = new TextDecoder();
    return { ms, code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  }

  spawn([command, ...args]: readonly [string, ...string[]]): Deno.ChildProcess {
    return new Deno.Command(command, {
      args,
      cwd: this.cwd,
      clearEnv: true,
      env: {
        HOME: this.folder,
        ...callerEnvironment(),
        PATH: [dirname(Deno.execPath()), Deno.env.get("PATH") ?? ""].join(DELIMITER),
        FOSTER_STATE_DIR: this.stateDir,
      },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  }
}

/** The values of `count` runs, one after the other, after one that does not count. */
export async function repeat(count: number, measure: () => Promise<number>): Promise<number[]> {
  await measure();
  const values: number[] = [];
  for (let run = 0; run < count; run++) values.push(await measure());
  return values;
}
