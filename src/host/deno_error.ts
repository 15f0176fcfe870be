/**
 * Turns what Deno throws into {@link HostError}.
 *
 * @module
 */
import { HostError, type HostErrorCode } from "./host.ts";

const codesByName: Record<string, HostErrorCode> = {
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

const codesBySystemWord: Record<string, HostErrorCode> = {
  ENOENT: "not_found",
  ENOTDIR: "not_found",
  EEXIST: "exists",
  ENOTEMPTY: "exists",
  EACCES: "denied",
  EPERM: "denied",
  EROFS: "denied",
  EBUSY: "busy",
  ETXTBSY: "busy",
  EADDRINUSE: "busy",
  ETIMEDOUT: "timeout",
  ENOSPC: "no_space",
  EDQUOT: "no_space",
  ENOSYS: "unsupported",
  ENOTSUP: "unsupported",
  EOPNOTSUPP: "unsupported",
};

/** The host's word for an error that Deno, or Deno's Node layer, has thrown. */
export function hostErrorCode(error: unknown): HostErrorCode {
  if (!(error instanceof Error)) return "failed";
  const word = "code" in error && typeof error.code === "string" ? error.code : "";
  const code = codesByName[error.name] ?? codesBySystemWord[word];
  // Deno has no word for it: a file in /proc whose process ended while it was open.
  return code ?? (error.message.startsWith("No such process") ? "not_found" : "failed");
}

/** `doing` is the beginning of the message, e.g. `Cannot read /a/b`. */
export function asHostError(doing: string, cause: unknown): HostError {
  if (cause instanceof HostError) return cause;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new HostError(hostErrorCode(cause), `${doing}: ${why}`, { cause });
}

/** @throws HostError for whatever `action` throws */
export async function attempt<T>(doing: string, action: () => T | Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw asHostError(doing, error);
  }
}

/** As {@link attempt}, null where the thing is not there. */
export function attemptOrNull<T>(doing: string, action: () => T | Promise<T>): Promise<T | null> {
  return attempt(doing, async () => {
    try {
      return await action();
    } catch (error) {
      if (hostErrorCode(error) === "not_found") return null;
      throw error;
    }
  });
}
