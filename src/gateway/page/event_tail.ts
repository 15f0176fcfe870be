/**
 * The newest events of one server, as the page is sent them.
 *
 * @module
 */
import type { Host } from "../../host/host.ts";
import { parseEvent } from "../../registry/events.ts";
import { lastLinesOf } from "../../registry/log_reader.ts";
import { type PageEvent, shownText } from "./wire.ts";

const EVENTS_KEPT = 200;
const EVENTS_READ = 200;

/** The end of one server's events, read again where the file changed. */
export class EventTail {
  events: PageEvent[] = [];
  #seen = "";
  #lastLine: string | null = null;

  /** Those that came since the last reading. */
  async read(
    host: Pick<Host, "files" | "clock">,
    { key, path }: { key: string; path: string },
  ): Promise<PageEvent[]> {
    const stat = await host.files.stat(path);
    const seen = stat === null ? "" : `${stat.sizeBytes} ${stat.modifiedAt}`;
    if (seen === this.#seen) return [];
    this.#seen = seen;
    const { lines } = await lastLinesOf(host, path, { count: EVENTS_READ });
    const fresh = lines.slice(this.#lastLine === null ? 0 : lines.lastIndexOf(this.#lastLine) + 1);
    this.#lastLine = lines.at(-1) ?? this.#lastLine;
    const events = fresh.flatMap((line): PageEvent[] => {
      const event = parseEvent(line);
      if (event === null) return [];
      const { at, pid = null, message = "" } = event;
      return [{ key, at, event: event.event, pid, message: shownText(message) }];
    });
    this.events = [...this.events, ...events].slice(-EVENTS_KEPT);
    return events;
  }
}
