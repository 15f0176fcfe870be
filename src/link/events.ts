import type { LogLine } from "./log_ring.ts";
import type { Overflow } from "./outbound.ts";
import type { VersionVerdict } from "./version_check.ts";

/** What a link tells. For each connection `open`, `ack` and `verdict` come in this order, before any command. */
export type LinkEvent =
  | { type: "open"; sessionId: string }
  | { type: "ack"; serverVersion: string }
  | { type: "verdict"; verdict: VersionVerdict }
  /** Attempt number `attempt` since the last success begins now; the next one is made `nextRetryS` seconds later. */
  | { type: "reconnecting"; attempt: number; nextRetryS: number }
  | { type: "closed"; code: number; reason: string }
  /** The server has the old session id already: from here on the link goes by this one. */
  | { type: "session"; sessionId: string }
  /** Nothing will be opened any more. */
  | { type: "blocked"; reason: string }
  /** An answer did not fit: a short error took its place, or not even that did fit. */
  | { type: "backpressure"; requestId: string; action: "replaced" | "dropped"; overflow: Overflow }
  | { type: "log" } & LogLine;
