/**
 * Removes the folders that interrupted builds left in uv's cache.
 *
 * uv builds in `.tmp*` folders and removes them when it is done; one that was killed leaves them. They are renamed to
 * `_dead_.tmp*` before they are deleted: where a folder is in use Windows refuses the renaming, and nothing is lost.
 *
 * @module
 */
import { join } from "node:path";
import {
  type FileLock,
  type FileStat,
  type FolderUse,
  type Host,
  HostError,
  type System,
} from "../host/host.ts";
import { quoteName } from "../base/printable.ts";
import { cacheFolder } from "./cache_folder.ts";

const BUILDS = "builds-v0";
const TEMPORARY = ".tmp";
const DEAD = "_dead_";

export const DEFAULT_MIN_AGE_MS = 3_600_000;

/** How long {@link automaticSweep} goes on before it leaves the rest. Milliseconds. */
const AUTOMATIC_LIMIT_MS = 10_000;

/** As uv creates it, so that another user's uv can open it too. */
const LOCK_MODE = 0o666;

export type SweepHost = Pick<Host, "clock" | "engine" | "env" | "files" | "program" | "system"> & {
  processes: Pick<Host["processes"], "run" | "using">;
};

export interface SweepOptions {
  /** False lists what would be done. */
  apply: boolean;
  /** uv's cache folder; null asks uv. */
  cacheDir: string | null;
  /** For `.tmp*`, by the folder's own time of change. */
  minAgeMs: number;
  /** Whether nothing is touched without uv's cache lock; true where it is left out. */
  needsLock?: boolean;
  /** Called for each folder that was, or would be, renamed or deleted, and for each that stays. */
  onProgress?: (progress: SweepProgress) => void;
}

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

export interface SweepResult {
  cache_dir: string;
  /** Whether anything could be changed: asked for, and not kept from it by a running uv. */
  applied: boolean;
  /** `.tmp*` folders. */
  scanned: number;
  renamed: number;
  /** Includes those that an earlier sweep had renamed. */
  deleted: number;
  /** `.tmp*` and dead folders that are left. */
  remaining: number;
  /** Sum of the sizes of the files deleted. */
  bytes: number;
  skipped: { name: string; reason: SkipReason }[];
}

export interface SweepProgress {
  kind: "renamed" | "deleted" | "skipped";
  name: string;
  /** Size of what was deleted; 0 for the rest. */
  bytes: number;
}

/** What {@link automaticSweep} did. */
export interface AutomaticSweep extends Pick<SweepResult, "scanned" | "renamed" | "deleted" | "remaining"> {
  /** For people: what it deleted and what it left; null where there was nothing to delete. */
  message: string | null;
}

/**
 * Lists or removes stale build folders while it holds uv's own cache lock; where a uv holds that, nothing is touched.
 *
 * @throws the signal's reason once it is aborted, and HostError where the cache folder itself can't be looked at
 */
export async function sweep(
  host: SweepHost,
  options: SweepOptions,
  signal?: AbortSignal,
): Promise<SweepResult> {
  return await new Sweep(host, options, await cacheFolder(host, options.cacheDir)).run(signal);
}

/**
 * The sweep after a server was ended and before the next one starts, on Windows alone: there stale folders make later
 * starts fail, and a running server keeps its own from being deleted. A uv that runs meanwhile holds the cache lock,
 * often for as long as its own server lives, so this one works without it: Windows refuses to rename a folder in which
 * anything is open, and no uv looks for a renamed one. Takes no more than ten seconds and one folder. Never throws.
 */
export async function automaticSweep(
  host: SweepHost & Pick<Host, "clock">,
  signal?: AbortSignal,
): Promise<AutomaticSweep> {
  const local = host.env.get("LOCALAPPDATA");
  if (host.system !== "windows" || !local) {
    return { scanned: 0, renamed: 0, deleted: 0, remaining: 0, message: null };
  }
  const cacheDir = join(local, "uv", "cache");
  const options = { apply: true, cacheDir, minAgeMs: 0, needsLock: false };
  const run = new Sweep(host, options, cacheDir);
  await run.run(host.clock.deadline(AUTOMATIC_LIMIT_MS, signal)).catch(() => undefined);
  const { scanned, renamed, deleted, remaining } = run.result;
  return { scanned, renamed, deleted, remaining, message: sweepMessage(run.result) };
}

function sweepMessage({ deleted, remaining, skipped }: SweepResult): string | null {
  const kept = skipped.slice(0, 3).map(({ name, reason }) =>
    `${quoteName(name)} (${skipExplanations[reason]})`
  );
  const left = remaining === 0 ? "" : `${remaining} left${kept.length === 0 ? "" : `: ${kept.join(", ")}`}`;
  const gone = deleted === 0
    ? ""
    : `${deleted} stale build ${deleted === 1 ? "folder" : "folders"} of uv deleted`;
  if (gone === "") return left === "" ? null : `stale build folders of uv: ${left}`;
  return left === "" ? gone : `${gone}, ${left}`;
}

// --------------------------------------------------------------------------------------------------- the decision

/** One entry of builds-v0. */
export interface BuildEntry {
  name: string;
  kind: FileStat["kind"];
  /** Milliseconds since the epoch; null where it vanished. */
  modifiedAt: number | null;
  use: FolderUse;
}

export interface SweepObservation {
  entries: readonly BuildEntry[];
  /** uv's cache lock: ours for now, held by a uv, or not to be had for another reason. */
  lock: "ours" | "held" | "unknown";
  /** Milliseconds since the epoch. */
  now: number;
  needsLock: boolean;
  /** For `.tmp*` only. */
  minAgeMs: number;
  system: System;
}

export type SweepStep =
  | { kind: "bury"; name: string; deadName: string }
  | { kind: "delete"; name: string }
  | { kind: "skip"; name: string; reason: SkipReason }
  | { kind: "ignore"; name: string };

/** What to do with each entry, in the order given. Files, and folders of other names, are ignored. */
export function planSweep(observation: SweepObservation): SweepStep[] {
  const names = new Set(observation.entries.map(({ name }) => name));
  return observation.entries.map((entry) => decideStep(entry, names, observation));
}

function decideStep(
  entry: BuildEntry,
  names: ReadonlySet<string>,
  observation: SweepObservation,
): SweepStep {
  const { name, kind } = entry;
  const dead = name.startsWith(DEAD);
  if (!dead && !name.startsWith(TEMPORARY)) return { kind: "ignore", name };
  if (!isDirectChild(name, observation.system)) return { kind: "skip", name, reason: "not_a_folder" };
  if (kind === "link") return { kind: "skip", name, reason: "link" };
  if (kind !== "directory") return { kind: "ignore", name };
  const reason = reasonToKeep(entry, observation) ??
    (!dead && names.has(DEAD + name) ? "target_exists" : null);
  if (reason !== null) return { kind: "skip", name, reason };
  return dead ? { kind: "delete", name } : { kind: "bury", name, deadName: DEAD + name };
}

function reasonToKeep(
  { name, modifiedAt, use }: BuildEntry,
  { lock, needsLock, minAgeMs, now }: SweepObservation,
): SkipReason | null {
  if (needsLock && lock === "held") return "locked";
  if (needsLock && lock === "unknown") return "unknown";
  if (modifiedAt === null) return "gone";
  // A minimum of 0 lets through even what a wrong clock dated into the future.
  const young = minAgeMs > 0 && now - modifiedAt < minAgeMs;
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

// ----------------------------------------------------------------------------------------------------- the actions

class Sweep {
  readonly #host: SweepHost;
  readonly #options: SweepOptions;
  readonly #cacheDir: string;
  readonly #builds: string;
  readonly result: SweepResult;

  constructor(host: SweepHost, options: SweepOptions, cacheDir: string) {
    this.#host = host;
    this.#options = options;
    this.#cacheDir = cacheDir;
    this.#builds = join(cacheDir, BUILDS);
    this.result = {
      cache_dir: cacheDir,
      applied: false,
      scanned: 0,
      renamed: 0,
      deleted: 0,
      remaining: 0,
      bytes: 0,
      skipped: [],
    };
  }

  async run(signal?: AbortSignal): Promise<SweepResult> {
    const { result } = this;
    const { apply, minAgeMs, needsLock = true } = this.#options;
    const { clock, files, system } = this.#host;
    const found = await files.stat(this.#builds);
    if (found === null) return { ...result, applied: apply };
    if (found.kind !== "directory") {
      this.#skip(BUILDS, found.kind === "link" ? "link" : "not_a_folder");
      return result;
    }
    const { lock, state } = await this.#lock();
    try {
      signal?.throwIfAborted();
      const mayTouch = state === "ours" || !needsLock;
      const entries = await this.#observe(mayTouch);
      const steps = planSweep({ entries, lock: state, needsLock, now: clock.now(), minAgeMs, system });
      const stale = entries.filter(isStale);
      result.scanned = stale.filter(({ name }) => name.startsWith(TEMPORARY)).length;
      result.applied = apply && mayTouch;
      try {
        await (result.applied ? this.#act(steps, signal) : this.#list(steps, signal));
      } finally {
        result.remaining = result.applied
          ? (await this.#entries()).filter(isStale).length
          : stale.length - result.deleted;
      }
      return result;
    } finally {
      lock?.release();
    }
  }

  /** Listing creates no lock file: where there is none no uv has ever taken it. */
  async #lock(): Promise<{ lock: FileLock | null; state: SweepObservation["lock"] }> {
    const { files } = this.#host;
    const path = join(this.#cacheDir, ".lock");
    try {
      if (!this.#options.apply && await files.stat(path) === null) return { lock: null, state: "ours" };
      const lock = await files.tryLock(path, LOCK_MODE);
      return { lock, state: lock === null ? "held" : "ours" };
    } catch {
      return { lock: null, state: "unknown" };
    }
  }

  async #entries(): Promise<Pick<BuildEntry, "name" | "kind">[]> {
    const found = await this.#host.files.list(this.#builds) ?? [];
    return found.sort((a, b) => a.name < b.name ? -1 : 1);
  }

  /** All names first, then each of them: what is deleted later can't disturb the listing. */
  async #observe(mayTouch: boolean): Promise<BuildEntry[]> {
    const { files, processes } = this.#host;
    const found = await this.#entries();
    const stale = new Set(found.filter(isStale).map(({ name }) => name));
    // Processes show where a folder really is, whatever links lead to the cache.
    const real = await files.realPath(this.#builds) ?? this.#builds;
    const folders = [...new Set([real, this.#builds])];
    const asked = mayTouch ? [...stale].flatMap((name) => folders.map((folder) => join(folder, name))) : [];
    const uses = await processes.using(asked);
    return await Promise.all(found.map(async ({ name, kind }): Promise<BuildEntry> => {
      try {
        const modifiedAt = stale.has(name) ? (await files.stat(this.#path(name)))?.modifiedAt ?? null : null;
        return {
          name,
          kind,
          modifiedAt,
          use: combinedUse(folders.map((each) => uses.get(join(each, name)))),
        };
      } catch (error) {
        return { name, kind, modifiedAt: 0, use: { kind: "unknown", why: String(error) } };
      }
    }));
  }

  async #list(steps: readonly SweepStep[], signal?: AbortSignal): Promise<void> {
    for (const step of steps) {
      signal?.throwIfAborted();
      if (step.kind === "skip") this.#skip(step.name, step.reason);
      if (step.kind === "bury") this.#countRenamed(step.name);
      if (step.kind === "bury" || step.kind === "delete") {
        this.#countDeleted(step.name, await this.#size(step.name));
      }
    }
  }

  async #act(steps: readonly SweepStep[], signal?: AbortSignal): Promise<void> {
    const dead: string[] = [];
    for (const step of steps) {
      signal?.throwIfAborted();
      switch (step.kind) {
        case "bury":
          if (await this.#bury(step.name, step.deadName)) dead.push(step.deadName);
          break;
        case "delete":
          dead.push(step.name);
          break;
        case "skip":
          this.#skip(step.name, step.reason);
          break;
        case "ignore":
          break;
      }
    }
    for (const name of dead) {
      signal?.throwIfAborted();
      await this.#delete(name);
    }
  }

  async #bury(name: string, deadName: string): Promise<boolean> {
    try {
      if (!await this.#isStillFolder(name)) return false;
      // Renaming onto an empty folder would succeed on POSIX.
      if (await this.#host.files.stat(this.#path(deadName)) !== null) {
        return this.#skip(name, "target_exists");
      }
      await this.#host.files.rename(this.#path(name), this.#path(deadName));
      this.#countRenamed(name);
      return true;
    } catch (error) {
      return this.#skip(name, reasonOf(error));
    }
  }

  async #delete(name: string): Promise<void> {
    try {
      if (!await this.#isStillFolder(name)) return;
      const bytes = await this.#size(name);
      const error = await this.#deleteTree(this.#path(name));
      if (error === null) return this.#countDeleted(name, bytes);
      if (await this.#host.files.stat(this.#path(name)) === null) return void this.#skip(name, "gone");
      this.result.bytes += bytes - await this.#size(name);
      this.#skip(name, reasonOf(error));
    } catch (error) {
      this.#skip(name, reasonOf(error));
    }
  }

  /** Deletes a folder and all in it; what can't be deleted keeps only the folders above it. Returns the first reason. */
  async #deleteTree(folder: string): Promise<unknown> {
    const { files } = this.#host;
    try {
      return await files.removeTree(folder) ? null : new HostError("not_found", `${folder} vanished`);
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
    }
    // At once does not work: one by one, and the user's own read-only folders (Go modules, failed builds) made writable.
    const found = await files.stat(folder);
    if (found?.kind !== "directory") return null;
    if (found.mode !== null && (found.mode & 0o700) !== 0o700) {
      await files.chmod(folder, found.mode | 0o700).catch(() => undefined);
    }
    let first: unknown = null;
    for (const { name, kind } of await files.list(folder) ?? []) {
      const path = join(folder, name);
      const failed = kind === "directory"
        ? await this.#deleteTree(path)
        : await files.remove(path).then(() => null, (error) => error);
      first ??= failed;
    }
    if (first !== null) return first;
    return await files.removeTree(folder).then(() => null, (error) => error);
  }

  /** Looks again right before the action, at the folder above too: a link in its place would lead elsewhere. */
  async #isStillFolder(name: string): Promise<boolean> {
    const { files } = this.#host;
    const above = await files.stat(this.#builds);
    const found = above?.kind === "directory" ? await files.stat(this.#path(name)) : above;
    if (found === null) return this.#skip(name, "gone");
    if (found.kind === "directory") return true;
    return this.#skip(name, found.kind === "link" ? "link" : "not_a_folder");
  }

  /** Bytes in the files of a folder. What can't be read counts nothing. */
  async #size(name: string): Promise<number> {
    const { files } = this.#host;
    let bytes = 0;
    const folders = [this.#path(name)];
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      const entries = await files.list(folder).catch(() => null) ?? [];
      for (const entry of entries) {
        const path = join(folder, entry.name);
        if (entry.kind === "directory") folders.push(path);
        else if (entry.kind === "file") bytes += (await files.stat(path).catch(() => null))?.sizeBytes ?? 0;
      }
    }
    return bytes;
  }

  #countRenamed(name: string): void {
    this.result.renamed += 1;
    this.#options.onProgress?.({ kind: "renamed", name, bytes: 0 });
  }

  #countDeleted(name: string, bytes: number): void {
    this.result.deleted += 1;
    this.result.bytes += bytes;
    this.#options.onProgress?.({ kind: "deleted", name, bytes });
  }

  /** Always false: the folder is not to be touched any more. */
  #skip(name: string, reason: SkipReason): false {
    this.result.skipped.push({ name, reason });
    this.#options.onProgress?.({ kind: "skipped", name, bytes: 0 });
    return false;
  }

  #path(name: string): string {
    return join(this.#builds, name);
  }
}

function isStale({ name, kind }: Pick<BuildEntry, "name" | "kind">): boolean {
  return kind === "directory" && (name.startsWith(TEMPORARY) || name.startsWith(DEAD));
}

/** Of one folder under its several paths: in use under any of them is in use. */
function combinedUse(uses: readonly (FolderUse | undefined)[]): FolderUse {
  const known = uses.filter((use) => use !== undefined);
  return known.find((use) => use.kind === "busy") ?? known.find((use) => use.kind === "unknown") ??
    known[0] ??
    { kind: "unknown", why: "it was not looked at" };
}

function reasonOf(error: unknown): SkipReason {
  if (!(error instanceof HostError)) return "failed";
  switch (error.code) {
    case "not_found":
      return "gone";
    case "exists":
      return "target_exists";
    case "busy":
      return "busy";
    case "denied":
    case "no_permission":
      return "denied";
    case "timeout":
    case "no_space":
    case "unsupported":
    case "failed":
      return "failed";
  }
}
