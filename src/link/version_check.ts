/** How long a server may take to acknowledge, counted from the first tick that sees the connection open. */
export const ACK_DEADLINE_MS = 5_000;

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

export interface CheckSeen {
  /** Number of the open connection, another one for each; null while none is open. */
  connection: number | null;
  /** As acknowledged; empty until then. */
  serverVersion: string;
  /** Monotonic milliseconds. */
  nowMs: number;
}

/** Judges a connection once, by its acknowledgement or by the lack of one. */
export class VersionCheck {
  readonly #matches: VersionMatches;
  #expected: string | null = null;
  #armed = false;
  #waiting: { connection: number; deadlineMs: number } | null = null;

  constructor(matches: VersionMatches) {
    this.#matches = matches;
  }

  get armed(): boolean {
    return this.#armed;
  }

  /** Monotonic milliseconds at which it gives up; null while it is not waiting. */
  get deadlineMs(): number | null {
    return this.#waiting?.deadlineMs ?? null;
  }

  /** From the next tick on it waits for an open connection. `expected` null accepts every version. */
  arm(expected: string | null): void {
    this.#armed = true;
    this.#expected = expected;
    this.#waiting = null;
  }

  /** Forgets the connection without a verdict. */
  disarm(): void {
    this.#armed = false;
    this.#waiting = null;
  }

  /** The verdict, once, after which it is disarmed; null while there is none. */
  tick(seen: CheckSeen): VersionVerdict | null {
    if (!this.#armed) return null;
    if (seen.connection === null) {
      this.#waiting = null;
      return null;
    }
    if (this.#waiting?.connection !== seen.connection) {
      this.#waiting = { connection: seen.connection, deadlineMs: seen.nowMs + ACK_DEADLINE_MS };
    }
    if (seen.serverVersion !== "") return this.#judge(seen.serverVersion);
    if (seen.nowMs < this.#waiting.deadlineMs) return null;
    this.disarm();
    return {
      kind: "unverified",
      expected: this.#expected,
      actual: "",
      error: "missing_handshake_ack",
      statusCode: 0,
    };
  }

  #judge(actual: string): VersionVerdict {
    const expected = this.#expected;
    this.disarm();
    return expected === null || this.#matches(expected, actual)
      ? { kind: "ready", expected, actual }
      : { kind: "incompatible", expected, actual };
  }
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
