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

/** Keeps the end of the log as `crash.log` and answers it. */
export async function keepCrashLog(host: Pick<Host, "files">, paths: ServerPaths): Promise<string> {
  const tail = await tailOf(host, paths.log);
  await host.files.writeAtomic(paths.crashLog, tail, FILE_MODE);
  return tail;
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
