/**
 * A server's log files: rotated at each start, the end of a crashed run kept apart.
 *
 * @module
 */
import type { Host } from "../host/host.ts";
import { isOver, verdictNow } from "../registry/identity.ts";
import { FILE_MODE } from "../registry/paths.ts";
import type { ServerPaths } from "../registry/paths.ts";
import type { ServerFolder } from "../registry/store.ts";

const KEPT = 5;
const CRASH_BYTES = 64 * 1024;

/** `server.log` becomes `server.log.1`, and so on; the oldest goes. An empty log stays. */
export async function rotateLog(host: Pick<Host, "files">, log: string): Promise<void> {
  const stat = await host.files.stat(log);
  if (stat === null || stat.sizeBytes === 0) return;
  await shiftOld(host, log);
  await host.files.rename(log, `${log}.1`);
}

/** For a log that a child has open: its content moves away, the file itself stays. */
export async function rotateOpenLog(
  host: Pick<Host, "files">,
  log: string,
  limitBytes: number,
): Promise<boolean> {
  const stat = await host.files.stat(log);
  if (stat === null || stat.sizeBytes < limitBytes) return false;
  await shiftOld(host, log);
  await host.files.copy(log, `${log}.1`);
  await host.files.truncate(log, 0);
  return true;
}

async function shiftOld(host: Pick<Host, "files">, log: string): Promise<void> {
  await host.files.remove(`${log}.${KEPT}`);
  for (let n = KEPT - 1; n >= 1; n--) {
    if (await host.files.stat(`${log}.${n}`) !== null) {
      await host.files.rename(`${log}.${n}`, `${log}.${n + 1}`);
    }
  }
}

/** The end of a file as text, "" where there is none. */
export async function tailOf(
  host: Pick<Host, "files">,
  path: string,
  limitBytes = CRASH_BYTES,
): Promise<string> {
  const stat = await host.files.stat(path);
  if (stat === null || stat.kind !== "file") return "";
  const bytes = await host.files.readSlice(path, Math.max(0, stat.sizeBytes - limitBytes), limitBytes);
  return bytes === null ? "" : new TextDecoder().decode(bytes);
}

/**
 * Keeps the end of the log as `crash.log` and answers it. Where the log was rotated since the process was started
 * (`since`, ms since the epoch), what was rotated away counts too; an older file is an earlier process's.
 */
export async function keepCrashLog(
  host: Pick<Host, "files">,
  paths: ServerPaths,
  { since }: { since: number | null } = { since: null },
): Promise<string> {
  const words = await lastWordsIn(host, paths.log, since);
  await host.files.writeAtomic(paths.crashLog, words, FILE_MODE);
  return words;
}

async function lastWordsIn(host: Pick<Host, "files">, log: string, since: number | null): Promise<string> {
  // A head that was cut off by punching a hole reads as zeros.
  const words = (await tailOf(host, log)).replace(/^[\0]+/, "");
  const missing = CRASH_BYTES - new TextEncoder().encode(words).length;
  const rotated = await host.files.stat(`${log}.1`);
  if (missing <= 0 || since === null || rotated === null || !(rotated.modifiedAt >= since)) return words;
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
