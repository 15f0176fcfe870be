/**
 * Removes the folders that interrupted builds left in uv's cache.
 *
 * @module
 */
import { join } from "@std/path";
import { type FileLock, type Host, HostError } from "../host/host.ts";
import type { FolderUse } from "../host/host.ts";
import { cacheFolder, type FindCommand } from "./cache_folder.ts";
import {
  type BuildEntry,
  DEAD,
  planSweep,
  type SkipReason,
  type SweepSeen,
  type SweepStep,
  TEMPORARY,
} from "./sweep_plan.ts";
import { type SweepProgress, type SweepResult, Tally } from "./sweep_tally.ts";

export const BUILDS = "builds-v0";
export const DEFAULT_MIN_AGE_MS = 3_600_000;

/** As uv creates it, so that another user's uv can open it too. */
const lockMode = 0o666;

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
  findCommand: FindCommand;
  /** Called for each folder that was, or would be, renamed or deleted, and for each that stays. */
  onProgress?: (progress: SweepProgress) => void;
}

export type SweepCounts = Pick<SweepResult, "scanned" | "renamed" | "deleted" | "remaining">;

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
  const { cacheDir, findCommand } = options;
  const folder = await cacheFolder(host, { asked: cacheDir, findCommand });
  return await new Sweep(host, options, folder).run(signal);
}

/** The sweep after a stop, on Windows alone: there stale folders make later starts fail. Never throws. */
export async function automaticSweep(host: SweepHost, signal?: AbortSignal): Promise<SweepCounts> {
  const local = host.env.get("LOCALAPPDATA");
  const none = { scanned: 0, renamed: 0, deleted: 0, remaining: 0 };
  if (host.system !== "windows" || !local) return none;
  try {
    const { scanned, renamed, deleted, remaining } = await sweep(host, {
      apply: true,
      cacheDir: join(local, "uv", "cache"),
      minAgeMs: 0,
      findCommand: () => Promise.resolve({ tried: [] }),
    }, signal);
    return { scanned, renamed, deleted, remaining };
  } catch {
    return none;
  }
}

class Sweep {
  readonly #host: SweepHost;
  readonly #options: SweepOptions;
  readonly #cacheDir: string;
  readonly #builds: string;
  readonly #tally: Tally;

  constructor(host: SweepHost, options: SweepOptions, cacheDir: string) {
    this.#host = host;
    this.#options = options;
    this.#cacheDir = cacheDir;
    this.#builds = join(cacheDir, BUILDS);
    this.#tally = new Tally(cacheDir, options.onProgress ?? (() => {}));
  }

  async run(signal?: AbortSignal): Promise<SweepResult> {
    const { result } = this.#tally;
    const { apply, minAgeMs } = this.#options;
    const found = await this.#host.files.stat(this.#builds);
    if (found === null) return { ...result, applied: apply };
    if (found.kind !== "directory") {
      this.#tally.skip(BUILDS, found.kind === "link" ? "link" : "not_a_folder");
      return result;
    }
    const { lock, state } = await this.#lock();
    try {
      signal?.throwIfAborted();
      const entries = await this.#look(state === "ours");
      const { clock, system } = this.#host;
      const steps = planSweep({ entries, lock: state, now: clock.now(), minAgeMs, system });
      const stale = entries.filter(isStale);
      result.scanned = stale.filter(({ name }) => name.startsWith(TEMPORARY)).length;
      result.applied = apply && state === "ours";
      await (result.applied ? this.#act(steps, signal) : this.#list(steps, signal));
      result.remaining = result.applied
        ? (await this.#names()).filter(isStale).length
        : stale.length - result.deleted;
      return result;
    } finally {
      lock?.release();
    }
  }

  /** Listing creates no lock file: where there is none no uv has ever taken it. */
  async #lock(): Promise<{ lock: FileLock | null; state: SweepSeen["lock"] }> {
    const { files } = this.#host;
    const path = join(this.#cacheDir, ".lock");
    try {
      if (!this.#options.apply && await files.stat(path) === null) return { lock: null, state: "ours" };
      const lock = await files.tryLock(path, lockMode);
      return { lock, state: lock === null ? "held" : "ours" };
    } catch {
      return { lock: null, state: "unknown" };
    }
  }

  async #names(): Promise<{ name: string; kind: BuildEntry["kind"] }[]> {
    const found = await this.#host.files.list(this.#builds) ?? [];
    return found.sort((a, b) => a.name < b.name ? -1 : 1);
  }

  /** All names first, then each of them: what is deleted later can't disturb the listing. */
  async #look(mayTouch: boolean): Promise<BuildEntry[]> {
    const { files, processes } = this.#host;
    const names = await this.#names();
    const stale = names.filter(isStale).map(({ name }) => name);
    // Processes show where a folder really is, whatever links lead to the cache.
    const real = await files.realPath(this.#builds) ?? this.#builds;
    const folders = [...new Set([real, this.#builds])];
    const asked = mayTouch ? stale.flatMap((name) => folders.map((folder) => join(folder, name))) : [];
    const uses = await processes.using(asked);
    return await Promise.all(names.map(async ({ name, kind }) => ({
      name,
      kind,
      modifiedAt: stale.includes(name) ? await this.#modifiedAt(name) : null,
      use: combined(folders.map((folder) => uses.get(join(folder, name)))),
    })));
  }

  async #modifiedAt(name: string): Promise<number | null> {
    try {
      return (await this.#host.files.stat(this.#path(name)))?.modifiedAt ?? null;
    } catch {
      return null;
    }
  }

  async #list(steps: readonly SweepStep[], signal?: AbortSignal): Promise<void> {
    for (const step of steps) {
      signal?.throwIfAborted();
      switch (step.kind) {
        case "bury":
          this.#tally.renamed(step.name);
          this.#tally.deleted(step.name, await this.#size(step.name));
          break;
        case "delete":
          this.#tally.deleted(step.name, await this.#size(step.name));
          break;
        case "skip":
          this.#tally.skip(step.name, step.reason);
          break;
        case "ignore":
          break;
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
          this.#tally.skip(step.name, step.reason);
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
        return this.#tally.skip(name, "target_exists");
      }
      await this.#host.files.rename(this.#path(name), this.#path(deadName));
      this.#tally.renamed(name);
      return true;
    } catch (error) {
      return this.#tally.skip(name, reasonOf(error));
    }
  }

  async #delete(name: string): Promise<void> {
    try {
      if (!await this.#isStillFolder(name)) return;
      const bytes = await this.#size(name);
      if (await this.#host.files.removeTree(this.#path(name))) this.#tally.deleted(name, bytes);
      else this.#tally.skip(name, "gone");
    } catch (error) {
      this.#tally.skip(name, reasonOf(error));
    }
  }

  /** Looks again right before the deed, at the folder above too: a link in its place would lead elsewhere. */
  async #isStillFolder(name: string): Promise<boolean> {
    const { files } = this.#host;
    const above = await files.stat(this.#builds);
    const found = above?.kind === "directory" ? await files.stat(this.#path(name)) : above;
    if (found === null) return this.#tally.skip(name, "gone");
    if (found.kind === "directory") return true;
    return this.#tally.skip(name, found.kind === "link" ? "link" : "not_a_folder");
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

  #path(name: string): string {
    return join(this.#builds, name);
  }
}

function isStale({ name, kind }: { name: string; kind: BuildEntry["kind"] }): boolean {
  return kind === "directory" && (name.startsWith(TEMPORARY) || name.startsWith(DEAD));
}

/** Of one folder under its several paths: in use under any of them is in use. */
function combined(uses: readonly (FolderUse | undefined)[]): FolderUse {
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
