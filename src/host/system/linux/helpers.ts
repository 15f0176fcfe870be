/**
 * /proc read through helper programs, for a runtime that refuses it: Deno gives /proc only to programs with every
 * permission.
 *
 * @module
 */
import { HostError, type RunOptions } from "../../host.ts";
import {
  decodeProc,
  type OwnerHints,
  type ProcAccess,
  type Reading,
  reason,
  socketTableLimitBytes,
  understood,
} from "./access.ts";
import {
  parseFdLinks,
  parseLsof,
  parseResident,
  parseSs,
  parseStatLines,
  pidsAmong,
  type SocketOwner,
  type StatFields,
} from "./proc.ts";
import type { ReaderTools } from "../reader.ts";

const helperTimeoutMs = 10_000;

/** Paths given to one helper: far below the system's limit for a command line. */
const pathsPerRun = 2_000;

export class HelperProc implements ProcAccess {
  readonly #run: ReaderTools["run"];

  constructor(run: ReaderTools["run"]) {
    this.#run = run;
  }

  async text(path: string, limitBytes: number): Promise<Reading<string>> {
    try {
      const { code, stdout, stderr } = await this.#helper("cat", [path]);
      if (code === 0) return { kind: "found", value: shortened(stdout, limitBytes) };
      return isMissing(stderr)
        ? { kind: "gone" }
        : { kind: "unknown", why: stderr.trim() || `cat failed for ${path}` };
    } catch (error) {
      return { kind: "unknown", why: reason(error) };
    }
  }

  table(path: string): Promise<Reading<string>> {
    return this.text(path, socketTableLimitBytes);
  }

  async link(path: string): Promise<string | null> {
    try {
      const { code, stdout } = await this.#helper("readlink", [path]);
      return code === 0 ? stdout.replace(/\n$/, "") : null;
    } catch {
      return null;
    }
  }

  async pids(): Promise<number[]> {
    const { code, stdout, stderr } = await this.#helper("ls", ["/proc"]);
    if (code !== 0) throw new HostError("failed", `Cannot list the processes: ${stderr.trim()}`);
    const pids = pidsAmong(stdout.split("\n"));
    if (pids.length === 0) throw new HostError("failed", "Cannot list the processes: ls shows none in /proc");
    return pids;
  }

  async stats(pids: readonly number[]): Promise<Map<number, Reading<StatFields>>> {
    const stats = new Map<number, Reading<StatFields>>();
    for (const some of chunks(pids)) {
      for (const [pid, stat] of await this.#someStats(some)) stats.set(pid, stat);
    }
    return stats;
  }

  async resident(pids: readonly number[]): Promise<Map<number, number>> {
    const resident = new Map<number, number>();
    for (const some of chunks(pids)) {
      const texts = await this.#statuses(some);
      for (const [pid, bytes] of parseResident(texts)) resident.set(pid, bytes);
    }
    return resident;
  }

  async narrow(pids: readonly number[], needle: string): Promise<readonly number[]> {
    const candidates: number[] = [];
    for (const some of chunks(pids)) {
      // The pattern goes through stdin: as an argument every `ps` would show it.
      const { code, stdout, stderr } = await this.#helper(
        "grep",
        ["-lzsF", "-f", "-", "--", ...some.map((pid) => `/proc/${pid}/environ`)],
        { input: `${needle}\n` },
      );
      // Unreadable files alone also give an error code, but no message.
      if (code === null || (code === 0 && stdout === "") || (code > 1 && stderr !== "")) {
        throw new HostError("failed", `Cannot search the environments of processes: ${stderr.trim()}`);
      }
      for (const [, pid] of stdout.matchAll(/^\/proc\/(\d+)\/environ$/gm)) candidates.push(Number(pid));
    }
    return candidates;
  }

  /** `lsof` comes last: it leaves out processes with odd characters in their names without a word. */
  async owners(
    inodes: readonly string[],
    { port }: Pick<OwnerHints, "port">,
  ): Promise<Reading<SocketOwner[]>> {
    const ways = [
      () => this.#ownersBySs(inodes),
      () => this.#ownersByFind(inodes),
      () => this.#ownersByLsof(inodes, port),
    ];
    const failures: string[] = [];
    for (const way of ways) {
      try {
        const value = await way();
        if (value !== null) return { kind: "found", value };
      } catch (error) {
        failures.push(reason(error));
      }
    }
    return {
      kind: "unknown",
      why: `none of ss, find and lsof could tell who listens on port ${port}: ${failures.join("; ")}`,
    };
  }

  /** Where the common text can't be trusted the half is asked alone, down to the one process that spoils it. */
  async #someStats(pids: readonly number[]): Promise<[number, Reading<StatFields>][]> {
    if (pids.length === 0) return [];
    try {
      const { stdout, stderr } = await this.#helper("cat", pids.map((pid) => `/proc/${pid}/stat`));
      const failed = failuresByPid(stderr);
      const read = pids.filter((pid) => !failed.has(pid));
      const [only] = read;
      if (only === undefined) return [...failed];
      if (pids.length === 1) return [[only, understood(only, stdout)]];
      const lines = parseStatLines(stdout, read);
      if (lines !== null) return [...failed, ...lines.map((value) => found(value))];
      const half = Math.ceil(pids.length / 2);
      return [...await this.#someStats(pids.slice(0, half)), ...await this.#someStats(pids.slice(half))];
    } catch (error) {
      return pids.map((pid) => [pid, { kind: "unknown", why: reason(error) }]);
    }
  }

  async #statuses(pids: readonly number[]): Promise<string> {
    try {
      return (await this.#helper("cat", pids.map((pid) => `/proc/${pid}/status`))).stdout;
    } catch {
      return "";
    }
  }

  async #ownersBySs(inodes: readonly string[]): Promise<SocketOwner[] | null> {
    const { code, stdout, stderr } = await this.#helper("ss", ["-ltnpeH"]);
    if (code !== 0) throw new HostError("failed", `ss failed: ${stderr.trim()}`);
    return parseSs(stdout, inodes);
  }

  async #ownersByFind(inodes: readonly string[]): Promise<SocketOwner[]> {
    const owners: SocketOwner[] = [];
    const names = inodes.flatMap((inode) => ["-o", "-lname", `socket:\\[${inode}\\]`]).slice(1);
    for (const some of chunks(await this.pids())) {
      const folders = some.map((pid) => `/proc/${pid}/fd`);
      const looking = [...folders, "-maxdepth", "1", "(", ...names, ")", "-printf", "%h %l\\n"];
      const { code, stdout, stderr } = await this.#helper("find", looking);
      // Other users' folders and processes that just ended are the usual failures, and name a path.
      if (code !== 0 && !stderr.includes("/proc/")) {
        throw new HostError("failed", `find failed: ${stderr.trim()}`);
      }
      owners.push(...parseFdLinks(stdout, inodes));
    }
    return owners;
  }

  async #ownersByLsof(inodes: readonly string[], port: number): Promise<SocketOwner[]> {
    const { code, stdout, stderr } = await this.#helper("lsof", [
      "-nP",
      `-iTCP:${port}`,
      "-sTCP:LISTEN",
      "-Fpd",
    ]);
    // 1 also says that there is none.
    if (code !== 0 && code !== 1) throw new HostError("failed", `lsof failed: ${stderr.trim()}`);
    return parseLsof(stdout, inodes);
  }

  #helper(command: string, args: string[], options: Partial<RunOptions> = {}) {
    return this.#run(command, args, { timeoutMs: helperTimeoutMs, ...options });
  }
}

function found(value: StatFields): [number, Reading<StatFields>] {
  return [value.pid, { kind: "found", value }];
}

/** What `cat` said about each file that it could not read. */
function failuresByPid(stderr: string): Map<number, Reading<StatFields>> {
  const failures = new Map<number, Reading<StatFields>>();
  for (const [line, pid] of stderr.matchAll(/^.*\/proc\/(\d+)\/stat\b.*$/gm)) {
    failures.set(Number(pid), isMissing(line) ? { kind: "gone" } : { kind: "unknown", why: line });
  }
  return failures;
}

function isMissing(message: string): boolean {
  return /no such (file|process)/i.test(message);
}

function shortened(text: string, limitBytes: number): string {
  if (text.length <= limitBytes / 3) return text;
  const bytes = new TextEncoder().encode(text);
  return bytes.length <= limitBytes ? text : decodeProc(bytes.subarray(0, limitBytes));
}

function* chunks(pids: readonly number[]): Generator<readonly number[]> {
  for (let at = 0; at < pids.length; at += pathsPerRun) yield pids.slice(at, at + pathsPerRun);
}
