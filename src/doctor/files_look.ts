/**
 * What `doctor` looks at in the state folder. Reads only, follows no link, and no single bad file hides the others.
 *
 * @module
 */
import { join } from "@std/path";
import { type Host, HostError } from "../host/host.ts";
import { decodeLease, type Lease } from "../registry/process_files.ts";
import { decodePrivateCopy, privateCopiesFolder, type PrivateCopy } from "../registry/process_files.ts";
import {
  pidOfFileName,
  processesFolder,
  type ProcessRecord,
  readProcessRecord,
} from "../registry/process_files.ts";
import { readOwnText } from "../registry/own_text.ts";
import type { ServerRecord } from "../registry/record.ts";
import type { StateFolder } from "../registry/store.ts";

export interface ManagedSeen {
  key: string;
  path: string;
  record: ServerRecord;
}

export interface RegisteredSeen {
  path: string;
  record: ProcessRecord;
}

export interface LeaseSeen {
  key: string;
  path: string;
  lease: Lease;
}

/** A client's private copy of a server, which `foster connect` keeps without a record. */
export interface PrivateSeen {
  key: string;
  path: string;
  child: PrivateCopy;
}

/** A file or folder that can't be trusted. */
export interface BadSeen {
  kind: "record" | "process_record" | "lease" | "private" | "folder";
  path: string;
  /** The server whose it is, null where it is nobody's. */
  key: string | null;
  why: string;
}

export interface FilesSeen {
  managed: ManagedSeen[];
  registered: RegisteredSeen[];
  leases: LeaseSeen[];
  privates: PrivateSeen[];
  bad: BadSeen[];
}

export interface FilesLookOptions {
  state: StateFolder;
  /** Whose files are trusted; null where files have no owner. */
  ownerUid: number | null;
}

const SMALL_LIMIT_BYTES = 16 * 1024;

export function lookAtFiles(host: Pick<Host, "files">, options: FilesLookOptions): Promise<FilesSeen> {
  return new FilesLook(host, options).all();
}

class FilesLook {
  readonly #host: Pick<Host, "files">;
  readonly #state: StateFolder;
  readonly #ownerUid: number | null;
  readonly #seen: FilesSeen = { managed: [], registered: [], leases: [], privates: [], bad: [] };

  constructor(host: Pick<Host, "files">, { state, ownerUid }: FilesLookOptions) {
    this.#host = host;
    this.#state = state;
    this.#ownerUid = ownerUid;
  }

  async all(): Promise<FilesSeen> {
    const servers = join(this.#state.path, "servers");
    for (const { name, kind } of await this.#entries(servers)) {
      const path = join(servers, name);
      if (kind === "directory") await this.#server(name);
      else this.#bad({ kind: "folder", path, key: null, why: `it is a ${kind}, not a server's folder` });
    }
    await this.#registered();
    return this.#seen;
  }

  async #server(key: string): Promise<void> {
    const { paths } = this.#state.server(key);
    const stored = await this.#state.server(key).read();
    const foreign = stored.kind === "record" ? await this.#foreignOwner(paths.record) : null;
    if (stored.kind === "corrupt" || foreign !== null) {
      const why = stored.kind === "corrupt" ? stored.why : foreign ?? "";
      this.#bad({ kind: "record", path: paths.record, key, why });
    } else if (stored.kind === "record") {
      this.#seen.managed.push({ key, path: paths.record, record: stored.record });
    }
    for (const path of await this.#records(paths.leases)) {
      const lease = await this.#small({ kind: "lease", path, key }, decodeLease);
      if (lease !== null) this.#seen.leases.push({ key, path, lease });
    }
    for (const path of await this.#records(privateCopiesFolder(paths))) {
      const child = await this.#small({ kind: "private", path, key }, decodePrivateCopy);
      if (child !== null) this.#seen.privates.push({ key, path, child });
    }
  }

  async #records(folder: string): Promise<string[]> {
    const entries = await this.#entries(folder);
    return entries.filter(({ name }) => name.endsWith(".json")).map(({ name }) => join(folder, name));
  }

  /** One of the small files about a client; null, and noted where it is not missing, when it can't be trusted. */
  async #small<T>(about: Omit<BadSeen, "why">, decode: (text: string) => T | null): Promise<T | null> {
    const limits = { limitBytes: SMALL_LIMIT_BYTES, ownerUid: this.#ownerUid };
    const file = await readOwnText(this.#host, about.path, limits);
    if (file.kind === "none") return null;
    const decoded = file.kind === "text" ? decode(file.text) : null;
    if (decoded === null) {
      this.#bad({ ...about, why: file.kind === "bad" ? file.why : "it can't be understood" });
    }
    return decoded;
  }

  async #registered(): Promise<void> {
    const folder = processesFolder(this.#state.path);
    for (const { name } of await this.#entries(folder)) {
      if (!name.endsWith(".json")) continue;
      const path = join(folder, name);
      const pid = pidOfFileName(name);
      const decoded = pid === null
        ? { kind: "corrupt" as const, why: "its name is no pid" }
        : await readProcessRecord(this.#host, path, { pid, ownerUid: this.#ownerUid });
      switch (decoded.kind) {
        case "none":
          break;
        case "corrupt":
          this.#bad({ kind: "process_record", path, key: null, why: decoded.why });
          break;
        case "record":
          this.#seen.registered.push({ path, record: decoded.record });
      }
    }
  }

  async #foreignOwner(path: string): Promise<string | null> {
    const uid = (await this.#host.files.stat(path).catch(() => null))?.uid ?? null;
    if (uid === null || this.#ownerUid === null || uid === this.#ownerUid) return null;
    return `it belongs to another user (${uid})`;
  }

  /** Of a folder that is no link; a missing one is empty. */
  async #entries(folder: string) {
    try {
      const stat = await this.#host.files.stat(folder);
      if (stat === null) return [];
      if (stat.kind === "directory") {
        const entries = await this.#host.files.list(folder) ?? [];
        return entries.sort((a, b) => a.name < b.name ? -1 : 1);
      }
      this.#bad({ kind: "folder", path: folder, key: null, why: `it is a ${stat.kind}, not a folder` });
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      this.#bad({ kind: "folder", path: folder, key: null, why: error.message });
    }
    return [];
  }

  #bad(bad: BadSeen): void {
    this.#seen.bad.push(bad);
  }
}
