import { isObject } from "../../base/json.ts";
import { parseEvent, type ServerEvent } from "../../registry/events.ts";
import { follow, lastLinesOf } from "../../registry/log_reader.ts";
import { crashLogOf } from "../../registry/log_files.ts";
import { EXIT } from "../exit_codes.ts";
import { UsageError } from "../args.ts";
import { findRecorded } from "../targets.ts";
import type { Context, Verb } from "../verb.ts";

const DEFAULT_LINES = 50;
const MAX_LINES = 1_000_000;

export const logs: Verb = {
  name: "logs",
  summary: "what a server printed, or what happened to it",
  usage: "NAME [-f] [-n N] [--events] [--crash]",
  details: "Follows across rotation and restarts. The log stays readable after down, until the next start.",
  options: [
    { name: "follow", kind: "flag", alias: "f", summary: "go on as it grows" },
    { name: "lines", kind: "number", alias: "n", value: "N", summary: "how many lines to begin with (50)" },
    { name: "events", kind: "flag", summary: "starts, stops, crashes and adoptions instead" },
    { name: "crash", kind: "flag", summary: "the end of the log of its last crash" },
  ],
  examples: [
    ["logs demo -n 20", "its last 20 lines"],
    ["logs demo --events", "what happened to it, and when"],
  ],
  async run(context, args) {
    const { key, name } = await findRecorded(context, args.oneName());
    if (args.flag("events") && args.flag("crash")) throw new UsageError("either --events or --crash");
    const folder = context.state.server(key);
    const file = args.flag("events")
      ? folder.paths.events
      : args.flag("crash")
      ? await crashLogOf(context.host, folder)
      : folder.paths.log;
    const show = args.flag("events") ? showEvent : showLine;
    const count = args.number("lines", { min: 0, max: MAX_LINES }) ?? DEFAULT_LINES;
    const { lines, offset } = await lastLinesOf(context.host, file, {
      count,
      signal: context.signal,
    });
    if (lines.length === 0 && count > 0 && !args.flag("follow")) {
      context.output.talk(`"${name}" has nothing in ${file}`);
      if (context.output.json) context.output.event({ type: "empty", name, file });
      return EXIT.done;
    }
    for (const line of lines) show(context, line);
    if (!args.flag("follow")) return EXIT.done;
    for await (const line of follow(context.host, { path: file, offset, signal: context.signal })) {
      show(context, line);
    }
    return EXIT.interrupted;
  },
};

function showLine({ output }: Context, line: string): void {
  if (output.json) output.event({ type: "log", line });
  else output.line(line);
}

function showEvent({ output }: Context, line: string): void {
  const event = parseEvent(line);
  if (event === null) return;
  if (output.json) {
    output.event({ type: "event", ...withoutToken(event) });
    return;
  }
  const pid = event.pid == null ? "" : `pid ${event.pid}`;
  const parts = [event.at, event.event, pid, event.message ?? ""];
  output.line(parts.filter((part) => part !== "").join("  "));
}

/** The instance token is proof of whose a process is: it stays in the state folder. */
function withoutToken(event: ServerEvent): Record<string, unknown> {
  if (!isObject(event.record)) return { ...event };
  const { token: _hidden, ...record } = event.record;
  return { ...event, record };
}
