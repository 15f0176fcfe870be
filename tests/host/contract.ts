/**
 * What every host must do alike: one suite, run on the fake one and on the real ones.
 *
 * @module
 */
import { lstatSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "@std/path";
import type { Host, System } from "../../src/host/host.ts";
import { fileCases } from "./contract_files.ts";
import { netCases } from "./contract_net.ts";
import { processCases } from "./contract_processes.ts";
import { timeCases } from "./contract_time.ts";

/** Where a case runs, and with what. */
export interface Place {
  /** An empty folder of its own. */
  folder: string;
  /** Full path of Deno, for children that listen. */
  deno: string;
  /** Full path of a POSIX shell, for all other children; empty where there is none. */
  shell: string;
  /** Makes a symbolic link. */
  link(target: string, path: string): void;
}

export interface ContractCase {
  name: string;
  /** Makes no sense on a fake: needs real processes, sockets or time. */
  real?: true;
  /** Not everywhere: the fake host counts as Linux. */
  only?: "posix" | "linux";
  /** Makes symbolic links, which neither Wine nor every user of Windows can. */
  links?: true;
  run(host: Host, place: Place): Promise<void>;
}

export interface CaseResult {
  name: string;
  /** Null when it went well. */
  error: string | null;
}

export const contractCases: readonly ContractCase[] = [
  ...fileCases,
  ...processCases,
  ...timeCases,
  ...netCases,
];

const canLink = makesLinks();

function makesLinks(): boolean {
  const folder = mkdtempSync(join(tmpdir(), "foster-links-"));
  try {
    symlinkSync(folder, join(folder, "link"));
    return lstatSync(join(folder, "link")).isSymbolicLink();
  } catch {
    return false;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The cases that make sense on a real machine of this system. */
export function realCases(system: System): ContractCase[] {
  return contractCases.filter(({ only, links }) => {
    if (links === true && !canLink) return false;
    switch (only) {
      case undefined:
        return true;
      case "posix":
        return system !== "windows";
      case "linux":
        return system === "linux";
    }
  });
}

export interface Running {
  host: Host;
  /** The case gets a folder of its own below this one. */
  folder: string;
  number: number;
  /** Instead of the real machine's. */
  link?: Place["link"];
}

/** Runs one case. @throws whatever says that it went wrong */
export async function runCase(each: ContractCase, on: Running): Promise<void> {
  const { host } = on;
  const folder = join(on.folder, `case-${on.number}`);
  await host.files.makeDir(folder, 0o700);
  // A detached child, waited for, does not keep the program alive.
  const alive = setInterval(() => {}, 60_000);
  try {
    await each.run(host, {
      folder,
      deno: host.env.get("CONTRACT_DENO") ?? "",
      shell: host.env.get("CONTRACT_SHELL") ?? "",
      link: on.link ?? symlinkSync,
    });
  } finally {
    clearInterval(alive);
  }
}

/** More than any pipe holds. */
export const floodText: string = "0123456789 äöü\n".repeat(100_000);

/**
 * The program of the small runners, each in a process of its own: `cases FOLDER` prints one {@link CaseResult} a line,
 * `hold FILE` keeps a lock until its input ends, `try FILE` says whether it got it, `leave FILE LOG` holds it and leaves
 * a child behind, `flood` writes {@link floodText} in one go, `pass` hands its input on to its output.
 */
export async function runnerMain(host: Host, args: readonly string[]): Promise<void> {
  const [verb = "", first = "", second = ""] = args;
  switch (verb) {
    case "cases":
      return await runAll(host, first);
    case "try": {
      const lock = await host.files.tryLock(first, 0o600);
      host.terminal.out(lock === null ? "taken\n" : "free\n");
      return lock?.release();
    }
    case "hold": {
      const lock = await host.files.tryLock(first, 0o600);
      host.terminal.out(lock === null ? "taken\n" : "held\n");
      for await (const _ of host.terminal.stdin);
      return lock?.release();
    }
    case "leave": {
      await host.files.tryLock(first, 0o600);
      const child = await host.processes.spawnDetached({
        command: host.env.get("CONTRACT_SHELL") ?? "",
        args: ["-c", "exec sleep 60"],
        cwd: "/",
        env: host.env.all(),
        logFile: second,
      });
      host.terminal.out(`${child.pid}\n`);
      for await (const _ of host.terminal.stdin);
      return;
    }
    case "serve": {
      const server = await host.net.serve({
        hostname: "127.0.0.1",
        port: 0,
        handle: () => new Response("here"),
      });
      host.terminal.out(`${server.port}\n`);
      for await (const _ of host.terminal.stdin);
      return await server.close();
    }
    case "flood":
      return host.terminal.out(floodText);
    case "pass":
      return await host.terminal.stdin.pipeTo(host.terminal.stdout);
  }
  throw new Error(`No such verb: ${verb}`);
}

async function runAll(host: Host, folder: string): Promise<void> {
  for (const [number, each] of realCases(host.system).entries()) {
    let error: string | null = null;
    try {
      await runCase(each, { host, folder, number });
    } catch (thrown) {
      error = thrown instanceof Error ? thrown.stack ?? thrown.message : String(thrown);
    }
    const result: CaseResult = { name: each.name, error };
    host.terminal.out(`${JSON.stringify(result)}\n`);
  }
}
