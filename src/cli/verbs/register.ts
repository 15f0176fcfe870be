import { register as registerServer } from "../../register/register.ts";
import { readRegisterOptions } from "../../register/options.ts";
import { quoteName } from "../../base/printable.ts";
import { findCommand } from "../../definitions/launch/find_command.ts";
import { UsageError } from "../args.ts";
import { EXIT } from "../exit_codes.ts";
import type { Verb } from "../verb.ts";
import { worldOf } from "../worlds.ts";

export const register: Verb = {
  name: "register",
  summary: "run a server that foster does not manage, with a record that doctor reads",
  usage: "--transport stdio|http [--bind B] [--http-path P] -- CMD…",
  details:
    "The server shares stdin, stdout and stderr. Signals and the exit code go through (128+n for a signal).\n" +
    "A server that speaks stdio ends with the client that started it.",
  operands: "command",
  options: [
    { name: "transport", kind: "text", value: "T", values: ["stdio", "http"], summary: "stdio or http" },
    { name: "bind", kind: "text", value: "B", summary: "where it listens, on loopback: 127.0.0.1:3001" },
    { name: "http-path", kind: "text", value: "P", summary: "the path of its endpoint (/mcp)" },
  ],
  examples: [
    ["register --transport stdio -- uvx some-server", "in place of the command in a client's settings"],
    [
      "register --transport http --bind 127.0.0.1:3001 -- node server.js",
      "the same for a server that listens",
    ],
  ],
  async run(context, args) {
    const { host, output } = context;
    const read = readRegisterOptions({
      transport: args.text("transport"),
      bind: args.text("bind"),
      httpPath: args.text("http-path"),
    });
    if (read.kind === "wrong") throw new UsageError(read.message, read.hint);
    const [name, ...rest] = args.rest;
    if (args.names.length > 0 || name === undefined) {
      throw new UsageError(
        "which command?",
        "it stands after --, as in foster register --transport stdio -- uvx x",
      );
    }
    const found = await findCommand(host, name, { cwd: host.program.folder });
    if (!("path" in found)) {
      output.problem(`Cannot run ${quoteName(name)}: not in ${found.tried.map(quoteName).join(", ")}`);
      return EXIT.no_command;
    }
    const refused = await host.processes.mayRun(found.path);
    if (refused !== null) {
      output.problem(`Cannot run ${quoteName(name)}: ${refused}`);
      return EXIT.no_command;
    }
    return await registerServer(worldOf(context), { ...read.options, command: found.path, args: rest });
  },
};
