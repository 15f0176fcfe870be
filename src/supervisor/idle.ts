/**
 * Notices that a server which was started for clients has none left.
 *
 * @module
 */
import { join } from "@std/path";
import type { Host } from "../host/host.ts";
import { readLeases } from "../registry/process_files.ts";
import type { ServerFolder } from "../registry/store.ts";

export class IdleWatch {
  readonly #host: Pick<Host, "files" | "processes" | "clock">;
  readonly #folder: ServerFolder;
  readonly #idleMs: number;
  #aloneSince: number | null = null;

  constructor(host: Pick<Host, "files" | "processes" | "clock">, folder: ServerFolder, idleMs: number) {
    this.#host = host;
    this.#folder = folder;
    this.#idleMs = idleMs;
  }

  /** Whether no live client was there for the whole time, and the server is still one that clients started. */
  async isOver(): Promise<boolean> {
    const { leases } = this.#folder.paths;
    const seen = await readLeases(this.#host, leases);
    for (const name of seen.dead) await this.#host.files.remove(join(leases, name));
    const now = this.#host.clock.monotonic();
    if (seen.live.length + seen.unknown > 0) {
      this.#aloneSince = null;
      return false;
    }
    this.#aloneSince ??= now;
    if (now - this.#aloneSince < this.#idleMs) return false;
    const stored = await this.#folder.read();
    return stored.kind === "record" && stored.record.started_by === "connect";
  }
}
