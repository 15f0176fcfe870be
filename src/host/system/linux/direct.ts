/**
 * /proc read with foster's own hands.
 *
 * @module
 */
import {
  decodeProc,
  type OwnerHints,
  type ProcAccess,
  procLimitBytes,
  type Reading,
  reason,
  understood,
} from "./access.ts";
import { parseResident, pidsAmong, type SocketOwner, type StatFields } from "./proc.ts";
import type { DirectAccess } from "../reader.ts";

/** About 1,700 sockets. */
const SHORT_TABLE_BYTES = 256 * 1024;

export class DirectProc implements ProcAccess {
  readonly #direct: DirectAccess;
  readonly #selfPid: number;

  constructor(direct: DirectAccess, selfPid: number) {
    this.#direct = direct;
    this.#selfPid = selfPid;
  }

  text(path: string, limitBytes: number): Promise<Reading<string>> {
    return Promise.resolve(this.#read(path, limitBytes));
  }

  async table(path: string): Promise<Reading<string>> {
    try {
      // A short table is read without the thread pool, which a busy machine lets wait.
      const head = this.#direct.readBytes(path, SHORT_TABLE_BYTES);
      if (head === null || head.length < SHORT_TABLE_BYTES) return textOf(head);
      return textOf(await this.#direct.readWhole(path));
    } catch (error) {
      return { kind: "unknown", why: reason(error) };
    }
  }

  link(path: string): Promise<string | null> {
    return Promise.resolve(this.#link(path));
  }

  async pids(): Promise<number[]> {
    return await pidsAmong(this.#direct.listNames("/proc"));
  }

  stats(pids: readonly number[]): Promise<Map<number, Reading<StatFields>>> {
    return Promise.resolve(new Map(pids.map((pid) => [pid, this.#stat(pid)])));
  }

  resident(pids: readonly number[]): Promise<Map<number, number>> {
    const resident = new Map<number, number>();
    for (const pid of pids) {
      const status = this.#read(`/proc/${pid}/status`, procLimitBytes);
      if (status.kind !== "found") continue;
      for (const [found, bytes] of parseResident(status.value)) resident.set(found, bytes);
    }
    return Promise.resolve(resident);
  }

  narrow(pids: readonly number[]): Promise<readonly number[]> {
    return Promise.resolve(pids);
  }

  async owners(
    inodes: readonly string[],
    { likely }: Pick<OwnerHints, "likely">,
  ): Promise<Reading<SocketOwner[]>> {
    const wanted = new Map(inodes.map((inode) => [`socket:[${inode}]`, inode]));
    const ownedBy = (pid: number): SocketOwner[] =>
      this.#fileLinks(pid).flatMap((link) => {
        const inode = wanted.get(link);
        return inode === undefined ? [] : [{ pid, inode }];
      });
    const likelyOwned = likely === null ? [] : ownedBy(likely);
    const isWhole = new Set(likelyOwned.map(({ inode }) => inode)).size === wanted.size;
    return { kind: "found", value: isWhole ? likelyOwned : (await this.pids()).flatMap(ownedBy) };
  }

  #stat(pid: number): Reading<StatFields> {
    const text = this.#read(`/proc/${pid}/stat`, procLimitBytes);
    if (text.kind !== "found") return text;
    const stat = understood(pid, text.value);
    return pid === this.#selfPid && stat.kind === "found" ? this.#ownStat(stat.value) : stat;
  }

  /**
   * qemu's user-mode emulation makes up a process's own /proc/self/stat, with a start time that is a tick off from what
   * all others see. It leaves the files of threads alone, of which the first began with the process; only the CPU time
   * in there is that thread's own.
   */
  #ownStat(stat: StatFields): Reading<StatFields> {
    const thread = this.#read(`/proc/${stat.pid}/task/${stat.pid}/stat`, procLimitBytes);
    if (thread.kind !== "found") return { kind: "found", value: stat };
    const own = understood(stat.pid, thread.value);
    return own.kind === "found" ? { kind: "found", value: { ...own.value, cpuMs: stat.cpuMs } } : own;
  }

  #read(path: string, limitBytes: number): Reading<string> {
    try {
      return textOf(this.#direct.readBytes(path, limitBytes));
    } catch (error) {
      return { kind: "unknown", why: reason(error) };
    }
  }

  #link(path: string): string | null {
    try {
      return this.#direct.readLink(path);
    } catch {
      // Another user's process, or one that just ended: either way it can't be seen.
      return null;
    }
  }

  /** What the open files of a process are. None of another user's process: the first refusal ends it. */
  #fileLinks(pid: number): string[] {
    const folder = `/proc/${pid}/fd`;
    try {
      return this.#direct.listNames(folder).map((file) => this.#direct.readLink(`${folder}/${file}`) ?? "");
    } catch {
      return [];
    }
  }
}

function textOf(bytes: Uint8Array | null): Reading<string> {
  return bytes === null ? { kind: "gone" } : { kind: "found", value: decodeProc(bytes) };
}
