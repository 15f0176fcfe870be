/**
 * Files under Deno.
 *
 * @module
 */
import { concat } from "../../../base/bytes.ts";
import { random } from "../../clock.ts";
import { attempt, attemptOrNull, hostErrorCode } from "./error.ts";
import type { Files, FileStat } from "../../host.ts";
import { readOwnFile } from "../../own_file.ts";
import { once } from "../../../base/once.ts";

const chunkBytes = 64 * 1024;

export const denoFiles: Files = {
  readText: (path) => attemptOrNull(`Cannot read ${path}`, () => Deno.readTextFileSync(path)),

  readSlice: (path, offset, limitBytes) =>
    attemptOrNull(`Cannot read ${path}`, () => readSlice(path, offset, limitBytes)),

  async readOwn(path, slice) {
    return await attemptOrNull(`Cannot read ${path}`, () => readOwnFile(path, slice)) ?? { kind: "none" };
  },

  writeAtomic(path, text, mode) {
    return attempt(`Cannot write ${path}`, async () => {
      const draft = `${path}.${random.hex(6)}.draft`;
      try {
        writeDurably(draft, text, mode);
        await moveOver(draft, path);
      } catch (error) {
        await denoFiles.remove(draft).catch(() => false);
        throw error;
      }
    });
  },

  writeNew: (path, text, mode) => attempt(`Cannot create ${path}`, () => writeDurably(path, text, mode)),

  append(path, text, mode) {
    return attempt(
      `Cannot append to ${path}`,
      () => Deno.writeTextFileSync(path, text, { append: true, create: true, mode: modeOf(mode) }),
    );
  },

  async remove(path) {
    const removed = await attemptOrNull(`Cannot remove ${path}`, async () => {
      // Deno's own call would remove an empty folder too.
      if (Deno.lstatSync(path).isDirectory) throw new Deno.errors.IsADirectory("it is a folder");
      await Deno.remove(path);
      return true;
    });
    return removed ?? false;
  },

  async removeTree(path) {
    const removed = await attemptOrNull(`Cannot remove ${path}`, async () => {
      await Deno.remove(path, { recursive: true });
      return true;
    });
    return removed ?? false;
  },

  rename: (from, to) => attempt(`Cannot rename ${from} to ${to}`, () => Deno.renameSync(from, to)),

  copy: (from, to) => attempt(`Cannot copy ${from} to ${to}`, () => Deno.copyFile(from, to)),

  truncate: (path, sizeBytes) => attempt(`Cannot truncate ${path}`, () => Deno.truncateSync(path, sizeBytes)),

  makeDir(path, mode) {
    return attempt(
      `Cannot create the folder ${path}`,
      () => Deno.mkdirSync(path, { recursive: true, mode: modeOf(mode) }),
    );
  },

  list(path) {
    return attemptOrNull(
      `Cannot list ${path}`,
      () => [...Deno.readDirSync(path)].map((entry) => ({ name: entry.name, kind: kindOf(entry) })),
    );
  },

  stat(path) {
    return attemptOrNull(`Cannot look at ${path}`, () => {
      const found = Deno.lstatSync(path);
      return {
        kind: kindOf(found),
        sizeBytes: found.size,
        modifiedAt: found.mtime?.getTime() ?? 0,
        mode: isWindows() || found.mode === null ? null : found.mode & 0o7777,
        uid: isWindows() ? null : found.uid,
      };
    });
  },

  realPath: (path) => attemptOrNull(`Cannot resolve ${path}`, () => Deno.realPathSync(path)),

  chmod(path, mode) {
    return attempt(`Cannot change the permissions of ${path}`, () => {
      if (!isWindows()) Deno.chmodSync(path, mode);
    });
  },

  async isExecutable(path) {
    const found = await attemptOrNull(`Cannot look at ${path}`, () => Deno.statSync(path));
    if (found === null || !found.isFile) return false;
    if (isWindows()) return true;
    const { accessSync, constants } = await import("node:fs");
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  },

  tryLock(path, mode) {
    return attempt(`Cannot lock ${path}`, async () => {
      const file = Deno.openSync(path, { read: true, write: true, create: true, mode: modeOf(mode) });
      try {
        if (await file.tryLock(true)) return { release: once(() => file.close()) };
      } catch (error) {
        file.close();
        throw error;
      }
      file.close();
      return null;
    });
  },
};

/** Reads in chunks to the end or to `limitBytes`: files in /proc report size 0. */
export function readSlice(path: string, offset: number, limitBytes: number): Uint8Array {
  using file = Deno.openSync(path);
  if (offset > 0) file.seekSync(offset, Deno.SeekMode.Start);
  const chunks: Uint8Array[] = [];
  let size = 0;
  while (size < limitBytes) {
    const chunk = new Uint8Array(Math.min(chunkBytes, limitBytes - size));
    const count = file.readSync(chunk);
    if (count === null || count === 0) break;
    chunks.push(chunk.subarray(0, count));
    size += count;
  }
  return concat(chunks);
}

/** Creates the file with exactly `mode`, whatever the umask, and returns once it is on the disk. */
function writeDurably(path: string, text: string, mode: number): void {
  using file = Deno.openSync(path, { write: true, createNew: true, mode: modeOf(mode) });
  if (!isWindows()) Deno.chmodSync(path, mode);
  let rest = new TextEncoder().encode(text);
  while (rest.length > 0) rest = rest.subarray(file.writeSync(rest));
  file.syncSync();
}

/** Windows refuses to replace a file for as long as a reader or a virus scanner has it open: a matter of moments. */
async function moveOver(from: string, to: string): Promise<void> {
  for (let tries = 0;; tries += 1) {
    try {
      return Deno.renameSync(from, to);
    } catch (error) {
      const passing = ["denied", "busy", "failed"].includes(hostErrorCode(error));
      if (!isWindows() || !passing || tries === 20) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

function kindOf(entry: { isFile: boolean; isDirectory: boolean; isSymlink: boolean }): FileStat["kind"] {
  if (entry.isSymlink) return "link";
  if (entry.isDirectory) return "directory";
  return entry.isFile ? "file" : "other";
}

/** Deno refuses to be told a mode on a system that has none. */
function modeOf(mode: number): number | undefined {
  return isWindows() ? undefined : mode;
}

function isWindows(): boolean {
  return Deno.build.os === "windows";
}
