/**
 * `events.ndjson`: what happened to a server and when, one JSON object a line.
 *
 * @module
 */
import type { Host } from "../host/host.ts";
import { FILE_MODE } from "./paths.ts";
import { decodeRecord, encodeRecord, type ServerRecord } from "./record.ts";

export type EventName =
  | "spawning"
  | "spawned"
  | "ready"
  | "adopted"
  | "crashed"
  | "not_ready"
  | "incompatible"
  | "interrupted"
  | "refresh_retry"
  | "probe_failed"
  | "restarting"
  | "recovered"
  | "stopping"
  | "stopped"
  | "exhausted"
  | "record_set_aside"
  | "record_rebuilt"
  | "supervising"
  | "supervisor_ended"
  | "verdict";

export interface ServerEvent {
  /** ISO 8601, UTC. */
  at: string;
  event: EventName;
  /** The process it is about. */
  pid?: number | null;
  start_token?: string | null;
  message?: string;
  /** The whole record as it then was: on spawns and adoptions, so that a lost record can be rebuilt. */
  record?: ServerRecord;
}

const LIMIT_BYTES = 1024 * 1024;
const KEPT_BYTES = 512 * 1024;

/** Reads the events, oldest first. Lines that are no event (a torn write) are passed over. */
export function parseEvents(text: string): ServerEvent[] {
  const events: ServerEvent[] = [];
  for (const line of text.split("\n")) {
    const event = parseEvent(line);
    if (event !== null) events.push(event);
  }
  return events;
}

/** One line of the file, null where it is not an event. */
export function parseEvent(line: string): ServerEvent | null {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== "object" || value === null) return null;
    const { at, event } = value as Record<string, unknown>;
    return typeof at === "string" && typeof event === "string" ? value as ServerEvent : null;
  } catch {
    return null;
  }
}

/** The newest record that the events hold, null when the server was stopped after it. */
export function lastRecord(events: readonly ServerEvent[], key: string): ServerRecord | null {
  for (const event of [...events].reverse()) {
    if (event.event === "stopped") return null;
    if (event.record === undefined) continue;
    const decoded = decodeRecord(encodeRecord(event.record), key);
    if (decoded.kind === "record") return decoded.record;
  }
  return null;
}

/** Keeps the newest lines within `keptBytes`, and the newest line with a record wherever it stands. */
export function trimEvents(text: string, keptBytes: number): string {
  const lines = text.split("\n").filter((line) => line !== "");
  const kept: string[] = [];
  let size = 0;
  let recordKept = false;
  for (const line of lines.reverse()) {
    const carriesRecord = line.includes('"record":{');
    if (size + line.length > keptBytes && (recordKept || !carriesRecord)) {
      if (recordKept) break;
      continue;
    }
    size += line.length + 1;
    recordKept ||= carriesRecord;
    kept.push(line);
  }
  return kept.reverse().map((line) => line + "\n").join("");
}

export async function appendEvent(
  host: Pick<Host, "files">,
  path: string,
  event: ServerEvent,
): Promise<void> {
  await host.files.append(path, JSON.stringify(event) + "\n", FILE_MODE);
  const stat = await host.files.stat(path);
  if (stat === null || stat.sizeBytes <= LIMIT_BYTES) return;
  const text = await host.files.readText(path);
  if (text !== null) await host.files.writeAtomic(path, trimEvents(text, KEPT_BYTES), FILE_MODE);
}
