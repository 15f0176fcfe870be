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

/** False, with nothing changed, where the file system or the permissions do not let a hole be made. */
export function moveHead(
  path: string,
  { to, mode, slice: { offset, limitBytes }, punch }: {
    to: string;
    mode: number;
    slice: Slice;
    punch: PunchHole;
  },
): boolean {
  if (!fs.lstatSync(path).isFile()) return false;
  const noFollow = fs.constants.O_NOFOLLOW ?? 0;
  const source = fs.openSync(path, fs.constants.O_RDONLY | noFollow);
  try {
    const target = fs.openSync(to, "wx", mode);
    try {
      copyRange(source, target, { offset, limitBytes });
      fs.fsyncSync(target);
    } finally {
      fs.closeSync(target);
    }
  } catch (error) {
    fs.rmSync(to, { force: true });
    throw error;
  } finally {
    fs.closeSync(source);
  }
  if (punch(path, offset + limitBytes)) return true;
  fs.rmSync(to, { force: true });
  return false;
}

function copyRange(source: number, target: number, { offset, limitBytes }: Slice): void {
  const buffer = new Uint8Array(Math.min(chunkBytes, limitBytes));
  let done = 0;
  while (done < limitBytes) {
    const count = fs.readSync(source, buffer, 0, Math.min(buffer.length, limitBytes - done), offset + done);
    if (count === 0) return;
    let written = 0;
    while (written < count) written += fs.writeSync(target, buffer, written, count - written);
    done += count;
  }
}
