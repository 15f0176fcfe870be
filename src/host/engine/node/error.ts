/**
 * Turns what an engine throws into {@link HostError}.
 *
 * @module
 */
import { HostError, type HostErrorCode } from "../../host.ts";

const codesBySystemCode: Readonly<Record<string, HostErrorCode>> = {
  ENOENT: "not_found",
  ENOTDIR: "not_found",
  ESRCH: "not_found",
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

/** The system's own word for an error, e.g. `ENOENT`; empty where it has none. */
export function systemCode(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "";
}

/** The host's word for whatever an engine throws. */
export function hostErrorCode(error: unknown): HostErrorCode {
  if (error instanceof HostError) return error.code;
  // Deno's own permissions have no number from the system.
  if (error instanceof Error && error.name === "NotCapable") return "no_permission";
  return codesBySystemCode[systemCode(error)] ?? "failed";
}

/** Whether this machine has no such address, e.g. none of IPv6. */
export function isUnavailable(error: unknown): boolean {
  return ["EADDRNOTAVAIL", "EAFNOSUPPORT"].includes(systemCode(error));
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
  return attempt(doing, () => orNullLater(async () => await action()));
}

/** Null where the thing is not there. @throws what `action` throws otherwise */
export function orNull<T>(action: () => T): T | null {
  try {
    return action();
  } catch (error) {
    return nullIfMissing(error);
  }
}

/** As {@link orNull}, for what takes its time. */
export async function orNullLater<T>(action: () => Promise<T>): Promise<T | null> {
  try {
    return await action();
  } catch (error) {
    return nullIfMissing(error);
  }
}

function nullIfMissing(error: unknown): null {
  if (hostErrorCode(error) === "not_found") return null;
  throw error;
}
