import { startResident } from "../../gateway/resident.ts";
import { EXIT } from "../exit_codes.ts";
import type { Verb } from "../verb.ts";
import { settingsOf } from "./serve.ts";
import { worldOf } from "../worlds.ts";

/** What a verb leaves behind where servers are to be supervised. Its standard output is supervisor.log. */
export const supervisor: Verb = {
  name: "supervisor",
  summary: "supervise the servers of a state folder; started by foster itself",
  usage: "",
  options: [
    { name: "needs-port", kind: "flag", summary: "end where the port is held by another program" },
    { name: "environment-of", kind: "texts", value: "KEY", summary: "wait for this server's environment" },
    { name: "port", kind: "text", value: "N|auto", summary: "as serve" },
    { name: "no-token", kind: "flag", summary: "as serve" },
    { name: "listen", kind: "text", value: "ADDR", summary: "as serve" },
    { name: "host", kind: "texts", value: "NAME", summary: "as serve" },
  ],
  examples: [],
  async run(context, args) {
    const { host, output } = context;
    const note = (entry: Record<string, unknown> & { type: string }) =>
      output.event({ ...entry, at: new Date(host.clock.now()).toISOString() });
    const started = await startResident(worldOf(context), {
      ...settingsOf(args),
      stay: false,
      needsPort: args.flag("needs-port"),
      environmentsOf: args.texts("environment-of"),
      onNews: ({ key }, news) => {
        if (news.type !== "progress") note({ ...news, key });
      },
      onError: ({ key }, error) =>
        note({
          type: "error",
          key,
          message: error instanceof Error ? error.stack ?? error.message : String(error),
        }),
      say: (message) => note({ type: "said", message }),
    });
    if (started.kind === "port_taken") {
      output.line(`port ${started.port} is held by another program`);
      return EXIT.foreign_port;
    }
    if (started.kind === "taken") return EXIT.done;
    const { resident } = started;
    const { pid, version, endpoint } = resident.file;
    note({ type: "started", pid, version, endpoint });
    await resident.restore();
    await resident.run();
    await resident.close();
    note({ type: "ended", pid });
    return EXIT.done;
  },
};
