/**
 * Removes what is left of processes that are gone. Observes again right before each removal, and ends nothing.
 *
 * @module
 */
import { type Host, HostError } from "../host/host.ts";
import { quoted } from "./findings.ts";
import type { Stale } from "./judgement.ts";
import { isHeld } from "./observe.ts";
import { isOver, verdict } from "../registry/identity.ts";
import {
  decodeLease,
  decodePrivateCopy,
  readProcessFile,
  readProcessRecord,
  removeProcessRecord,
} from "../registry/process_files.ts";
import type { ServerRecord } from "../registry/record.ts";
import type { StateFolder } from "../registry/store.ts";

export interface Cleaned {
  stale: Stale;
  removed: boolean;
  message: string;
}

type CleanupHost = Pick<Host, "files" | "processes">;

/** Another foster that holds a server's lock for longer is at work on it. */
const LOCK_WAIT_MS = 500;

export async function* cleanUp(
  host: CleanupHost,
  { state, stale, signal }: { state: StateFolder; stale: readonly Stale[]; signal: AbortSignal },
): AsyncGenerator<Cleaned> {
  await state.check();
  for (const each of stale) {
    signal.throwIfAborted();
    try {
      yield { stale: each, ...await removeOne(host, { state, stale: each, signal }) };
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      yield { stale: each, removed: false, message: `left ${quoted(each.path)}: ${error.message}` };
    }
  }
}

type Done = Pick<Cleaned, "removed" | "message">;

async function removeOne(
  host: CleanupHost,
  { state, stale, signal }: { state: StateFolder; stale: Stale; signal: AbortSignal },
): Promise<Done> {
  switch (stale.kind) {
    case "managed":
      return await removeManaged(host, { state, stale, signal });
    case "copy": {
      const { key, path, record } = stale;
      const copies = await state.server(key).copies();
      const present = copies.find(({ copy, token }) => copy === record.copy && token === record.token);
      const owner = present?.owner ?? null;
      const isLeft = present !== undefined && (owner === null || await isGone(host, [owner]));
      if (!isLeft || !await isDead(host, present)) return changed(path);
      return await host.files.remove(path) ? removed(path) : changed(path);
    }
    case "registered": {
      const { record, path } = stale;
      const stored = await readProcessRecord(host, path, { pid: record.pid });
      if (stored.kind !== "record" || !await isGone(host, [stored.record])) return changed(path);
      return await removeProcessRecord(host, path, record) ? removed(path) : changed(path);
    }
    case "lease": {
      const { path } = stale;
      const lease = decodeLease(await textOf(host, path));
      if (lease === null || !await isGone(host, [lease])) return changed(path);
      return await host.files.remove(path) ? removed(path) : changed(path);
    }
    case "private": {
      const { path } = stale;
      const child = decodePrivateCopy(await textOf(host, path));
      if (child === null || !await isGone(host, [child, child.owner])) return changed(path);
      return await host.files.remove(path) ? removed(path) : changed(path);
    }
  }
}

async function textOf(host: CleanupHost, path: string): Promise<string> {
  const file = await readProcessFile(host, path);
  return file.kind === "text" ? file.text : "";
}

async function removeManaged(
  host: CleanupHost,
  { state, stale, signal }: {
    state: StateFolder;
    stale: Extract<Stale, { kind: "managed" }>;
    signal: AbortSignal;
  },
): Promise<Done> {
  const folder = state.server(stale.key);
  const lock = await folder.lock({ waitMs: LOCK_WAIT_MS, signal });
  if (lock === null) {
    return { removed: false, message: `left ${quoted(stale.path)}: another foster is at work on it` };
  }
  try {
    const stored = await folder.read();
    if (stored.kind !== "record" || stored.record.token !== stale.record.token) return changed(stale.path);
    if (!await isDead(host, stored.record)) return changed(stale.path);
    const { port } = stored.record;
    if (isHeld(await host.processes.listeners(port))) {
      return { removed: false, message: `left ${quoted(stale.path)}: its port ${port} is held` };
    }
    await folder.event("stopped", {
      pid: stored.record.pid,
      start_token: stored.record.start_token,
      message: "its process was gone; doctor removed the record",
    });
    await folder.forget();
    return removed(stale.path);
  } finally {
    lock.release();
  }
}

/** Nothing that the record names lives, and nobody carries its instance token. */
async function isDead(host: CleanupHost, record: ServerRecord): Promise<boolean> {
  const gone = await isGone(host, [
    record,
    { pid: record.launcher_pid, start_token: record.launcher_start_token },
    record.supervisor ?? { pid: null, start_token: null },
  ]);
  return gone && (await host.processes.carrying(`FOSTER_TOKEN=${record.token}`)).length === 0;
}

async function isGone(
  { processes }: CleanupHost,
  identities: readonly { pid: number | null; start_token: string | null }[],
): Promise<boolean> {
  const pids = identities.flatMap(({ pid }) => pid === null ? [] : [pid]);
  const seen = pids.length === 0 ? new Map() : await processes.inspect(pids);
  return identities.every(({ pid, start_token }) =>
    pid === null || isOver(verdict(seen.get(pid), start_token))
  );
}

function removed(path: string): Done {
  return { removed: true, message: `removed ${quoted(path)}` };
}

function changed(path: string): Done {
  return { removed: false, message: `left ${quoted(path)}: it has changed in the meantime` };
}
