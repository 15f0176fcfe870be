import type { Enrolments } from "../lifecycle/observe/list.ts";
import { isOver, verdictNow } from "../registry/identity.ts";
import { readEnrolled, readSupervisorFile } from "../registry/supervisor_files.ts";
import type { Context } from "./verb.ts";

/** What the state folder says of the gateway and of what is enrolled with it. A file that can't be used says nothing. */
export async function readEnrolments({ host, state }: Pick<Context, "host" | "state">): Promise<Enrolments> {
  const [enrolled, supervisor] = await Promise.all([
    readEnrolled(host, state.path).catch(() => ({ kind: "none" as const })),
    readSupervisorFile(host, state.path).catch(() => ({ kind: "none" as const })),
  ]);
  const port = enrolled.kind === "file" ? enrolled.value.port : null;
  const kept = port === null ? null : `http://127.0.0.1:${port}`;
  return {
    isServed: supervisor.kind === "file" && !isOver(await verdictNow(host, supervisor.value)),
    endpoint: supervisor.kind === "file" ? supervisor.value.endpoint : kept,
    servers: enrolled.kind !== "file"
      ? []
      : enrolled.value.files.flatMap(({ servers }) =>
        servers.map(({ key, name, stays_down }) => ({ key, name, staysDown: stays_down }))
      ),
  };
}
