/**
 * Files under Bun. Nearly all calls are the blocking ones: foster's files are small, and a short verb would spend more
 * time in the thread pool than in the call.
 *
 * @module
 */
import * as fs from "node:fs";
import process from "node:process";
import { asHostError, attempt, attemptOrNull, isMissing, orNull } from "./error.ts";
import { systemCode } from "../../errors.ts";
import { tryFileLock } from "../../flock.ts";
import { readOwnFile } from "../../own_file.ts";
import type { DirEntry, Files, FileStat, OwnRead, Random, Slice, System } from "../../host.ts";

type Kinds = Pick<fs.Stats, "isFile" | "isDirectory" | "isSymbolicLink">;

const wholeFileLimitBytes = 16 * 1024;

export class BunFiles implements Files {
  readonly #system: System;
  readonly #random: Random;

  constructor(system: System, random: Random) {
    this.#system = system;
    this.#random = random;
  }

  readText(path: string): Promise<string | null> {
    return attemptOrNull(`Cannot read ${path}`, () => fs.readFileSync(path, "utf8"));
  }

  readSlice(path: string, offset: number, limitBytes: number): Promise<Uint8Array | null> {
    return attemptOrNull(`Cannot read ${path}`, () => readSlice(path, offset, limitBytes));
  }

  async readOwn(path: string, slice: Slice): Promise<OwnRead> {
    return await attemptOrNull(`Cannot read ${path}`, () => readOwnFile(path, slice)) ?? { kind: "none" };
  }

  writeAtomic(path: string, text: string, mode: number): Promise<void> {
    return attempt(`Cannot write ${path}`, async () => {
      const draft = `${path}.${this.#random.hex(6)}.draft`;
      try {
        writeDurably(draft, text, mode);
        await this.#moveOver(draft, path);
      } catch (error) {
        fs.rmSync(draft, { force: true });
        throw error;
      }
    });
  }

  writeNew(path: string, text: string, mode: number): Promise<void> {
    return attempt(`Cannot create ${path}`, () => writeDurably(path, text, mode));
  }

  append(path: string, text: string, mode: number): Promise<void> {
    return attempt(`Cannot append to ${path}`, () => fs.appendFileSync(path, text, { mode }));
  }

  async remove(path: string): Promise<boolean> {
    const removed = await attemptOrNull(`Cannot remove ${path}`, () => {
      fs.unlinkSync(path);
      return true;
    });
    return removed ?? false;
  }

  async removeTree(path: string): Promise<boolean> {
    const found = await attemptOrNull(`Cannot remove ${path}`, () => fs.lstatSync(path));
    if (found === null) return false;
    await attempt(
      `Cannot remove ${path}`,
      () =>
        found.isDirectory() ? fs.promises.rm(path, { recursive: true, force: true }) : fs.unlinkSync(path),
    );
    return true;
  }

  rename(from: string, to: string): Promise<void> {
    return attempt(`Cannot rename ${from} to ${to}`, () => fs.renameSync(from, to));
  }

  copy(from: string, to: string): Promise<void> {
    return attempt(`Cannot copy ${from} to ${to}`, () => fs.promises.copyFile(from, to));
  }

  truncate(path: string, sizeBytes: number): Promise<void> {
    return attempt(`Cannot truncate ${path}`, () => fs.truncateSync(path, sizeBytes));
  }

  makeDir(path: string, mode: number): Promise<void> {
    return attempt(`Cannot create the folder ${path}`, () => {
      fs.mkdirSync(path, { recursive: true, mode });
    });
  }

  list(path: string): Promise<DirEntry[] | null> {
    return attemptOrNull(
      `Cannot list ${path}`,
      () =>
        fs.readdirSync(path, { withFileTypes: true }).map((each) => ({
          name: each.name,
          kind: kindOf(each),
        })),
    );
  }

  stat(path: string): Promise<FileStat | null> {
    return attemptOrNull(`Cannot look at ${path}`, () => {
      const found = fs.lstatSync(path);
      const posix = this.#system !== "windows";
      return {
        kind: kindOf(found),
        sizeBytes: found.size,
        modifiedAt: found.mtimeMs,
        mode: posix ? found.mode & 0o7777 : null,
        uid: posix ? found.uid : null,
      };
    });
  }

  realPath(path: string): Promise<string | null> {
    return attemptOrNull(`Cannot resolve ${path}`, () => fs.realpathSync(path));
  }

  chmod(path: string, mode: number): Promise<void> {
    return attempt(`Cannot change the permissions of ${path}`, () => fs.chmodSync(path, mode));
  }

  isExecutable(path: string): Promise<boolean> {
    try {
      if (!fs.statSync(path).isFile()) return Promise.resolve(false);
      fs.accessSync(path, fs.constants.X_OK);
      return Promise.resolve(true);
    } catch (error) {
      if (isMissing(error) || systemCode(error) === "EACCES") return Promise.resolve(false);
      return Promise.reject(asHostError(`Cannot look at ${path}`, error));
    }
  }

  tryLock(path: string, mode: number) {
    return attempt(`Cannot lock ${path}`, () => tryFileLock(path, { mode, system: this.#system }));
  }

  /** Windows refuses to replace a file for as long as a reader or a virus scanner has it open: a matter of moments. */
  async #moveOver(from: string, to: string): Promise<void> {
    for (let tries = 0;; tries += 1) {
      try {
        return fs.renameSync(from, to);
      } catch (error) {
        const passing = ["EPERM", "EACCES", "EBUSY"].includes(systemCode(error));
        if (this.#system !== "windows" || !passing || tries === 20) throw error;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  }
}

/** Opens for appending, so that several writers never overwrite one another. The caller closes it. */
export function openLog(path: string): number {
  try {
    return fs.openSync(path, "a", 0o600);
  } catch (error) {
    throw asHostError(`Cannot open the log ${path}`, error);
  }
}

/** Reads in chunks to the end or to `limitBytes`: files in /proc report size 0. Null where there is no such file. */
export function readBytes(path: string, limitBytes: number): Uint8Array | null {
  return orNull(() => readSlice(path, 0, limitBytes));
}

function readSlice(path: string, offset: number, limitBytes: number): Uint8Array {
  const file = fs.openSync(path, "r");
  try {
    let buffer = new Uint8Array(Math.min(limitBytes, wholeFileLimitBytes));
    let used = 0;
    while (used < limitBytes) {
      if (used === buffer.length) buffer = grown(buffer, limitBytes);
      const count = fs.readSync(file, buffer, used, buffer.length - used, offset + used);
      if (count === 0) break;
      used += count;
    }
    return buffer.subarray(0, used);
  } finally {
    fs.closeSync(file);
  }
}

function grown(buffer: Uint8Array<ArrayBuffer>, limitBytes: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.min(limitBytes, buffer.length * 4));
  larger.set(buffer);
  return larger;
}

/** Creates the file with exactly `mode`, whatever the umask, and returns once it is on the disk. */
function writeDurably(path: string, text: string, mode: number): void {
  const file = fs.openSync(path, "wx", mode);
  try {
    if (process.platform !== "win32") fs.fchmodSync(file, mode);
    fs.writeFileSync(file, text);
    fs.fsyncSync(file);
  } finally {
    fs.closeSync(file);
  }
}

function kindOf(entry: Kinds): FileStat["kind"] {
  if (entry.isSymbolicLink()) return "link";
  if (entry.isDirectory()) return "directory";
  return entry.isFile() ? "file" : "other";
}
