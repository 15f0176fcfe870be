/**
 * Turns what Node's interfaces throw into {@link HostError}.
 *
 * @module
 */
import { HostError, type HostErrorCode } from "./host.ts";

const codes: Record<string, HostErrorCode> = {
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

/** Whether the error says that the file, or the process behind a /proc file, is not there. */
export function isMissing(error: unknown): boolean {
  return codes[systemCode(error)] === "not_found";
}

/** `doing` is the beginning of the message, e.g. `Cannot read /a/b`. */
export function asHostError(doing: string, cause: unknown): HostError {
  if (cause instanceof HostError) return cause;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new HostError(codes[systemCode(cause)] ?? "failed", `${doing}: ${why}`, { cause });
}
