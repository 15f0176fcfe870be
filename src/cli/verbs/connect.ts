import { decodeJsonOrNull, type Decoder, object, text } from "../../base/decode.ts";
import type { ConnectTarget } from "../../connect/connect.ts";
import { supervisedServers } from "../../supervisor/enrolment.ts";
import { EXIT } from "../exit_codes.ts";
import type { Verb } from "../verb.ts";
import { worldOf } from "../worlds.ts";

const DEFAULT_TIMEOUT_MS = 60_000;

export const connect: Verb = {
  name: "connect",
  summary: "a server for clients that only speak stdio, alive across its restarts",
  usage: "[NAME] [OPTIONS]",
  details:
    "For the configuration of an MCP client. A server is started when something is asked of it. Without NAME:\n" +
    "all servers of the definition file, as one. stdout carries the protocol and nothing else.",
  options: [
    {
      name: "idle",
      kind: "text",
      value: "D",
      summary: "how long the server outlives its last client (30s), or never",
    },
    {
      name: "timeout",
      kind: "duration",
      value: "D",
      summary: "how long a request waits for the server (60s)",
    },
    {
      name: "no-translate",
      kind: "flag",
      summary: "refuses where client and server speak different revisions of MCP",
    },
  ],
  examples: [
    ["connect demo", "the server inside foster, over stdio"],
    ["connect docs --idle never", "the same for a server of the definition file, which then stays"],
  ],
  async run(context, args) {
    const { program } = context.host;
    const noted = decodeJsonOrNull(program.note ?? "", connectTarget);
    const target = noted ?? await (await import("../connect_target.ts")).connectTarget(context, args);
    // From here on bytes are handed on, for days: what finding the servers took is not kept for it.
    if (program.note === null) program.beginAnew(JSON.stringify(target));
    const { runConnect } = await import("../../connect/connect.ts");
    await runConnect(worldOf(context), {
      ...target,
      timeoutMs: args.duration("timeout") ?? DEFAULT_TIMEOUT_MS,
      mayTranslate: !args.flag("no-translate"),
    });
    return EXIT.done;
  },
};

const connectTarget: Decoder<ConnectTarget> = object({
  name: text(),
  servers: supervisedServers,
  path: text(),
});
