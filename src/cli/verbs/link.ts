import { runLinkNdjson, verdictState } from "../../link/mod.ts";
import { versionMatches } from "../../lifecycle/observe/compatibility.ts";
import { recordVerdict } from "../../lifecycle/version_verdict.ts";
import { readAutoPorts } from "../../registry/auto_ports.ts";
import { withOverrides } from "../../definitions/definition.ts";
import { VERSION } from "../../version.ts";
import { UsageError } from "../args.ts";
import { EXIT } from "../exit_codes.ts";
import { findTarget, type Target } from "../targets.ts";
import type { Context, Verb } from "../verb.ts";
import { worldOf } from "../worlds.ts";

const PID = { min: 2, max: 4_194_304 };

export const link: Verb = {
  name: "link",
  summary: "hold the WebSocket session of an editor-style server, as lines of JSON",
  usage: "NAME [OPTIONS]",
  details: "stdout: open, ack, verdict, then command; also reconnecting, closed, backpressure, log.\n" +
    "stdin: event, response, readiness, pause, resume, close. The session outlives the server's restarts.\n" +
    "A server of another version, or one that never acknowledges, is left alone (13).",
  options: [
    { name: "project", kind: "text", value: "PATH", summary: "the project that the session belongs to" },
    { name: "session-id", kind: "text", value: "ID", summary: "instead of one made from the project's name" },
    { name: "client-version", kind: "text", value: "V", summary: "the version that the client says it has" },
    {
      name: "readiness",
      kind: "text",
      value: "R",
      values: ["ready", "no_scene", "importing", "playing"],
      summary: "ready, no_scene, importing or playing",
    },
    { name: "owner-pid", kind: "number", value: "N", summary: "the program that owns the session" },
  ],
  examples: [
    ["link demo", "registers with the demo and prints what it sends"],
    ["link demo --project /tmp/game --readiness importing", "for a project that is not ready yet"],
  ],
  async run(context, args) {
    const target = await findTarget(context, args.oneName());
    const { definition } = target;
    const { host, output, signal, callerFolder } = context;
    const world = worldOf(context);
    const folder = context.state.server(target.key);
    const wanted = definition === null ? null : withOverrides(definition, await folder.overrides());
    const end = await runLinkNdjson(host, {
      link: {
        name: target.name,
        port: await wsPortOf(context, target),
        hostname: wanted?.host ?? "127.0.0.1",
        projectPath: args.text("project") ?? callerFolder,
        sessionId: args.text("session-id") ?? undefined,
        clientVersion: args.text("client-version") ?? wanted?.link?.clientVersion ?? VERSION,
        runtimeVersion: wanted?.link?.runtimeVersion ?? "",
        launchMode: wanted?.link?.launchMode ?? "unknown",
        ownerPid: args.number("owner-pid", PID) ?? undefined,
        readiness: args.text("readiness") ?? undefined,
        expectedVersion: wanted?.version ?? target.record?.version ?? null,
        versionMatches,
      },
      input: host.terminal.stdin,
      output: (line) => output.jsonLine(line),
      signal,
      onVerdict: (verdict) => {
        const message = `${verdict.kind}: expected ${verdict.expected ?? "any"}, got ${
          verdict.actual || "no answer"
        }`;
        // The session goes on whatever becomes of the note.
        recordVerdict(world, folder, { state: verdictState(verdict), version: verdict.actual, message })
          .catch((error) =>
            output.talk(`could not note the verdict: ${error instanceof Error ? error.message : error}`)
          );
      },
    });
    switch (end.kind) {
      case "closed":
        return EXIT.done;
      case "blocked":
        output.problem(end.reason);
        return EXIT.incompatible;
      case "interrupted":
        signal.throwIfAborted();
        return EXIT.interrupted;
    }
  },
};

/** @throws UsageError where the server has no WebSocket side or no port yet */
async function wsPortOf(context: Context, { name, key, definition, record }: Target): Promise<number> {
  if (record?.ws_port != null) return record.ws_port;
  const wanted = definition?.wsPort ?? null;
  if (wanted === null) throw new UsageError(`"${name}" has no WebSocket side`, `give it a "wsPort"`);
  const port = wanted === "auto" ? (await readAutoPorts(context.host, context.state))[`${key}:ws`] : wanted;
  if (port === undefined) {
    throw new UsageError(`"${name}" has no WebSocket port yet`, `foster up "${name}" gives it one`);
  }
  return port;
}
