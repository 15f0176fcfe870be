/**
 * A server's log as it grows, for one page. A page that is slower than the log is told how many lines it missed.
 *
 * @module
 */
import { printable } from "../../base/printable.ts";
import type { Host } from "../../host/host.ts";
import { follow, lastLinesOf } from "../../registry/log_reader.ts";
import { EventStream } from "../event_stream.ts";

const FIRST_LINES = 300;
const WAITING_LINES = 500;
const LINE_LIMIT = 4000;
const PAUSE_MS = 100;

/** `onGone` is called once, when the page closes the stream or it ends. */
export function streamLog(
  host: Pick<Host, "files" | "clock">,
  { path, signal, onGone }: { path: string; signal: AbortSignal; onGone(): void },
): EventStream {
  const ending = new AbortController();
  const stream = new EventStream(() => ending.abort());
  const over = AbortSignal.any([signal, ending.signal]);
  run(host, { path, stream, signal: over }).catch(() => {}).finally(() => {
    stream.end();
    onGone();
  });
  return stream;
}

async function run(
  host: Pick<Host, "files" | "clock">,
  { path, stream, signal }: { path: string; stream: EventStream; signal: AbortSignal },
): Promise<void> {
  const { lines, offset } = await lastLinesOf(host, path, { count: FIRST_LINES, signal });
  let waiting = lines.map(shown);
  let missed = 0;
  const collect = async () => {
    for await (const line of follow(host, { path, offset, signal })) {
      waiting.push(shown(line));
      if (waiting.length <= WAITING_LINES) continue;
      waiting.shift();
      missed++;
    }
  };
  const collecting = collect();
  collecting.catch(() => {});
  let isFirst = true;
  while (!signal.aborted && !stream.isOver) {
    if (waiting.length > 0 || isFirst) {
      const text = JSON.stringify({ lines: waiting, missed });
      [waiting, missed, isFirst] = [[], 0, false];
      await stream.message(new TextEncoder().encode(text), null);
    }
    await host.clock.sleep(PAUSE_MS, signal).catch(() => {});
  }
  await collecting;
}

/** Nothing in it is a colour, moves a cursor or turns the text's direction. */
function shown(line: string): string {
  const text = printable(line.length > LINE_LIMIT ? `${line.slice(0, LINE_LIMIT)} …` : line);
  return text.replaceAll("\n", " ");
}
