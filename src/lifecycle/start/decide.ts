/**
 * The whole decision of `up`: from what was seen of a server to the next thing to do about it.
 *
 * @module
 */
import type { Compatibility } from "../observe/compatibility.ts";
import type { Observation } from "../observe/observe.ts";
import type { Proof } from "../observe/proof.ts";

export interface StartFacts {
  /** A start already happened under this hold of the lock. */
  hasActed: boolean;
  observed: Observation;
  /** The user wants what runs to be ended first. */
  restart: boolean;
  /** The parts of the definition that changed since the server of the record was started. */
  changed: readonly string[];
  /** The definition's `identity.name`; without one, a foreign process is never adopted. */
  expectedName: string | null;
  /** What the holder of the port answered and how that compares; null until it was asked. */
  answer: { answered: boolean; compatibility: Compatibility } | null;
  /** The holder of the port is another server of foster's own: it has its own name to be ended by. */
  isOtherServer: boolean;
  /** What may be ended to free the port; null without a proof. */
  proof: Proof | null;
  /** Whether a command was found; only asked where something would be spawned. */
  command: "found" | "missing" | "not_asked";
  /** Whether the system keeps the port for itself. */
  reserved: boolean;
}

export type ReplaceReason = "asked" | "definition_changed" | "version" | "silent" | "port_lost" | "proof";

export type StartDecision =
  | { kind: "guarded" }
  /** Ask the holder of the port who it is, then decide again. */
  | { kind: "ask_holder"; owned: boolean }
  /** Look for the command, then decide again. */
  | { kind: "find_command" }
  | { kind: "spawn" }
  | { kind: "no_command" }
  | { kind: "port_excluded" }
  | { kind: "adopt_managed" }
  | { kind: "adopt_external" }
  /** Ours and alive, or about to be, but nothing listens yet. */
  | { kind: "await"; wasReady: boolean }
  /** End our own processes, or those of the proof, then look again. */
  | { kind: "replace"; reason: ReplaceReason; proof: Proof | null }
  | { kind: "foreign_port" }
  | { kind: "incompatible"; compatibility: Compatibility | null }
  /** It can't be told whether the recorded process is ours: nothing is touched. */
  | { kind: "unknown"; why: string };

export function decideStart(facts: StartFacts): StartDecision {
  const { observed, answer } = facts;
  if (facts.hasActed) return { kind: "guarded" };
  switch (observed.liveness.kind) {
    case "unknown":
      return { kind: "unknown", why: observed.liveness.why };
    case "alive":
      return decideOurs(facts);
    case "dead":
      break;
  }
  // Nobody can bind a reserved port: it looks held, but by nobody.
  const free = observed.port.kind === "free" || (facts.reserved && observed.port.holders.length === 0);
  if (free) {
    if (observed.pending.length > 0) return { kind: "await", wasReady: false };
    switch (facts.command) {
      case "not_asked":
        return { kind: "find_command" };
      case "missing":
        return { kind: "no_command" };
      case "found":
        return facts.reserved ? { kind: "port_excluded" } : { kind: "spawn" };
    }
  }
  if (facts.expectedName === null) return { kind: "foreign_port" };
  if (facts.isOtherServer) return { kind: "incompatible", compatibility: null };
  if (answer === null) return { kind: "ask_holder", owned: false };
  if (answer.compatibility.kind === "compatible") return { kind: "adopt_external" };
  if (facts.proof !== null) return { kind: "replace", reason: "proof", proof: facts.proof };
  return { kind: "incompatible", compatibility: answer.compatibility };
}

/** Something of ours is alive. */
function decideOurs(facts: StartFacts): StartDecision {
  const { observed, restart, changed, answer, expectedName, proof } = facts;
  if (restart) return { kind: "replace", reason: "asked", proof: null };
  if (changed.length > 0) return { kind: "replace", reason: "definition_changed", proof: null };
  const wasReady = observed.record?.ready_at != null;
  if (observed.port.kind === "free") return { kind: "await", wasReady };

  const foreign = observed.port.holders.filter((holder) => !holder.owned);
  const holdsIt = observed.port.holders.length > foreign.length || foreign.length === 0;
  if (holdsIt) {
    if (answer === null) return { kind: "ask_holder", owned: true };
    if (!answer.answered) {
      return wasReady ? { kind: "replace", reason: "silent", proof: null } : { kind: "await", wasReady };
    }
    if (answer.compatibility.kind === "compatible") return { kind: "adopt_managed" };
    return { kind: "replace", reason: "version", proof: null };
  }
  // A foreign process took the port: our server cannot serve any more, whatever is done about the holder.
  if (facts.isOtherServer) return { kind: "replace", reason: "port_lost", proof: null };
  if (expectedName !== null && answer === null) return { kind: "ask_holder", owned: false };
  if (answer?.compatibility.kind === "incompatible" && proof !== null) {
    return { kind: "replace", reason: "proof", proof };
  }
  return { kind: "replace", reason: "port_lost", proof: null };
}
