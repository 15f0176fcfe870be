/**
 * What is left over, or can't be trusted: leases and private copies of clients that are gone, files that are no
 * records, and processes that no record proves.
 *
 * @module
 */
import { recordVerdict, verdictOf } from "../lifecycle/observe/list.ts";
import { isOver } from "../registry/identity.ts";
import { quoted } from "./findings.ts";
import type { Judgement } from "./judgement.ts";
import {
  type BadFile,
  type Carrier,
  type CopyFile,
  type LeaseFile,
  type PrivateFile,
  processName,
  type ServersObservation,
} from "./observe.ts";
import { ownedBy } from "./owners.ts";

/** A process that looks like a server by its command line. */
export interface Lookalike {
  pid: number;
  /** The definition's name. */
  server: string;
  argv: readonly string[] | null;
}

export function judgeLease(judgement: Judgement, { key, path, lease }: LeaseFile): void {
  const { shell } = judgement;
  const found = verdictOf([lease.pid, lease.start_token], judgement.seen.seen);
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
    fix: shell.cleanup(),
  });
}

/** A client that was killed may leave its private copy behind. */
export function judgePrivate(judgement: Judgement, { key, path, child }: PrivateFile): void {
  if (!judgement.isGone(child.owner)) return;
  const { shell } = judgement;
  const left = `left by a client of ${quoted(key)} (pid ${child.owner.pid}) that is gone`;
  if (judgement.isOurs(child)) {
    judgement.add("warn", "orphan", {
      message: `${judgement.name(child.pid)} is ${left}`,
      fix: shell.end(child.pid),
    });
  } else if (judgement.isGone(child)) {
    judgement.stale.push({ kind: "private", path, child });
    judgement.add("warn", "stale_record", {
      message: `the record of a private server (pid ${child.pid}) is ${left}`,
      fix: shell.cleanup(),
    });
  }
}

/** A supervisor that was killed may leave a process of a stdio server behind, and its record. */
export function judgeCopy(judgement: Judgement, { key, path, record }: CopyFile): void {
  const { owner } = record;
  if (owner !== null && !judgement.isGone(owner)) return;
  const { seen, shell } = judgement;
  const [left] = ownedBy(record, seen);
  const by = owner === null ? "its supervisor" : `its supervisor (pid ${owner.pid})`;
  if (left !== undefined) {
    judgement.add("warn", "server_left", {
      message: `${judgement.name(left.pid)} of ${quoted(key)} is left over: ${by} is gone`,
      fix: shell.foster("down", key),
    });
  } else if (isOver(recordVerdict(record, seen.seen))) {
    judgement.stale.push({ kind: "copy", key, path, record });
    judgement.add("info", "stale_record", {
      message: `a process of ${quoted(key)} is gone with ${by}; its record is left over`,
      fix: shell.cleanup(),
    });
  }
}

export function judgeBad(judgement: Judgement, { kind, path, key, why }: BadFile): void {
  const { shell } = judgement;
  switch (kind) {
    case "record":
      judgement.add("error", "corrupt_record", {
        message: `the record of ${quoted(key ?? path)} can't be trusted: ${why}`,
        // It sets the record aside and rebuilds it where the events prove the process.
        fix: shell.foster("down", key ?? path),
      });
      return;
    case "process_record":
    case "copy":
    case "private":
    case "lease":
      judgement.add("warn", kind === "lease" ? "corrupt_lease" : "corrupt_record", {
        message: `${quoted(path)} can't be trusted: ${why}`,
        fix: shell.removeFile(path),
      });
      return;
    case "folder":
      judgement.add("warn", "odd_folder", {
        message: `${quoted(path)} in the state folder is not used: ${why}`,
        fix: shell.look(path),
      });
  }
}

/** Carriers of this state folder's instance token that no record explains. */
export function orphansOf(seen: ServersObservation, proven: ReadonlySet<number>): Carrier[] {
  const recordedTokens = new Set([...seen.managed, ...seen.copies].map(({ record }) => record.token));
  return seen.carriers.filter(({ pid, token }) => {
    const process = seen.seen.get(pid);
    if (process?.kind !== "seen" || process.facts.zombie) return false;
    // A record with this very instance token has been judged, with what is left of it.
    return !proven.has(pid) && !recordedTokens.has(token);
  });
}

export function judgeOrphan(judgement: Judgement, { pid, token }: Carrier): void {
  const key = token.split(":")[1] ?? "";
  const corrupt = judgement.seen.bad.some((bad) => bad.kind === "record" && bad.key === key);
  const { shell } = judgement;
  judgement.add("warn", "orphan", {
    message: `${judgement.name(pid)} was started as ${quoted(key)} out of this state folder, ` +
      (corrupt ? "whose record can't be trusted" : "but no record proves it"),
    fix: corrupt ? shell.foster("down", key) : shell.end(pid),
  });
}

export function judgeLookalike(judgement: Judgement, { pid, server, argv }: Lookalike): void {
  judgement.add("info", "branded", {
    message: `${processName(pid, { executable: null, argv })} looks like ${quoted(server)} ` +
      "by its command line; nothing proves that foster started it",
    fix: judgement.shell.show([pid]),
  });
}
