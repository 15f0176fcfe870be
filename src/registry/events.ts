/**
 * `events.ndjson`: what happened to a server and when, one JSON object a line.
 *
 * @module
 */
import { decodeJsonOrNull, type Decoder, nullable, openObject, optional, text } from "../base/decode.ts";
import type { Host } from "../host/host.ts";
import { refuseOdd } from "./own_text.ts";
import { FILE_MODE } from "./paths.ts";
import { decodeRecord, encodeRecord, type ServerRecord } from "./record.ts";
import { pidOrZero, time } from "./values.ts";

export type EventName =
  | "spawning"
  | "spawned"
  | "ready"
  | "adopted"
  | "crashed"
  | "not_ready"
  | "start_failed"
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
const READ_BYTES = 2 * LIMIT_BYTES;

/** Reads the events, oldest first. Lines that are no event (a torn write) are passed over. */
export function parseEvents(text: string): ServerEvent[] {
  const events: ServerEvent[] = [];
  for (const line of text.split("\n")) {
    const event = parseEvent(line);
    if (event !== null) events.push(event);
  }
  return events;
}

/** A record in it is trusted once {@link decodeRecord} has read it, not before. */
const serverEvent: Decoder<ServerEvent> = openObject({
  at: time,
  // A later foster may know more of them.
  event: text(/^[a-z_]{1,64}$/) as Decoder<EventName>,
  pid: optional(nullable(pidOrZero), undefined),
  start_token: optional(nullable(text()), undefined),
  message: optional(text(), undefined),
  record: ((value) => value) as Decoder<ServerRecord | undefined>,
});

/** One line of the file, null where it is not an event. */
export function parseEvent(line: string): ServerEvent | null {
  return decodeJsonOrNull(line, serverEvent);
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

/** The newest events, oldest first; none where the file is missing or no regular file. @throws HostError */
export async function readEvents(host: Pick<Host, "files">, path: string): Promise<ServerEvent[]> {
  return parseEvents(await newestText(host, path) ?? "");
}

/** The end of the file, as much as it is ever meant to hold. */
async function newestText({ files }: Pick<Host, "files">, path: string): Promise<string | null> {
  const size = (await files.stat(path))?.sizeBytes ?? 0;
  const read = await files.readOwn(path, { offset: Math.max(0, size - READ_BYTES), limitBytes: READ_BYTES });
  return read.kind === "read" ? new TextDecoder().decode(read.bytes) : null;
}

/** @throws HostError where the file can't be written, or is no regular file */
export async function appendEvent(
  host: Pick<Host, "files">,
  path: string,
  event: ServerEvent,
): Promise<void> {
  await refuseOdd(host, path);
  await host.files.append(path, JSON.stringify(event) + "\n", FILE_MODE);
}

/** Whether the file has grown so large that {@link trimEventFile} should cut it. */
export async function isOverlong({ files }: Pick<Host, "files">, path: string): Promise<boolean> {
  const stat = await files.stat(path);
  return stat?.kind === "file" && stat.sizeBytes > LIMIT_BYTES;
}

/** Only for the holder of the server's lock: what two fosters wrote at once would be lost. @throws HostError */
export async function trimEventFile(host: Pick<Host, "files">, path: string): Promise<void> {
  const text = await newestText(host, path);
  if (text !== null) await host.files.writeAtomic(path, trimEvents(text, KEPT_BYTES), FILE_MODE);
}
