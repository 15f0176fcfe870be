/**
 * Files. Nearly all calls are the blocking ones: foster's files are small, and a short verb would spend more time in
 * the thread pool than in the call.
 *
 * @module
 */
import * as fs from "node:fs";
import { asHostError, attempt, attemptOrNull, hostErrorCode } from "./error.ts";
import type { PunchHole } from "../../system/linux/punch.ts";
import { readOwnFile } from "./own_file.ts";
import { type Files, type FileStat, HostError, type Random, type System } from "../../host.ts";

type Kinds = Pick<fs.Stats, "isFile" | "isDirectory" | "isSymbolicLink">;

export interface FileParts {
  system: System;
  random: Random;
  /** Node has no lock that ends with its process: each engine brings its own. May throw what the engine throws. */
  tryLock: Files["tryLock"];
  /** Nor a way to make a hole. */
  punch: () => Promise<PunchHole | null>;
}

const firstReadBytes = 16 * 1024;

export function createFiles({ system, random, tryLock, punch }: FileParts): Files {
  const posix = system !== "windows";
  return {
    readText: (path) => attemptOrNull(`Cannot read ${path}`, () => fs.readFileSync(path, "utf8")),

    readSlice: (path, offset, limitBytes) =>
      attemptOrNull(`Cannot read ${path}`, () => readSlice(path, offset, limitBytes)),

    readOwn: async (path, slice) =>
      await attemptOrNull(`Cannot read ${path}`, () => readOwnFile(path, slice)) ?? { kind: "none" },

    writeAtomic: (path, content, mode, { isDurable = true } = {}) =>
      attempt(`Cannot write ${path}`, async () => {
        const draft = `${path}.${random.hex(6)}.draft`;
        try {
          write(draft, content, { mode: posix ? mode : null, isDurable });
          await moveOver(draft, { path, posix });
        } catch (error) {
          fs.rmSync(draft, { force: true });
          throw error;
        }
      }),

    writeNew: (path, text, mode) =>
      attempt(
        `Cannot create ${path}`,
        () => write(path, text, { mode: posix ? mode : null, isDurable: true }),
      ),

    append: (path, text, mode) =>
      attempt(`Cannot append to ${path}`, () => fs.appendFileSync(path, text, { mode })),

    async remove(path) {
      const removed = await attemptOrNull(`Cannot remove ${path}`, () => {
        // Deno's unlink would remove an empty folder too.
        if (fs.lstatSync(path).isDirectory()) {
          throw new HostError("failed", `Cannot remove ${path}: it is a folder`);
        }
        fs.unlinkSync(path);
        return true;
      });
      return removed ?? false;
    },

    async removeTree(path) {
      const removed = await attemptOrNull(`Cannot remove ${path}`, async () => {
        if (fs.lstatSync(path).isDirectory()) await fs.promises.rm(path, { recursive: true, force: true });
        else fs.unlinkSync(path);
        return true;
      });
      return removed ?? false;
    },

    rename: (from, to) =>
      attempt(`Cannot rename ${from} to ${to}`, () => moveOver(from, { path: to, posix })),

    copy: (from, to) => attempt(`Cannot copy ${from} to ${to}`, () => fs.promises.copyFile(from, to)),

    truncate: (path, sizeBytes) => attempt(`Cannot truncate ${path}`, () => fs.truncateSync(path, sizeBytes)),

    moveHead: (path, slice, { to, mode }) =>
      attempt(`Cannot rotate ${path}`, async () => {
        const punchHole = await punch();
        if (punchHole === null) return false;
        const { moveHead } = await import("./move_head.ts");
        return await moveHead(path, { to, mode, slice, punch: punchHole });
      }),

    makeDir: (path, mode) =>
      attempt(`Cannot create the folder ${path}`, () => void fs.mkdirSync(path, { recursive: true, mode })),

    list: (path) =>
      attemptOrNull(
        `Cannot list ${path}`,
        () =>
          fs.readdirSync(path, { withFileTypes: true }).map((each) => ({
            name: each.name,
            kind: kindOf(each),
          })),
      ),

    stat: (path) =>
      attemptOrNull(`Cannot look at ${path}`, () => {
        const found = fs.lstatSync(path);
        return {
          kind: kindOf(found),
          sizeBytes: found.size,
          modifiedAt: found.mtimeMs,
          mode: posix ? found.mode & 0o7777 : null,
          uid: posix ? found.uid : null,
        };
      }),

    realPath: (path) => attemptOrNull(`Cannot resolve ${path}`, () => fs.realpathSync(path)),

    chmod: (path, mode) =>
      attempt(`Cannot change the permissions of ${path}`, () => {
        if (posix) fs.chmodSync(path, mode);
      }),

    async isExecutable(path) {
      const found = await attemptOrNull(`Cannot look at ${path}`, () => fs.statSync(path));
      return found?.isFile() === true && mayExecute(path);
    },

    async keepsModes(path) {
      try {
        return !systemsWithoutModes.includes((await fs.promises.statfs(path)).type);
      } catch {
        // Deno's permissions may not let it be asked.
        return posix;
      }
    },

    tryLock: (path, mode) => attempt(`Cannot lock ${path}`, () => tryLock(path, mode)),
  };
}

/** Linux's numbers of 9p (WSL 2's drvfs), WSL 1's drvfs, vfat, exfat, CIFS, SMB and SMB 2. */
const systemsWithoutModes = [0x01021997, 0x53464846, 0x4d44, 0x2011bab0, 0xff534d42, 0x517b, 0xfe534d42];

function mayExecute(path: string): boolean {
  try {
    fs.accessSync(path, fs.constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Windows refuses to replace a file for as long as a reader or a virus scanner has it open: a matter of moments. */
async function moveOver(draft: string, { path, posix }: { path: string; posix: boolean }): Promise<void> {
  for (let tries = 0;; tries += 1) {
    try {
      return fs.renameSync(draft, path);
    } catch (error) {
      const passing = ["denied", "busy", "failed"].includes(hostErrorCode(error));
      if (posix || !passing || tries === 20) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

/**
 * Opens for appending, so that several writers never overwrite one another. The caller closes it. A link or pipe in its
 * place goes: neither is a log of foster's.
 */
export function openLog(path: string): number {
  try {
    const found = fs.lstatSync(path, { throwIfNoEntry: false });
    // A device is nobody's to replace.
    const isReplaced = found !== undefined && (found.isSymbolicLink() || found.isFIFO() || found.isSocket());
    if (isReplaced) fs.unlinkSync(path);
    else if (found !== undefined && !found.isFile()) {
      throw new HostError("failed", `Cannot open the log ${path}: it is no file`);
    }
    return fs.openSync(path, "a", 0o600);
  } catch (error) {
    throw asHostError(`Cannot open the log ${path}`, error);
  }
}

/** Reads in chunks to the end or to `limitBytes`: files in /proc report size 0. @throws what Node throws */
export function readSlice(path: string, offset: number, limitBytes: number): Uint8Array {
  const file = fs.openSync(path, "r");
  try {
    let buffer = new Uint8Array(Math.min(limitBytes, firstReadBytes));
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
function write(
  path: string,
  content: string | Uint8Array,
  { mode, isDurable }: { mode: number | null; isDurable: boolean },
): void {
  const file = fs.openSync(path, "wx", mode ?? 0o600);
  try {
    if (mode !== null) fs.fchmodSync(file, mode);
    fs.writeFileSync(file, content);
    if (isDurable) fs.fsyncSync(file);
  } finally {
    fs.closeSync(file);
  }
}

function kindOf(entry: Kinds): FileStat["kind"] {
  if (entry.isSymbolicLink()) return "link";
  if (entry.isDirectory()) return "directory";
  return entry.isFile() ? "file" : "other";
}
