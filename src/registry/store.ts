/**
 * The state folder: one {@link ServerFolder} per server, records read and written through it alone.
 *
 * @module
 */
import { decodeJsonOrNull, type Decoder, nullable, object, text } from "../base/decode.ts";
import { join } from "node:path";
import { type FileLock, type Host, HostError } from "../host/host.ts";
import {
  appendEvent,
  type EventName,
  isOverlong,
  lastRecord,
  readEvents,
  type ServerEvent,
  trimEventFile,
} from "./events.ts";
import { isOver, verdictNow } from "./identity.ts";
import { acquireLock, type LockWait } from "./lock.ts";
import { FILE_MODE, FOLDER_MODE, type ServerPaths, serverPaths, statePaths } from "./paths.ts";
import { type LaunchOverrides, launchOverrides, NO_OVERRIDES } from "./overrides.ts";
import { onceMade, wholeText } from "./once_made.ts";
import {
  isElsewhere,
  isOfAnotherNamespace,
  isOfEarlierBoot,
  ownNamespace,
  seenFromHere,
} from "./namespaces.ts";
import { OWN_LIMIT_BYTES, ownTextOrNull, readOwnText } from "./own_text.ts";
import { refuseUnsafe } from "./safe_folder.ts";
import { anyPid, startToken } from "./values.ts";
import {
  type CopyRecord,
  decodeCopy,
  type Decoded,
  decodeRecord,
  encodeRecord,
  type ServerRecord,
} from "./record.ts";

export type { LaunchOverrides, StopSettings } from "./overrides.ts";

export type StoreHost = Pick<Host, "files" | "clock" | "random" | "processes" | "program" | "system">;
export type StoredRecord = Decoded | { kind: "none" };

/** Who asks for a stop: a request without a living author is void. */
interface StopRequest {
  pid: number;
  start_token: string | null;
  pid_namespace: string | null;
}

const stopRequest: Decoder<StopRequest> = object({
  pid: anyPid,
  start_token: nullable(startToken),
  pid_namespace: nullable(text()),
});

/** File systems take their times from a coarser clock than ours, some from another machine's. */
const CLOCK_SLACK_MS = 2000;
/** So many records that could not be trusted are kept. */
const KEPT_ASIDE = 5;
const ID_BYTES = 8;
const TOKEN_BYTES = 32;
const SESSION_PREFIX = "session-";

export class StateFolder {
  readonly #host: StoreHost;

  constructor(host: StoreHost, readonly path: string) {
    this.#host = host;
  }

  server(key: string): ServerFolder {
    return new ServerFolder(this.#host, { key, state: this });
  }

  /** Before anything is done by what stands in it. @throws StateFolderError where others may have written it */
  async check(): Promise<void> {
    await refuseUnsafe(this.#host, this.path, { follow: true });
    await refuseUnsafe(this.#host, statePaths(this.path).servers, { follow: false });
  }

  /** Creates the folder. @throws StateFolderError, HostError `denied` or `failed` where it can't be written */
  async prepare(): Promise<void> {
    await this.check();
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

  /** Puts a token of the user's own, hexadecimal, in the place of the one that is there. @throws HostError */
  async setGatewayToken(token: string): Promise<void> {
    await this.prepare();
    const { gatewayToken } = statePaths(this.path);
    if (await wholeText(this.#host, gatewayToken) === token) return;
    await this.#host.files.writeAtomic(gatewayToken, `${token}\n`, FILE_MODE);
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
  readonly #state: StateFolder;
  readonly key: string;
  readonly paths: ServerPaths;

  constructor(host: StoreHost, { key, state }: { key: string; state: StateFolder }) {
    this.#host = host;
    this.#state = state;
    this.key = key;
    this.paths = serverPaths(state.path, key);
  }

  /** Before anything is done by what stands in it. @throws StateFolderError where others may have written to it */
  async check(): Promise<void> {
    await this.#state.check();
    await refuseUnsafe(this.#host, this.paths.folder, { follow: false });
  }

  /** @throws StateFolderError where others may have written to it, HostError where it can't be made */
  async prepare(): Promise<void> {
    await this.check();
    await this.#host.files.makeDir(this.paths.folder, FOLDER_MODE);
  }

  /** Null when another foster holds the lock for longer than `waitMs`. @throws StateFolderError, HostError */
  async lock(wait: LockWait): Promise<FileLock | null> {
    await this.prepare();
    const lock = await acquireLock(this.#host, this.paths.lock, wait);
    if (lock !== null) await this.#trimEvents();
    return lock;
  }

  /** Under the lock. That the disk is full, or the file is spoiled, keeps nobody from anything. */
  async #trimEvents(): Promise<void> {
    const { events } = this.paths;
    try {
      if (await isOverlong(this.#host, events)) await trimEventFile(this.#host, events);
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
    }
  }

  /**
   * This namespace's record; where there is none, another one's as {@link seenFromHere}. One that somebody removed is what the
   * events still tell of a process that runs.
   */
  async read(): Promise<StoredRecord> {
    const stored = await this.readStored();
    if (stored.kind !== "none") return stored;
    try {
      const record = await this.#rebuild();
      return record === null ? stored : { kind: "record", record };
    } catch (error) {
      // Whether it runs can't be told now: nothing is claimed.
      if (error instanceof HostError) return stored;
      throw error;
    }
  }

  /** As {@link read}, of the file alone: for who writes a removed one again. */
  async readStored(): Promise<StoredRecord> {
    const { path, first } = await this.#locate();
    if (path === this.paths.record) return first;
    const own = await this.#readFile(path);
    if (own.kind !== "none" || first.kind !== "record") return own;
    return { kind: "record", record: seenFromHere(first.record) };
  }

  async #readFile(path: string): Promise<StoredRecord> {
    const file = await readOwnText(this.#host, path);
    switch (file.kind) {
      case "none":
        return file;
      case "bad":
        return file.unreadable === undefined
          ? { kind: "corrupt", why: file.why }
          : { kind: "corrupt", why: file.why, unreadable: true };
      case "text": {
        const decoded = decodeRecord(file.text, this.key);
        return decoded.kind === "record"
          ? { kind: "record", record: notOfTheFuture(decoded.record, this.#host.clock.now()) }
          : decoded;
      }
    }
  }

  /** Where this namespace's record stands: beside `record.json` where that is, or was, another one's. */
  async #locate(): Promise<{ path: string; first: StoredRecord }> {
    const { record: path, folder } = this.paths;
    const first = await this.#readFile(path);
    const isOurs = first.kind === "corrupt" || first.kind === "record" &&
        (!await isOfAnotherNamespace(this.#host, first.record) ||
          await isOfEarlierBoot(this.#host, first.record));
    const namespace = isOurs ? null : await ownNamespace(this.#host);
    if (namespace === null) return { path, first };
    const beside = join(folder, `record-${namespace}.json`);
    const isThere = first.kind === "record" || await this.#host.files.stat(beside) !== null;
    return { path: isThere ? beside : path, first };
  }

  /** The processes of a stdio server, as their files have them; what can't be trusted is passed over. */
  async copies(): Promise<CopyRecord[]> {
    const copies: CopyRecord[] = [];
    for (const { name, kind } of await this.#host.files.list(this.paths.copies) ?? []) {
      const id = /^([A-Za-z0-9_-]{1,128})\.json$/.exec(name)?.[1];
      if (kind !== "file" || id === undefined) continue;
      const file = await readOwnText(this.#host, join(this.paths.copies, name));
      const decoded = file.kind === "text" ? decodeCopy(file.text, { key: this.key, id }) : null;
      if (decoded?.kind === "record") copies.push(decoded.record);
    }
    return copies.sort((a, b) => a.started_at.localeCompare(b.started_at));
  }

  /**
   * Reads under the lock. A record that somebody removed is rebuilt from the events where its process still runs; one that
   * can't be trusted is set aside first.
   */
  async readOrHeal(): Promise<ServerRecord | null> {
    await this.#removeDrafts();
    const stored = await this.readStored();
    switch (stored.kind) {
      case "none": {
        const rebuilt = await this.#rebuild();
        if (rebuilt !== null) await this.#writeRebuilt(rebuilt);
        return rebuilt;
      }
      case "record":
        return stored.record;
      case "corrupt": {
        const { path } = await this.#locate();
        // What can't be read now may be a good record in a moment.
        if (stored.unreadable) {
          throw new HostError("failed", `Cannot read ${path}: ${stored.why}`);
        }
        // First the new record, then the end of the old one: a foster that dies in between has lost nothing.
        const rebuilt = await this.#rebuild();
        const keeps = await this.#setAside(path);
        await this.event("record_set_aside", { message: stored.why });
        if (rebuilt !== null) await this.#writeRebuilt(rebuilt);
        else if (keeps) await this.#host.files.remove(path);
        return rebuilt;
      }
    }
  }

  /** @throws HostError, also for a record that is another PID namespace's or too large to be read again */
  async write(record: ServerRecord, { isDurable = true } = {}): Promise<void> {
    if (isElsewhere(record)) {
      throw new HostError(
        "denied",
        `The record of ${this.key} is another PID namespace's: it is left as it is`,
      );
    }
    const text = encodeRecord(await this.#stamped(record));
    if (text.length > OWN_LIMIT_BYTES) {
      throw new HostError("failed", `The record of ${this.key} would be ${text.length} bytes large`);
    }
    await this.#host.files.writeAtomic((await this.#locate()).path, text, FILE_MODE, { isDurable });
  }

  /** With the PID namespace that its pids are of. */
  async #stamped(record: ServerRecord): Promise<ServerRecord> {
    const namespace = await ownNamespace(this.#host);
    return { ...record, pid_namespace: namespace === "unknown" ? null : namespace };
  }

  /** Forgets the server: record, pid file and, unless it is about to start again, notes. Logs and events stay. */
  async forget({ keepOverrides = false } = {}): Promise<void> {
    await this.#host.files.remove((await this.#locate()).path);
    await this.#host.files.remove(this.paths.pidFile);
    await this.removeSessions();
    if (!keepOverrides) await this.#host.files.remove(this.paths.overrides);
  }

  async event(event: EventName, details: Omit<ServerEvent, "at" | "event"> = {}): Promise<void> {
    const at = new Date(this.#host.clock.now()).toISOString();
    const record = details.record === undefined ? {} : { record: await this.#stamped(details.record) };
    const { events, lock: path } = this.paths;
    await appendEvent(this.#host, events, { at, event, ...details, ...record });
    if (!await isOverlong(this.#host, events)) return;
    // Whoever holds the lock trims the events when it next takes it.
    const lock = await this.#host.files.tryLock(path, FILE_MODE);
    if (lock === null) return;
    await this.#trimEvents();
    lock.release();
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
    if (session?.file != null) await this.#host.files.remove(this.sessionFile(session.file));
  }

  /** The pid that the server wrote after `since` (ms since the epoch), 0 where there is none. */
  async pidFile(since: number): Promise<number> {
    const file = await ownTextOrNull(this.#host, this.paths.pidFile);
    // File systems take their times from a coarser clock than ours. A time that is none is not before anything.
    if (file === null || !(file.modifiedAt >= since - 100)) return 0;
    const stored = await this.read();
    // The pid in it would be another process here.
    if (stored.kind === "record" && isElsewhere(stored.record)) return 0;
    return parsePid(file.text);
  }

  /** Leaves a request that counts for as long as this foster lives. */
  async askToStop(): Promise<void> {
    await this.prepare();
    const { selfPid } = this.#host.processes;
    const self = (await this.#host.processes.inspect([selfPid])).get(selfPid);
    const request: StopRequest = {
      pid: selfPid,
      start_token: self?.kind === "seen" ? self.facts.startTime : null,
      pid_namespace: await ownNamespace(this.#host),
    };
    await this.#host.files.writeAtomic(this.paths.stopRequest, JSON.stringify(request) + "\n", FILE_MODE);
  }

  /** Whether a `down` that is still there asked since then (ms since the epoch; always, where it is left out). */
  async isAskedToStop(since = 0): Promise<boolean> {
    const file = await ownTextOrNull(this.#host, this.paths.stopRequest);
    if (file === null) return false;
    const isOfTheFuture = file.modifiedAt > this.#host.clock.now() + CLOCK_SLACK_MS;
    const request = decodeJsonOrNull(file.text, stopRequest);
    // An empty one is 0.1's. Its author can't be asked, and its time means nothing once the clock went back.
    if (request === null) return !isOfTheFuture && file.modifiedAt >= since;
    if (request.pid_namespace === await ownNamespace(this.#host)) {
      if (isOver(await verdictNow(this.#host, request))) return false;
    }
    return isOfTheFuture || file.modifiedAt >= since;
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
  async #setAside(path: string): Promise<boolean> {
    const { files } = this.#host;
    const aside = `${path}.corrupt-${await this.#nextAside(path)}`;
    const stat = await files.stat(path);
    if (stat?.kind === "file" && stat.sizeBytes <= OWN_LIMIT_BYTES) {
      await files.copy(path, aside);
      await files.chmod(aside, FILE_MODE);
      return true;
    }
    await files.rename(path, aside);
    return false;
  }

  /** The number for the next one; makes room for it. */
  async #nextAside(path: string): Promise<number> {
    const { files } = this.#host;
    const names = (await files.list(this.paths.folder) ?? []).map(({ name }) =>
      join(this.paths.folder, name)
    );
    const prefix = `${path}.corrupt-`;
    const numbers = names.filter((name) => name.startsWith(prefix))
      .flatMap((name) =>
        /^\d{1,9}$/.test(name.slice(prefix.length)) ? [Number(name.slice(prefix.length))] : []
      )
      .sort((a, b) => a - b);
    for (const number of numbers.slice(0, Math.max(0, numbers.length - KEPT_ASIDE + 1))) {
      await files.removeTree(`${prefix}${number}`);
    }
    return (numbers.at(-1) ?? 0) + 1;
  }

  async #writeRebuilt(record: ServerRecord): Promise<void> {
    await this.write(record);
    await this.event("record_rebuilt", { pid: record.pid });
  }

  async #rebuild(): Promise<ServerRecord | null> {
    const record = lastRecord(await this.events(), this.key);
    if (record === null || await isOfAnotherNamespace(this.#host, record)) return null;
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

/** Times of the future come of a clock that went back: they are now. */
function notOfTheFuture(record: ServerRecord, now: number): ServerRecord {
  const latest = now + CLOCK_SLACK_MS;
  const present = (time: string) => Date.parse(time) > latest ? new Date(now).toISOString() : time;
  const { started_at, ready_at, last_exit } = record;
  return {
    ...record,
    started_at: present(started_at),
    ready_at: ready_at === null ? null : present(ready_at),
    last_exit: last_exit === null ? null : { ...last_exit, at: present(last_exit.at) },
  };
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
