import { UsageError } from "../args.ts";
import type { Verb } from "../verb.ts";

/** A program loses its console for the one of another, so foster asks through a process of its own. */
export const askConsole: Verb = {
  name: "ask-console",
  summary: "CTRL_C for the console of one process of Windows",
  usage: "PID START_TIME",
  options: [],
  examples: [],
  async run({ host }, args) {
    const [pid = "", startTime = ""] = args.names;
    if (!/^\d+$/.test(pid) || startTime === "") throw new UsageError("which process?");
    return await host.processes.askConsole(Number(pid), startTime);
  },
};
