/**
 * What is wrong with records and processes: the decision, over what was seen. Nobody is judged by a name: a process is
 * a record's by its start time, or this state folder's by its instance token.
 *
 * @module
 */
import type { System } from "../host/host.ts";
import { type Finding, quoted, type Typed } from "./findings.ts";
import { familyOf, type Identity } from "./family.ts";
import type { BadSeen, LeaseSeen, PrivateSeen, RegisteredSeen } from "./files_look.ts";
import { Judgement, type Stale } from "./judgement.ts";
import { judgeManaged } from "./managed.ts";
import { type ProcessRow, processRows, verdictOf } from "./process_rows.ts";
import { type Carrier, type ProcessesSeen, processName } from "./processes_look.ts";

export type { Stale };

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
  const { typed, system, branded } = options;
  const rows = processRows(seen, system);
  const judgement = new Judgement(seen, typed);
  for (const managed of seen.managed) judgeManaged(judgement, managed);
  const rowByPath = new Map(rows.map((row) => [row.record, row]));
  for (const registered of seen.registered) {
    judgeRegistered(judgement, { ...registered, row: rowByPath.get(registered.path) });
  }
  for (const lease of seen.leases) judgeLease(judgement, lease);
  for (const copy of seen.privates) judgePrivate(judgement, copy);
  for (const bad of seen.bad) judgeBad(judgement, bad);
  const proven = provenPids(seen);
  for (const carrier of orphansOf(seen, proven)) judgeOrphan(judgement, carrier);
  // Who carries the instance token has been spoken of already.
  const known = new Set([...proven, ...seen.carriers.map(({ pid }) => pid)]);
  for (const each of branded) if (!known.has(each.pid)) judgeBranded(judgement, each);
  const { findings, stale } = judgement;
  return { rows, findings, stale };
}

function judgeRegistered(
  judgement: Judgement,
  { record, path, row }: RegisteredSeen & { row: ProcessRow | undefined },
): void {
  const { typed } = judgement;
  const what = `the ${record.transport} server ${judgement.name(record.pid)}`;
  const found = verdictOf(record.pid, record.start_token, judgement.seen);
  switch (found.kind) {
    case "ours": {
      const { register } = record;
      if (row?.stale_client) {
        judgement.add("warn", "stale_client", {
          message: `${what} lives on without its client: its parent was pid ${record.parent_pid_at_start}, ` +
            `now it is pid ${row.current_parent_pid}`,
          fix: typed.end(record.pid),
        });
      } else if (register !== null && judgement.isGone(register)) {
        judgement.add("info", "register_gone", {
          message: `${what} lives on without its foster register (pid ${register.pid})`,
          fix: typed.end(record.pid),
        });
      }
      return;
    }
    case "unknown":
      judgement.add("warn", "unknown_process", {
        message: `it can't be told whether pid ${record.pid} is still the server of ${quoted(path)} ` +
          `(${found.why}); it counts as alive`,
        fix: typed.show([record.pid]),
      });
      return;
    case "gone":
    case "recycled":
      judgement.stale.push({ kind: "registered", path, record });
      judgement.add("warn", "stale_record", {
        message: `the record of the registered server pid ${record.pid} is left over: ` +
          (found.kind === "gone" ? "it is gone" : "that is another process by now"),
        fix: typed.cleanup(),
      });
  }
}

function judgeLease(judgement: Judgement, { key, path, lease }: LeaseSeen): void {
  const { typed } = judgement;
  const found = verdictOf(lease.pid, lease.start_token, judgement.seen);
  switch (found.kind) {
    case "ours":
    case "unknown":
      return;
    case "gone":
    case "recycled":
      break;
  }
  judgement.stale.push({ kind: "lease", path, lease });
  const supervisor = judgement.seen.managed.find((managed) => managed.key === key)?.record.supervisor ?? null;
  const removedByItself = supervisor !== null && judgement.isOurs(supervisor);
  judgement.add(removedByItself ? "info" : "warn", "dead_lease", {
    message: `a client of ${quoted(key)} (pid ${lease.pid}) is gone, its lease is left over` +
      (removedByItself ? "; the supervisor removes it" : ""),
    fix: typed.cleanup(),
  });
}

/** A client that was killed may leave its private copy behind. */
function judgePrivate(judgement: Judgement, { key, path, child }: PrivateSeen): void {
  if (!judgement.isGone(child.owner)) return;
  const { typed } = judgement;
  const left = `left by a client of ${quoted(key)} (pid ${child.owner.pid}) that is gone`;
  if (judgement.isOurs(child)) {
    judgement.add("warn", "orphan", {
      message: `${judgement.name(child.pid)} is ${left}`,
      fix: typed.end(child.pid),
    });
  } else if (judgement.isGone(child)) {
    judgement.stale.push({ kind: "private", path, child });
    judgement.add("warn", "stale_record", {
      message: `the record of a private server (pid ${child.pid}) is ${left}`,
      fix: typed.cleanup(),
    });
  }
}

function judgeBad(judgement: Judgement, { kind, path, key, why }: BadSeen): void {
  const { typed } = judgement;
  switch (kind) {
    case "record":
      judgement.add("error", "corrupt_record", {
        message: `the record of ${quoted(key ?? path)} can't be trusted: ${why}`,
        // It sets the record aside and rebuilds it where the events prove the process.
        fix: typed.foster("down", key ?? path),
      });
      return;
    case "process_record":
    case "private":
    case "lease":
      judgement.add("warn", kind === "lease" ? "corrupt_lease" : "corrupt_record", {
        message: `${quoted(path)} can't be trusted: ${why}`,
        fix: typed.removeFile(path),
      });
      return;
    case "folder":
      judgement.add("warn", "odd_folder", {
        message: `${quoted(path)} in the state folder is not used: ${why}`,
        fix: typed.look(path),
      });
  }
}

/** Processes that any file of the state folder proves, and this doctor itself. */
function provenPids(seen: ProcessesSeen): Set<number> {
  const { managed, registered, leases, privates, selfPid } = seen;
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
  ], seen);
  return family.add(selfPid);
}

/** Carriers of this state folder's instance token that no record explains. */
function orphansOf(seen: ProcessesSeen, proven: ReadonlySet<number>): Carrier[] {
  const recordedTokens = new Set(seen.managed.map(({ record }) => record.token));
  return seen.carriers.filter(({ pid, token }) => {
    const process = seen.seen.get(pid);
    if (process?.kind !== "seen" || process.facts.zombie) return false;
    // A record with this very instance token speaks for it, alive or with what is left of it.
    return !proven.has(pid) && !recordedTokens.has(token);
  });
}

function judgeOrphan(judgement: Judgement, { pid, token }: Carrier): void {
  const key = token.split(":")[1] ?? "";
  const corrupt = judgement.seen.bad.some((bad) => bad.kind === "record" && bad.key === key);
  const { typed } = judgement;
  judgement.add("warn", "orphan", {
    message: `${judgement.name(pid)} was started as ${quoted(key)} out of this state folder, ` +
      (corrupt ? "whose record can't be trusted" : "but no record proves it"),
    fix: corrupt ? typed.foster("down", key) : typed.end(pid),
  });
}

function judgeBranded(judgement: Judgement, { pid, server, argv }: Branded): void {
  judgement.add("info", "branded", {
    message: `${processName(pid, { executable: null, argv })} looks like ${quoted(server)} ` +
      "by its command line; nothing proves that foster started it",
    fix: judgement.typed.show([pid]),
  });
}
