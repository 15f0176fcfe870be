/**
 * Asks the holder of the port who it is, once for the whole decision, and compares the answer with what is wanted.
 *
 * @module
 */
import { type StatusSnapshot, UNREACHED } from "../../mcp/snapshot.ts";
import { type Compatibility, expectedWsPort, judge } from "./compatibility.ts";
import { askHolder, attemptReady } from "./live.ts";
import type { Asked, Session } from "../start/session.ts";

/** Our own process holds the port: asks for the whole readiness. */
export async function askOwn(session: Session): Promise<Asked> {
  const { world, request: { definition } } = session;
  world.progress(session.name, "is it ready?");
  const attempt = await attemptReady(world.host, {
    definition,
    endpoint: session.endpoint,
    timeoutMs: definition.ready.probeTimeoutMs,
    signal: world.signal,
  });
  if (attempt.kind !== "ready") {
    return {
      answered: false,
      snapshot: { ...UNREACHED, error: attempt.reason },
      compatibility: { kind: "incompatible", reason: "unknown" },
      ready: null,
      reason: attempt.reason,
    };
  }
  return {
    answered: true,
    snapshot: attempt.live,
    compatibility: judgeLive(session, attempt.live),
    ready: attempt,
    reason: "",
  };
}

/** Somebody else holds the port: asks only who it is. */
export async function askStranger(session: Session): Promise<Asked> {
  const { world, request: { definition } } = session;
  const snapshot = await askHolder(world.host, {
    definition,
    endpoint: session.endpoint,
    timeoutMs: definition.ready.probeTimeoutMs,
    signal: world.signal,
  });
  return {
    answered: snapshot.reachable,
    snapshot,
    compatibility: judgeLive(session, snapshot),
    ready: null,
    reason: snapshot.error,
  };
}

export function judgeLive(session: Session, live: StatusSnapshot): Compatibility {
  const { definition } = session.request;
  const { record, ports } = session;
  const tellsWsPort = definition.identity.statusPath !== null && definition.ready.check !== "tcp";
  const wsPort = expectedWsPort(
    { wsPort: record?.ws_port ?? null, version: record?.version ?? null },
    { wsPort: tellsWsPort ? ports.wsPort : null, version: definition.version },
  );
  // A check that only connects learns neither name nor version.
  const { name, version } = definition.ready.check === "tcp" && live.name === ""
    ? { name: null, version: null }
    : { name: definition.identity.name, version: definition.version };
  return judge(live, { name, version, wsPort });
}
