/**
 * Why the last start of a server that is gone came to nothing, as its events tell.
 *
 * @module
 */
import { type Host, HostError } from "../../host/host.ts";
import { type EventName, parseEvent, type ServerEvent } from "../../registry/events.ts";
import type { ServerFolder, StateFolder } from "../../registry/store.ts";
import { lastLinesOf } from "../follow.ts";
import type { ListedRow } from "./inspect.ts";

type EventHost = Pick<Host, "files" | "clock">;

const STOPPED: Partial<Record<EventName, (event: ServerEvent) => string>> = {
  interrupted: ({ at }) => `its start was interrupted at ${at}`,
  incompatible: ({ at, message }) => `it was stopped again at ${at}: ${message}`,
  not_ready: ({ at, message }) => `it was stopped again at ${at}: ${message}`,
};

/** "" where foster did not stop it itself: its exit says it all. */
export function reasonOf(event: ServerEvent): string {
  return STOPPED[event.event]?.(event) ?? "";
}

/** As {@link reasonOf} of the last event. Events that can't be read give no reason. */
export async function lastReason(host: EventHost, folder: Pick<ServerFolder, "paths">): Promise<string> {
  try {
    const { lines: [line] } = await lastLinesOf(host, folder.paths.events, 1);
    const event = line === undefined ? null : parseEvent(line);
    return event === null ? "" : reasonOf(event);
  } catch (error) {
    if (error instanceof HostError) return "";
    throw error;
  }
}

/** Crashed servers with the reason in their message. */
export async function withReasons(
  host: EventHost,
  { state, rows }: { state: StateFolder; rows: readonly ListedRow[] },
): Promise<ListedRow[]> {
  return await Promise.all(
    rows.map(async (row) =>
      row.state === "crashed" && row.message === ""
        ? { ...row, message: await lastReason(host, state.server(row.key)) }
        : row
    ),
  );
}
