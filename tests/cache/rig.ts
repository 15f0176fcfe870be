/**
 * Machines for the tests of sweep: the real one, and one in memory whose processes use what the test says.
 *
 * @module
 */
import { createDenoHost } from "../../src/host/deno.ts";
import { directAccess } from "../../src/host/deno_processes.ts";
import { foldersInUse, type FolderUse } from "../../src/host/using.ts";
import type { SweepHost, SweepOptions } from "../../src/cache/sweep.ts";
import { FakeHost, type FakeHostOptions } from "../host/fake_host.ts";

export const hourMs = 3_600_000;

/** The machine that the tests run on. */
export async function realMachine(): Promise<SweepHost> {
  const { clock, engine, env, files, processes, program, system } = await createDenoHost();
  const tools = { run: processes.run, direct: engine.fullAccess ? directAccess : null };
  const using = (folders: readonly string[]) => foldersInUse(folders, { system, tools });
  return { clock, engine, env, files, program, system, processes: { run: processes.run, using } };
}

export interface FakeMachine {
  fake: FakeHost;
  host: SweepHost;
  /** By full path; a folder that is not in it is free. */
  uses: Map<string, FolderUse>;
}

export function fakeMachine(options: FakeHostOptions = {}): FakeMachine {
  const fake = new FakeHost({ startedAt: 100 * hourMs, ...options });
  const uses = new Map<string, FolderUse>();
  const { clock, engine, env, files, program, system } = fake;
  const processes: SweepHost["processes"] = {
    run: (...args) => fake.processes.run(...args),
    using: (folders) =>
      Promise.resolve(new Map(folders.map((folder) => [folder, uses.get(folder) ?? { kind: "free" }]))),
  };
  return { fake, host: { clock, engine, env, files, program, system, processes }, uses };
}

export const noCommands: SweepOptions["findCommand"] = () => Promise.resolve({ tried: [] });

export function sweepOptions(cacheDir: string, options: Partial<SweepOptions> = {}): SweepOptions {
  return { apply: true, cacheDir, minAgeMs: hourMs, findCommand: noCommands, ...options };
}
