/**
 * Which of uv's build folders are stale: the decision.
 *
 * uv builds in `.tmp*` folders and removes them when it is done; one that was killed leaves them. They are renamed to
 * `_dead_.tmp*` before they are deleted: where a folder is in use Windows refuses the renaming, and nothing is lost.
 *
 * @module
 */
import type { FileStat, System } from "../host/host.ts";
import type { FolderUse } from "../host/host.ts";

export const TEMPORARY = ".tmp";
export const DEAD = "_dead_";

/** Why a folder stays. */
export type SkipReason =
  | "locked"
  | "busy"
  | "young"
  | "link"
  | "not_a_folder"
  | "target_exists"
  | "gone"
  | "denied"
  | "unknown"
  | "failed";

/** The reasons in words, to follow the name of a folder. */
export const skipExplanations: Record<SkipReason, string> = {
  locked: "uv is running and holds its cache lock",
  busy: "a live process uses it",
  young: "changed less than the minimum age ago",
  link: "a link: never followed",
  not_a_folder: "not a folder directly in builds-v0",
  target_exists: "a folder of its dead name is there already; sweep again",
  gone: "vanished in the meantime",
  denied: "the system refused",
  unknown: "it can't be told whether it is in use",
  failed: "could not be renamed or deleted",
};

export interface Skipped {
  name: string;
  reason: SkipReason;
}

/** One entry of builds-v0 as it was seen. */
export interface BuildEntry {
  name: string;
  kind: FileStat["kind"];
  /** Milliseconds since the epoch; null where it vanished or can't be looked at. */
  modifiedAt: number | null;
  use: FolderUse;
}

export interface SweepSeen {
  entries: readonly BuildEntry[];
  /** uv's cache lock: ours for now, held by a uv, or not to be had for another reason. */
  lock: "ours" | "held" | "unknown";
  /** Milliseconds since the epoch. */
  now: number;
  /** For `.tmp*` only. */
  minAgeMs: number;
  system: System;
}

export type SweepStep =
  | { kind: "bury"; name: string; deadName: string }
  | { kind: "delete"; name: string }
  | { kind: "skip"; name: string; reason: SkipReason }
  | { kind: "ignore"; name: string };

/** What to do with each entry, in the order seen. Files, and folders of other names, are ignored. */
export function planSweep(seen: SweepSeen): SweepStep[] {
  const names = new Set(seen.entries.map(({ name }) => name));
  return seen.entries.map((entry) => decide(entry, names, seen));
}

function decide(entry: BuildEntry, names: ReadonlySet<string>, seen: SweepSeen): SweepStep {
  const { name, kind } = entry;
  const dead = name.startsWith(DEAD);
  if (!dead && !name.startsWith(TEMPORARY)) return { kind: "ignore", name };
  if (!isDirectChild(name, seen.system)) return { kind: "skip", name, reason: "not_a_folder" };
  if (kind === "link") return { kind: "skip", name, reason: "link" };
  if (kind !== "directory") return { kind: "ignore", name };
  const reason = reasonToKeep(entry, seen) ??
    (!dead && names.has(DEAD + name) ? "target_exists" : null);
  if (reason !== null) return { kind: "skip", name, reason };
  return dead ? { kind: "delete", name } : { kind: "bury", name, deadName: DEAD + name };
}

function reasonToKeep({ name, modifiedAt, use }: BuildEntry, seen: SweepSeen): SkipReason | null {
  switch (seen.lock) {
    case "held":
      return "locked";
    case "unknown":
      return "unknown";
    case "ours":
      break;
  }
  if (modifiedAt === null) return "gone";
  // A minimum of 0 lets through even what a wrong clock dated into the future.
  const young = seen.minAgeMs > 0 && seen.now - modifiedAt < seen.minAgeMs;
  if (young && !name.startsWith(DEAD)) return "young";
  switch (use.kind) {
    case "busy":
      return "busy";
    case "unknown":
      return "unknown";
    case "free":
      return null;
  }
}

function isDirectChild(name: string, system: System): boolean {
  return !/[/\0]/.test(name) && !(system === "windows" && /[\\:]/.test(name));
}
