/** How long a server may take to acknowledge, counted from the tick that sees the connection open. Milliseconds. */
export const ACK_TIMEOUT_MS = 5_000;

export type VersionVerdict =
  | { kind: "ready"; expected: string | null; actual: string }
  | { kind: "incompatible"; expected: string; actual: string }
  | {
    kind: "unverified";
    expected: string | null;
    actual: "";
    error: "missing_handshake_ack";
    statusCode: 0;
  };

/** Whether `actual` is what `expected` (an exact version or a range) asks for. */
export type VersionMatches = (expected: string, actual: string) => boolean;

export interface Acknowledgement {
  /** As acknowledged; empty until then. */
  serverVersion: string;
  /** Monotonic milliseconds until which an acknowledgement is waited for. */
  deadlineMs: number;
}

/**
 * Judges a connection by its acknowledgement, one that is read at the deadline included, or by the lack of one; null
 * while it is waited for. `expected` null accepts every version.
 */
export function judgeVersion(
  { serverVersion, deadlineMs }: Acknowledgement,
  { expected, matches, nowMs }: { expected: string | null; matches: VersionMatches; nowMs: number },
): VersionVerdict | null {
  if (serverVersion !== "") {
    return expected === null || matches(expected, serverVersion)
      ? { kind: "ready", expected, actual: serverVersion }
      : { kind: "incompatible", expected, actual: serverVersion };
  }
  if (nowMs < deadlineMs) return null;
  return { kind: "unverified", expected, actual: "", error: "missing_handshake_ack", statusCode: 0 };
}

/** The state that a verdict gives the server. */
export function verdictState(verdict: VersionVerdict): "ready" | "incompatible" {
  return verdict.kind === "ready" ? "ready" : "incompatible";
}

/** Why a server with this verdict is left alone; null where it is good. */
export function blockReason(name: string, verdict: VersionVerdict): string | null {
  const wanted = verdict.expected === null ? "any version" : `version ${verdict.expected}`;
  const hint = `See what runs there: foster status "${name}"`;
  switch (verdict.kind) {
    case "ready":
      return null;
    case "incompatible":
      return `it says version ${verdict.actual}, but ${wanted} is expected. ${hint}`;
    case "unverified":
      return `it did not acknowledge the handshake in time, so ${wanted} can't be verified. ${hint}`;
  }
}
