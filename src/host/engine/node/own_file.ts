/**
 * Reads files of a folder that somebody may have tampered with: never through a link, never from a pipe or a device,
 * and never more than was asked for.
 *
 * @module
 */
import * as fs from "node:fs";
import type { OwnRead, Slice } from "../../host.ts";

/** Absent on Windows, where opening neither follows links made by others nor waits for a pipe's other end. */
const OPEN_FLAGS = fs.constants.O_RDONLY | (fs.constants.O_NOFOLLOW ?? 0) | (fs.constants.O_NONBLOCK ?? 0);

/** @throws the runtime's own error where the file can't be opened or read */
export function readOwnFile(path: string, { offset, limitBytes }: Slice): OwnRead {
  // The name is looked at first: engines do not agree on the error that a link causes.
  const named = fs.lstatSync(path, { throwIfNoEntry: false });
  if (named === undefined) return { kind: "none" };
  if (!named.isFile()) return { kind: "odd", what: kindOf(named) };
  const file = fs.openSync(path, OPEN_FLAGS);
  try {
    const found = fs.fstatSync(file);
    if (!found.isFile()) return { kind: "odd", what: kindOf(found) };
    const bytes = new Uint8Array(Math.max(0, Math.min(limitBytes, found.size - offset)));
    let length = 0;
    while (length < bytes.length) {
      const count = fs.readSync(file, bytes, length, bytes.length - length, offset + length);
      if (count === 0) break;
      length += count;
    }
    return {
      kind: "read",
      bytes: bytes.subarray(0, length),
      sizeBytes: found.size,
      modifiedAt: found.mtimeMs,
      uid: fs.constants.O_NOFOLLOW === undefined ? null : found.uid,
    };
  } finally {
    fs.closeSync(file);
  }
}

function kindOf(stat: Pick<fs.Stats, "isSymbolicLink" | "isDirectory">): string {
  if (stat.isSymbolicLink()) return "link";
  return stat.isDirectory() ? "directory" : "device or pipe";
}
