/**
 * What is wrong with records and processes: the decision, over what was seen. Nobody is judged by a name: a process is
 * a record's by its start time, or this state folder's by its cookie.
 *
 * @module
 */
import type { ProcessFacts, System } from "../host/host.ts";
import { type Finding, type Level, quoted, type Typed } from "./doctor.ts";
import { familyOf, type Identity } from "./doctor_family.ts";
import { managedVerdict, type ProcessRow, processRows, verdictOf } from "./doctor_process_rows.ts";
import {
  type BadSeen,
  type Carrier,
  type LeaseSeen,
  type ManagedSeen,
  type PrivateCopy,
  type PrivateSeen,
  type ProcessesSeen,
  processName,
  type RegisteredSeen,
} from "./doctor_processes_look.ts";
import type { Lease } from "./leases.ts";
import type { ProcessRecord } from "./process_records.ts";
import type { ServerRecord } from "./record.ts";

/** What is left of a process that is gone: nothing needs it any more. */
export type Stale =
  | { kind: "managed"; key: string; path: string; record: ServerRecord }
  | { kind: "registered"; path: string; record: ProcessRecord }
  | { kind: "lease"; path: string; lease: Lease }
  | { kind: "private"; path: string; child: PrivateCopy };

/** A process that looks like a server by its command line. */
export interface Branded {
  pid: number;
  /** The definition's name. */
  server: string;
  argv: readonly string[] | null;
}

export interface JudgeOptions {
  typed: Typed;
  system: System;
  branded: readonly Branded[];
}

export interface ProcessesJudged {
  rows: ProcessRow[];
  findings: Finding[];
  stale: Stale[];
}

export function judgeProcesses(seen: ProcessesSeen, options: JudgeOptions): ProcessesJudged {
  const rows = processRows(seen, options.system);
  return new Judge(seen, options, rows).judge();
}

class Judge {
  readonly #seen: ProcessesSeen;
  readonly #options: JudgeOptions;
  readonly #rows: ReadonlyMap<string, ProcessRow>;
  readonly #judged: ProcessesJudged;

  constructor(seen: ProcessesSeen, options: JudgeOptions, rows: ProcessRow[]) {
    this.#seen = seen;
    this.#options = options;
    this.#rows = new Map(rows.map((row) => [row.record, row]));
    this.#judged = { rows, findings: [], stale: [] };
  }

  judge(): ProcessesJudged {
    for (const managed of this.#seen.managed) this.#managed(managed);
    for (const registered of this.#seen.registered) this.#registered(registered);
    for (const lease of this.#seen.leases) this.#lease(lease);
    for (const copy of this.#seen.privates) this.#private(copy);
    for (const bad of this.#seen.bad) this.#bad(bad);
    const proven = this.#proven();
    for (const carrier of this.#orphans(proven)) this.#orphan(carrier);
    // Who carries the cookie has been spoken of already.
    const known = new Set([...proven, ...this.#seen.carriers.map(({ pid }) => pid)]);
    for (const branded of this.#options.branded) if (!known.has(branded.pid)) this.#branded(branded);
    return this.#judged;
  }

  #managed(managed: ManagedSeen): void {
    const { record, key } = managed;
    const { typed } = this.#options;
    const name = quoted(record.name);
    const found = managedVerdict(managed, this.#seen);
    switch (found.kind) {
      case "ours":
        this.#supervised(managed);
        return;
      case "unknown":
        this.#add("warn", "unknown_process", {
          message:
            `${name}: it can't be told whether pid ${record.pid} is still its process (${found.why}); ` +
            "it counts as alive",
          fix: typed.foster("doctor", "tools"),
        });
        return;
      case "gone":
      case "recycled":
        break;
    }
    const supervisor = record.supervisor;
    if (supervisor !== null && this.#isOurs(supervisor)) {
      const waits = record.next_attempt !== null || record.state === "spawning";
      this.#add(waits ? "info" : "warn", "supervisor_without_server", {
        message: `${name} has ended; its bridge (pid ${supervisor.pid}) is there` +
          (waits ? " and starts it again" : ", but no server"),
        fix: waits ? typed.foster("status", key) : typed.foster("down", key),
      });
      return;
    }
    const remains = this.#remains(managed);
    if (remains.length > 0) {
      this.#remaining(managed, remains);
      return;
    }
    this.#judged.stale.push({ kind: "managed", ...managed });
    const what = record.pid === null
      ? "its start was never finished"
      : found.kind === "gone"
      ? `pid ${record.pid} is gone`
      : `pid ${record.pid} is another process by now`;
    this.#add("warn", record.pid === null ? "unfinished_start" : "stale_record", {
      message: `the record of ${name} is left over: ${what}`,
      fix: typed.cleanup(),
    });
  }

  #supervised({ record, key }: ManagedSeen): void {
    const { supervisor } = record;
    if (supervisor === null) return;
    const kind = verdictOf(supervisor.pid, supervisor.start_token, this.#seen).kind;
    if (kind === "ours" || kind === "unknown") return;
    const lost = record.started_by === "connect"
      ? "nobody ends it when its clients are gone"
      : "nobody restarts it when it ends";
    const args = record.started_by === "connect" ? ["down", key] : ["up", key, "--supervise"];
    this.#add("warn", "supervisor_gone", {
      message: `${quoted(record.name)} runs (pid ${record.pid}), but its bridge (pid ${supervisor.pid}) ` +
        `is gone: ${lost}`,
      fix: this.#options.typed.foster(...args),
    });
  }

  /** Live processes of a start whose recorded process is gone: by its cookie, or still in its group. */
  #remains({ record, ...managed }: ManagedSeen): ProcessFacts[] {
    const carriers = new Set(
      this.#seen.carriers.filter(({ token }) => token === record.token).map(({ pid }) => pid),
    );
    const recycled = managedVerdict({ record, ...managed }, this.#seen).kind === "recycled";
    // A number that was given away again may lead a stranger's group.
    const groupId = recycled || record.pgid === null || record.pgid <= 1 ? null : record.pgid;
    const known = this.#seen.list ??
      [...this.#seen.seen.values()].flatMap((each) => each.kind === "seen" ? [each.facts] : []);
    return known.filter((facts) => !facts.zombie && facts.pid !== this.#seen.selfPid)
      .filter((facts) => carriers.has(facts.pid) || facts.groupId === groupId);
  }

  #remaining({ record, key }: ManagedSeen, remains: readonly ProcessFacts[]): void {
    const { typed } = this.#options;
    const carriers = new Set(this.#seen.carriers.map(({ pid }) => pid));
    const marked = remains.filter(({ pid }) => carriers.has(pid));
    const pids = remains.map(({ pid }) => pid);
    const named = pids.map((pid) => this.#name(pid)).join(", ");
    const message = `${quoted(record.name)} has ended (pid ${record.pid ?? "unknown"}), but of its start ` +
      `${pids.length === 1 ? "is" : "are"} left: ${named}`;
    if (marked.length === 0) {
      this.#add("warn", "group_left", { message, fix: typed.show(pids) });
      return;
    }
    const within = record.pgid !== null && marked.every(({ groupId }) => groupId === record.pgid);
    const fix = within ? typed.foster("down", key) : marked.map(({ pid }) => typed.end(pid)).join("; ");
    this.#add("warn", "server_left", { message, fix });
  }

  #registered({ record, path }: RegisteredSeen): void {
    const { typed } = this.#options;
    const what = `the ${record.transport} server ${this.#name(record.pid)}`;
    const found = verdictOf(record.pid, record.start_token, this.#seen);
    switch (found.kind) {
      case "ours": {
        const { register } = record;
        if (this.#rows.get(path)?.stale_client) {
          this.#add("warn", "stale_client", {
            message:
              `${what} lives on without its client: its parent was pid ${record.parent_pid_at_start}, ` +
              `now it is pid ${this.#rows.get(path)?.current_parent_pid}`,
            fix: typed.end(record.pid),
          });
        } else if (register !== null && this.#isGone(register)) {
          this.#add("info", "register_gone", {
            message: `${what} lives on without its foster register (pid ${register.pid})`,
            fix: typed.end(record.pid),
          });
        }
        return;
      }
      case "unknown":
        this.#add("warn", "unknown_process", {
          message: `it can't be told whether pid ${record.pid} is still the server of ${quoted(path)} ` +
            `(${found.why}); it counts as alive`,
          fix: typed.show([record.pid]),
        });
        return;
      case "gone":
      case "recycled":
        this.#judged.stale.push({ kind: "registered", path, record });
        this.#add("warn", "stale_record", {
          message: `the record of the registered server pid ${record.pid} is left over: ` +
            (found.kind === "gone" ? "it is gone" : "that is another process by now"),
          fix: typed.cleanup(),
        });
    }
  }

  #lease({ key, path, lease }: LeaseSeen): void {
    const { typed } = this.#options;
    const found = verdictOf(lease.pid, lease.start_token, this.#seen);
    switch (found.kind) {
      case "ours":
      case "unknown":
        return;
      case "gone":
      case "recycled":
        break;
    }
    this.#judged.stale.push({ kind: "lease", path, lease });
    const supervisor = this.#seen.managed.find((managed) => managed.key === key)?.record.supervisor ?? null;
    const removedByItself = supervisor !== null && this.#isOurs(supervisor);
    this.#add(removedByItself ? "info" : "warn", "dead_lease", {
      message: `a client of ${quoted(key)} (pid ${lease.pid}) is gone, its lease is left over` +
        (removedByItself ? "; the bridge removes it" : ""),
      fix: typed.cleanup(),
    });
  }

  /** A client that was killed may leave its private copy behind. */
  #private({ key, path, child }: PrivateSeen): void {
    if (!this.#isGone(child.owner)) return;
    const { typed } = this.#options;
    const left = `left by a client of ${quoted(key)} (pid ${child.owner.pid}) that is gone`;
    if (this.#isOurs(child)) {
      this.#add("warn", "orphan", {
        message: `${this.#name(child.pid)} is ${left}`,
        fix: typed.end(child.pid),
      });
    } else if (this.#isGone(child)) {
      this.#judged.stale.push({ kind: "private", path, child });
      this.#add("warn", "stale_record", {
        message: `the record of a private server (pid ${child.pid}) is ${left}`,
        fix: typed.cleanup(),
      });
    }
  }

  #bad({ kind, path, key, why }: BadSeen): void {
    const { typed } = this.#options;
    switch (kind) {
      case "record":
        this.#add("error", "corrupt_record", {
          message: `the record of ${quoted(key ?? path)} can't be trusted: ${why}`,
          // It sets the record aside and rebuilds it where the events prove the process.
          fix: typed.foster("down", key ?? path),
        });
        return;
      case "process_record":
      case "private":
      case "lease":
        this.#add("warn", kind === "lease" ? "corrupt_lease" : "corrupt_record", {
          message: `${quoted(path)} can't be trusted: ${why}`,
          fix: typed.removeFile(path),
        });
        return;
      case "folder":
        this.#add("warn", "odd_folder", {
          message: `${quoted(path)} in the state folder is not used: ${why}`,
          fix: typed.look(path),
        });
    }
  }

  /** Processes that any file of the state folder proves, and this doctor itself. */
  #proven(): Set<number> {
    const { managed, registered, leases, privates, selfPid } = this.#seen;
    const family = familyOf([
      ...managed.flatMap(({ record }): Identity[] => [
        [record.pid, record.start_token],
        [record.launcher_pid, record.launcher_start_token],
        [record.supervisor?.pid, record.supervisor?.start_token],
      ]),
      ...registered.flatMap(({ record }): Identity[] => [
        [record.pid, record.start_token],
        [record.register?.pid, record.register?.start_token],
      ]),
      ...leases.map(({ lease }): Identity => [lease.pid, lease.start_token]),
      // One whose client is gone has been spoken of already.
      ...privates.map(({ child }): Identity => [child.pid, child.start_token]),
    ], this.#seen);
    return family.add(selfPid);
  }

  /** Carriers of this state folder's cookie that no record explains. */
  #orphans(proven: ReadonlySet<number>): Carrier[] {
    const recordedTokens = new Set(this.#seen.managed.map(({ record }) => record.token));
    return this.#seen.carriers.filter(({ pid, token }) => {
      const process = this.#seen.seen.get(pid);
      if (process?.kind !== "seen" || process.facts.zombie) return false;
      // A record with this very cookie speaks for it, alive or with what is left of it.
      return !proven.has(pid) && !recordedTokens.has(token);
    });
  }

  #orphan({ pid, token }: Carrier): void {
    const key = token.split(":")[1] ?? "";
    const corrupt = this.#seen.bad.some((bad) => bad.kind === "record" && bad.key === key);
    const { typed } = this.#options;
    this.#add("warn", "orphan", {
      message: `${this.#name(pid)} was started as ${quoted(key)} out of this state folder, ` +
        (corrupt ? "whose record can't be trusted" : "but no record proves it"),
      fix: corrupt ? typed.foster("down", key) : typed.end(pid),
    });
  }

  #branded({ pid, server, argv }: Branded): void {
    this.#add("info", "branded", {
      message:
        `${processName(pid, { executable: null, argv })} looks like ${
          quoted(server)
        } by its command line; nothing proves that ` +
        "foster started it",
      fix: this.#options.typed.show([pid]),
    });
  }

  #isOurs({ pid, start_token }: { pid: number; start_token: string }): boolean {
    return verdictOf(pid, start_token, this.#seen).kind === "ours";
  }

  #isGone({ pid, start_token }: { pid: number; start_token: string }): boolean {
    const { kind } = verdictOf(pid, start_token, this.#seen);
    return kind === "gone" || kind === "recycled";
  }

  #name(pid: number): string {
    return processName(pid, this.#seen.programs.get(pid));
  }

  #add(level: Level, code: string, { message, fix }: Pick<Finding, "message" | "fix">): void {
    this.#judged.findings.push({ level, section: "processes", code, message, fix });
  }
}
