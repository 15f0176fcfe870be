/**
 * The state folder: one {@link ServerFolder} per server, records read and written through it alone.
 *
 * @module
 */
import { decodeJsonOrNull } from "../base/decode.ts";
import { join } from "@std/path";
import { type FileLock, type Host, HostError } from "../host/host.ts";
import { appendEvent, type EventName, lastRecord, readEvents, type ServerEvent } from "./events.ts";
import { verdictNow } from "./identity.ts";
import { acquireLock, type LockWait } from "./lock.ts";
import { FILE_MODE, FOLDER_MODE, type ServerPaths, serverPaths, statePaths } from "./paths.ts";
import { type LaunchOverrides, launchOverrides, NO_OVERRIDES } from "./overrides.ts";
import { onceMade, wholeText } from "./once_made.ts";
import { ownTextOrNull, readOwnText } from "./own_text.ts";
import { type Decoded, decodeRecord, encodeRecord, type ServerRecord } from "./record.ts";

export type { LaunchOverrides, StopSettings } from "./overrides.ts";

export type StoreHost = Pick<Host, "files" | "clock" | "random" | "processes">;
export type StoredRecord = Decoded | { kind: "none" };

const ID_BYTES = 8;
const TOKEN_BYTES = 32;
const SESSION_PREFIX = "session-";

export class StateFolder {
  readonly #host: StoreHost;

  constructor(host: StoreHost, readonly path: string) {
    this.#host = host;
  }

  server(key: string): ServerFolder {
    return new ServerFolder(this.#host, serverPaths(this.path, key), key);
  }

  /** Creates the folder. @throws HostError `denied` or `failed` where it can't be written */
  async prepare(): Promise<void> {
    await this.#host.files.makeDir(this.path, FOLDER_MODE);
  }

  /** The folder's own random id, made on first use: part of every instance token. @throws HostError */
  async id(): Promise<string> {
    const { id } = statePaths(this.path);
    const known = await wholeText(this.#host, id);
    if (known !== null) return known;
    await this.prepare();
    return await onceMade(this.#host, id, ID_BYTES);
  }

  /** The token that clients of the gateway show, made on first use. @throws HostError */
  async gatewayToken(): Promise<string> {
    await this.prepare();
    return await onceMade(this.#host, statePaths(this.path).gatewayToken, TOKEN_BYTES);
  }

  /** The token that foster's own verbs show the supervisor, made on first use. @throws HostError */
  async controlToken(): Promise<string> {
    await this.prepare();
    return await onceMade(this.#host, statePaths(this.path).controlToken, TOKEN_BYTES);
  }

  /** The keys of all servers that have a folder here, sorted; a link is never followed. */
  async keys(): Promise<string[]> {
    const entries = await this.#host.files.list(statePaths(this.path).servers);
    return (entries ?? []).filter((entry) => entry.kind === "directory").map((entry) => entry.name).sort();
  }

  /** Every server that has a record, readable or not. */
  async records(): Promise<{ key: string; stored: Decoded }[]> {
    const found: { key: string; stored: Decoded }[] = [];
    for (const key of await this.keys()) {
      const stored = await this.server(key).read();
      if (stored.kind !== "none") found.push({ key, stored });
    }
    return found;
  }
}

/** One server's folder. Everything that writes, events apart, is to be called by the holder of its lock. */
export class ServerFolder {
  readonly #host: StoreHost;

  constructor(host: StoreHost, readonly paths: ServerPaths, readonly key: string) {
    this.#host = host;
  }

  async prepare(): Promise<void> {
    await this.#host.files.makeDir(this.paths.folder, FOLDER_MODE);
  }

  /** Null when another foster holds the lock for longer than `waitMs`. */
  async lock(wait: LockWait): Promise<FileLock | null> {
    await this.prepare();
    return await acquireLock(this.#host, this.paths.lock, wait);
  }

  async read(): Promise<StoredRecord> {
    const file = await readOwnText(this.#host, this.paths.record);
    switch (file.kind) {
      case "none":
        return file;
      case "bad":
        return file.unreadable === undefined
          ? { kind: "corrupt", why: file.why }
          : { kind: "corrupt", why: file.why, unreadable: true };
      case "text":
        return decodeRecord(file.text, this.key);
    }
  }

  /** Reads under the lock: a record that can't be trusted is set aside and rebuilt from the events if it can be. */
  async readOrHeal(): Promise<ServerRecord | null> {
    await this.#removeDrafts();
    const stored = await this.read();
    switch (stored.kind) {
      case "none":
        return null;
      case "record":
        return stored.record;
      case "corrupt": {
        // What can't be read now may be a good record in a moment.
        if (stored.unreadable) {
          throw new HostError("failed", `Cannot read ${this.paths.record}: ${stored.why}`);
        }
        // First the new record, then the end of the old one: a foster that dies in between has lost nothing.
        const rebuilt = await this.#rebuild();
        const keeps = await this.#setAside();
        await this.event("record_set_aside", { message: stored.why });
        if (rebuilt !== null) {
          await this.write(rebuilt);
          await this.event("record_rebuilt", { pid: rebuilt.pid });
        } else if (keeps) await this.#host.files.remove(this.paths.record);
        return rebuilt;
      }
    }
  }

  async write(record: ServerRecord): Promise<void> {
    await this.#host.files.writeAtomic(this.paths.record, encodeRecord(record), FILE_MODE);
  }

  /** Forgets the server: record, pid file and, unless it is about to start again, notes. Logs and events stay. */
  async forget({ keepOverrides = false } = {}): Promise<void> {
    await this.#host.files.remove(this.paths.record);
    await this.#host.files.remove(this.paths.pidFile);
    await this.removeSessions();
    if (!keepOverrides) await this.#host.files.remove(this.paths.overrides);
  }

  async event(event: EventName, details: Omit<ServerEvent, "at" | "event"> = {}): Promise<void> {
    const at = new Date(this.#host.clock.now()).toISOString();
    await appendEvent(this.#host, this.paths.events, { at, event, ...details });
  }

  async events(): Promise<ServerEvent[]> {
    return await readEvents(this.#host, this.paths.events);
  }

  async overrides(): Promise<LaunchOverrides> {
    const file = await ownTextOrNull(this.#host, this.paths.overrides);
    return decodeJsonOrNull(file?.text ?? "", launchOverrides) ?? NO_OVERRIDES;
  }

  async writeOverrides(overrides: LaunchOverrides): Promise<void> {
    await this.#host.files.writeAtomic(this.paths.overrides, JSON.stringify(overrides) + "\n", FILE_MODE);
  }

  sessionFile(sessionId: string): string {
    return join(this.paths.folder, `${SESSION_PREFIX}${sessionId}.json`);
  }

  /** @throws HostError; nothing of the file is left then */
  async writeSession(path: string, payload: unknown): Promise<void> {
    try {
      await this.#host.files.writeNew(path, JSON.stringify(payload) + "\n", FILE_MODE);
    } catch (error) {
      await this.#host.files.remove(path).catch(() => {});
      throw error;
    }
  }

  /**
   * Removes the session file of the last start; those of copies stay with their copies. Only for a server that is proven
   * gone: a live one may still read its session.
   */
  async removeSessions(): Promise<void> {
    const { session } = await this.overrides();
    if (session !== null) await this.#host.files.remove(this.sessionFile(session.file));
  }

  /** The pid that the server wrote after `since` (ms since the epoch), 0 where there is none. */
  async pidFile(since: number): Promise<number> {
    const file = await ownTextOrNull(this.#host, this.paths.pidFile);
    // File systems take their times from a coarser clock than ours. A time that is none is not before anything.
    if (file === null || !(file.modifiedAt >= since - 100)) return 0;
    return parsePid(file.text);
  }

  async askToStop(): Promise<void> {
    await this.prepare();
    await this.#host.files.writeAtomic(this.paths.stopRequest, "", FILE_MODE);
  }

  /** Whether a `down` asked since then (ms since the epoch; always, where it is left out). */
  async isAskedToStop(since = 0): Promise<boolean> {
    const stat = await this.#host.files.stat(this.paths.stopRequest);
    return stat !== null && stat.modifiedAt >= since;
  }

  async clearStopRequest(): Promise<void> {
    await this.#host.files.remove(this.paths.stopRequest);
  }

  /** What a foster left that was ended in the middle of a write: only of files that the lock's holder alone writes. */
  async #removeDrafts(): Promise<void> {
    const written = [this.paths.record, this.paths.overrides, this.paths.crashLog];
    for (const { name } of await this.#host.files.list(this.paths.folder) ?? []) {
      const path = join(this.paths.folder, name);
      if (name.endsWith(".draft") && written.some((file) => path.startsWith(`${file}.`))) {
        await this.#host.files.remove(path);
      }
    }
  }

  /** Keeps what is there under another name. True where a copy was made, so that the original is still there. */
  async #setAside(): Promise<boolean> {
    const { files } = this.#host;
    let n = 1;
    while (await files.stat(`${this.paths.record}.corrupt-${n}`) !== null) n++;
    const aside = `${this.paths.record}.corrupt-${n}`;
    if ((await files.stat(this.paths.record))?.kind === "file") {
      await files.copy(this.paths.record, aside);
      await files.chmod(aside, FILE_MODE);
      return true;
    }
    await files.rename(this.paths.record, aside);
    return false;
  }

  async #rebuild(): Promise<ServerRecord | null> {
    const record = lastRecord(await this.events(), this.key);
    if (record === null) return null;
    const identities: [number | null, string | null][] = [
      [record.pid, record.start_token],
      [record.launcher_pid, record.launcher_start_token],
    ];
    for (const [pid, startTime] of identities) {
      if (pid === null) continue;
      const found = await verdictNow(this.#host, { pid, start_token: startTime });
      if (found.kind === "ours") return record;
      if (found.kind === "unknown") {
        throw new HostError("failed", `Cannot rebuild the record of ${this.key}: pid ${pid}: ${found.why}`);
      }
    }
    return null;
  }
}

/** Null where there is none, or none that can be trusted. */
export function recordIn(stored: StoredRecord): ServerRecord | null {
  return stored.kind === "record" ? stored.record : null;
}

/** A pid file's content: a trimmed positive integer, anything else is 0. */
export function parsePid(text: string): number {
  const trimmed = text.trim();
  if (!/^[0-9]{1,10}$/.test(trimmed)) return 0;
  return Number(trimmed);
}
