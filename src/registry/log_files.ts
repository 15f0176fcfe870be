/**
 * A server's log files: rotated at each start, the end of a crashed run kept apart.
 *
 * @module
 */
import { concat } from "../base/bytes.ts";
import type { Host } from "../host/host.ts";
import { isOver, verdictNow } from "./identity.ts";
import { holeEnd, isMoved, KEPT, movingPath, readAt, segmentsOf } from "./log_segments.ts";
import { FILE_MODE, type ServerPaths } from "./paths.ts";
import type { ServerFolder } from "./store.ts";

const CRASH_BYTES = 64 * 1024;
/** A line that is longer is cut by rotation. */
const LINE_BYTES = 256 * 1024;

/** `server.log` becomes `server.log.1`, and so on; the oldest goes. An empty log stays, what is no file goes away. */
export async function rotateLog(host: Pick<Host, "files">, log: string): Promise<void> {
  await finishMove(host, log);
  const stat = await host.files.stat(log);
  if (stat === null || stat.kind === "file" && stat.sizeBytes === 0) return;
  await shiftOld(host, log);
  await host.files.rename(log, `${log}.1`);
}

/** Logs that are being rotated: on a slow disk that takes longer than it is until the next look at them. */
const rotating = new Set<string>();

/**
 * For a log that others append to: once it has grown to the limit, its whole lines are moved away, and the file itself
 * stays. Where no hole can be made, the log is copied and emptied, and what is written in between is lost. False where
 * there was nothing to do, or it is being done.
 */
export async function rotateOpenLog(
  host: Pick<Host, "files">,
  log: string,
  limitBytes: number,
): Promise<boolean> {
  if (rotating.has(log)) return false;
  rotating.add(log);
  try {
    return await rotateOnce(host, log, limitBytes);
  } finally {
    rotating.delete(log);
  }
}

async function rotateOnce(host: Pick<Host, "files">, log: string, limitBytes: number): Promise<boolean> {
  const stat = await host.files.stat(log);
  if (stat?.kind !== "file" || stat.sizeBytes < limitBytes) return false;
  await finishMove(host, log);
  const offset = await holeEnd(host, log);
  if (stat.sizeBytes - offset < limitBytes) return false;
  const end = await lineEndBefore(host, log, stat.sizeBytes);
  const slice = { offset, limitBytes: Math.max(offset, end) - offset };
  const target = { to: movingPath(log), mode: FILE_MODE };
  if (slice.limitBytes > 0 && await host.files.moveHead(log, slice, target)) {
    await keepMoved(host, log);
    return true;
  }
  await shiftOld(host, log);
  await host.files.copy(log, `${log}.1`);
  await host.files.truncate(log, 0);
  return true;
}

/** Last, so that at every moment each line stands in one place that readers know. */
async function keepMoved(host: Pick<Host, "files">, log: string): Promise<void> {
  await shiftOld(host, log);
  await host.files.rename(movingPath(log), `${log}.1`);
}

/** After a rotation that was cut off: the copy is kept where it is the only one. */
async function finishMove(host: Pick<Host, "files">, log: string): Promise<void> {
  const moving = movingPath(log);
  const stat = await host.files.stat(moving);
  if (stat === null) return;
  if (stat.kind === "file" && await isMoved(host, log)) await keepMoved(host, log);
  else await host.files.removeTree(moving);
}

/** Behind the last line end within reach; `size` itself where there is none. */
async function lineEndBefore({ files }: Pick<Host, "files">, path: string, size: number): Promise<number> {
  const offset = Math.max(0, size - LINE_BYTES);
  const read = await files.readOwn(path, { offset, limitBytes: size - offset });
  const at = read.kind === "read" ? read.bytes.lastIndexOf(10) : -1;
  return at === -1 ? size : offset + at + 1;
}

async function shiftOld(host: Pick<Host, "files">, log: string): Promise<void> {
  await host.files.removeTree(`${log}.${KEPT}`);
  for (let n = KEPT - 1; n >= 1; n--) {
    if (await host.files.stat(`${log}.${n}`) !== null) {
      await host.files.rename(`${log}.${n}`, `${log}.${n + 1}`);
    }
  }
}

/** The end of a log as text, also of what was just moved away; "" where there is none. */
export async function tailOf(
  host: Pick<Host, "files">,
  path: string,
  limitBytes = CRASH_BYTES,
): Promise<string> {
  const pieces: Uint8Array[] = [];
  let left = limitBytes;
  const segments = await segmentsOf(host, path);
  for (const { from, to } of segments) {
    const offset = Math.max(from, to - left);
    const piece = await readAt(host, segments, { offset, limitBytes: to - offset });
    pieces.unshift(piece);
    left -= piece.length;
    if (left <= 0) break;
  }
  return new TextDecoder().decode(concat(pieces));
}

/**
 * Keeps the end of the log as `crash.log` and answers it. Where the log was copied and emptied since the process was
 * started (`since`, ms since the epoch), the copy counts too; an older file is an earlier process's.
 */
export async function keepCrashLog(
  host: Pick<Host, "files">,
  paths: ServerPaths,
  { since }: { since: number | null } = { since: null },
): Promise<string> {
  const words = await lastWordsIn(host, paths.log, since);
  // A restart must not wait for the disk: the words are in the log as well.
  await host.files.writeAtomic(paths.crashLog, words, FILE_MODE, { isDurable: false });
  return words;
}

async function lastWordsIn(host: Pick<Host, "files">, log: string, since: number | null): Promise<string> {
  const words = await tailOf(host, log);
  const missing = CRASH_BYTES - new TextEncoder().encode(words).length;
  if (missing <= 0 || since === null || await holeEnd(host, log) > 0) return words;
  const copied = await host.files.stat(`${log}.1`);
  if (copied === null || !(copied.modifiedAt >= since)) return words;
  return await tailOf(host, `${log}.1`, missing) + words;
}

/** Where the last words of a crashed server are: still in its log while nobody has looked after it since. */
export async function crashLogOf(
  host: Pick<Host, "files" | "processes">,
  folder: ServerFolder,
): Promise<string> {
  const stored = await folder.read();
  if (stored.kind !== "record" || stored.record.state !== "ready" || stored.record.pid === null) {
    return folder.paths.crashLog;
  }
  const { pid, start_token } = stored.record;
  const isGone = isOver(await verdictNow(host, { pid, start_token }));
  return isGone ? folder.paths.log : folder.paths.crashLog;
}
