/**
 * Turns what Deno throws into {@link HostError}.
 *
 * @module
 */
import { codesBySystemCode, systemCode, translator } from "../../errors.ts";
import type { HostErrorCode } from "../../host.ts";

const codesByName: Readonly<Record<string, HostErrorCode>> = {
  NotFound: "not_found",
  NotADirectory: "not_found",
  AlreadyExists: "exists",
  PermissionDenied: "denied",
  NotCapable: "no_permission",
  Busy: "busy",
  AddrInUse: "busy",
  WouldBlock: "busy",
  TimedOut: "timeout",
  NotSupported: "unsupported",
};

/** The host's word for an error that Deno, or Deno's Node layer, has thrown. */
export function hostErrorCode(error: unknown): HostErrorCode {
  if (!(error instanceof Error)) return "failed";
  const code = codesByName[error.name] ?? codesBySystemCode[systemCode(error)];
  // Deno has no word for it: a file in /proc whose process ended while it was open.
  return code ?? (error.message.startsWith("No such process") ? "not_found" : "failed");
}

export const { asHostError, attempt, attemptOrNull, orNull, orNullLater } = translator(hostErrorCode);
