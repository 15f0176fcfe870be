/**
 * Moves the beginning of a log that others append to into a file of its own, so that no line is lost: the copied part
 * becomes a hole in the log, and whoever appends notices nothing.
 *
 * @module
 */
import * as fs from "node:fs";
import type { Slice } from "../../host.ts";
import type { PunchHole } from "../../system/linux/punch.ts";

const chunkBytes = 1024 * 1024;

/**
 * False, with nothing changed, where the file system or the permissions do not let a hole be made. Every step goes
 * through the thread pool: on a slow disk it takes seconds, in which one process still keeps many servers.
 */
export async function moveHead(
  path: string,
  { to, mode, slice: { offset, limitBytes }, punch }: {
    to: string;
    mode: number;
    slice: Slice;
    punch: PunchHole;
  },
): Promise<boolean> {
  if (!fs.lstatSync(path).isFile()) return false;
  const noFollow = fs.constants.O_NOFOLLOW ?? 0;
  const source = await fs.promises.open(path, fs.constants.O_RDONLY | noFollow);
  try {
    const target = await fs.promises.open(to, "wx", mode);
    try {
      await copyRange(source, target, { offset, limitBytes });
      await target.sync();
    } finally {
      await target.close();
    }
  } catch (error) {
    fs.rmSync(to, { force: true });
    throw error;
  } finally {
    await source.close();
  }
  if (punch(path, offset + limitBytes)) return true;
  fs.rmSync(to, { force: true });
  return false;
}

async function copyRange(
  source: fs.promises.FileHandle,
  target: fs.promises.FileHandle,
  { offset, limitBytes }: Slice,
): Promise<void> {
  const buffer = new Uint8Array(Math.min(chunkBytes, limitBytes));
  let done = 0;
  while (done < limitBytes) {
    const wanted = Math.min(buffer.length, limitBytes - done);
    const { bytesRead } = await source.read(buffer, 0, wanted, offset + done);
    if (bytesRead === 0) return;
    for (let written = 0; written < bytesRead;) {
      written += (await target.write(buffer, written, bytesRead - written)).bytesWritten;
    }
    done += bytesRead;
  }
}
