import { type Link, runLinkNdjson, verdictState, type VersionVerdict } from "../../link/mod.ts";
import { versionMatches } from "../../lifecycle/observe/compatibility.ts";
import { recordVerdict } from "../../lifecycle/version_verdict.ts";
import { recordIn } from "../../registry/store.ts";
import { EXIT } from "../exit_codes.ts";
import { type BlockedServer, linkSession, reasonToWait, reread, untilRecovered } from "../link_session.ts";
import { PID } from "../owner.ts";
import { findTarget } from "../targets.ts";
import type { Verb } from "../verb.ts";
import { worldOf } from "../worlds.ts";

export const link: Verb = {
  name: "link",
  summary: "hold the WebSocket session of an editor-style server, as lines of JSON",
  usage: "NAME [OPTIONS]",
  details: "stdout: open, ack, verdict, then command; also reconnecting, closed, backpressure, log.\n" +
    "stdin: event, response, readiness, pause, resume, close. The session outlives the server's restarts.\n" +
    "A server of another version, or one that never acknowledges, is left alone until up or recover has made it\n" +
    "right; with --once that ends it (13).",
  options: [
    { name: "once", kind: "flag", summary: "end, with 13, where the server is a wrong one" },
    {
      name: "command-timeout",
      kind: "duration",
      value: "D",
      summary: "for the answer to a command without a time of its own (4500ms; take_screenshot 30s)",
    },
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
    const { host, output, signal, callerFolder } = context;
    const world = worldOf(context);
    const folder = context.state.server(target.key);
    const session = await linkSession(context, target);
    const once = args.flag("once");
    const clientVersion = args.text("client-version");
    const over = new AbortController();
    const opened = Promise.withResolvers<Link>();

    /** Goes on with the server as it is by then, once it is another one. */
    const goOn = async (blocked: BlockedServer) => {
      if (once) return;
      await untilRecovered(context, target, { session, blocked, signal: over.signal });
      const { port, expectedVersion, ...now } = await linkSession(context, await reread(context, target));
      const changes = { port, expectedVersion, launchMode: now.launchMode };
      (await opened.promise).unblock({ ...changes, clientVersion: clientVersion ?? now.clientVersion });
    };
    const note = async (verdict: VersionVerdict) => {
      const record = recordIn(await folder.read());
      const state = verdictState(verdict);
      const got = verdict.actual || "no answer";
      const message = `${verdict.kind}: expected ${verdict.expected ?? "any"}, got ${got}`;
      await recordVerdict(world, folder, { state, version: verdict.actual, message });
      if (state === "ready") return;
      await goOn({ token: record?.token ?? null, sawWrong: false });
    };
    const working = new Set<Promise<void>>();
    /** The session goes on whatever becomes of the record. */
    const inBackground = (work: Promise<void>) => {
      const done: Promise<void> = work.catch((error) => {
        if (over.signal.aborted) return;
        output.talk(
          `the server's record could not be used: ${error instanceof Error ? error.message : error}`,
        );
      }).finally(() => working.delete(done));
      working.add(done);
    };
    const blockedReason = reasonToWait({ name: target.name, record: session.record });
    if (blockedReason !== null) {
      inBackground(goOn({ token: session.record?.token ?? null, sawWrong: true }));
    }
    const end = await runLinkNdjson(host, {
      link: {
        name: target.name,
        port: session.port,
        hostname: session.hostname,
        projectPath: args.text("project") ?? callerFolder,
        sessionId: args.text("session-id") ?? undefined,
        clientName: session.clientName,
        clientVersion: clientVersion ?? session.clientVersion,
        runtimeVersion: session.runtimeVersion,
        launchMode: session.launchMode,
        ownerPid: args.number("owner-pid", PID) ?? undefined,
        readiness: args.text("readiness") ?? undefined,
        expectedVersion: session.expectedVersion,
        versionMatches,
        timeoutsMs: session.commandTimeoutsMs,
        defaultTimeoutMs: args.duration("command-timeout") ?? undefined,
        blockedReason,
      },
      input: host.terminal.stdin,
      output: (line) => output.jsonLine(line),
      signal,
      once,
      onLink: opened.resolve,
      onVerdict: (verdict) => inBackground(note(verdict)),
    });
    over.abort();
    await Promise.all(working);
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
