/**
 * Turns what an engine throws into {@link HostError}.
 *
 * @module
 */
import { HostError, type HostErrorCode } from "./host.ts";

export const codesBySystemCode: Readonly<Record<string, HostErrorCode>> = {
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

export interface Translator {
  /** `doing` is the beginning of the message, e.g. `Cannot read /a/b`. */
  asHostError(doing: string, cause: unknown): HostError;
  /** @throws HostError for whatever `action` throws */
  attempt<T>(doing: string, action: () => T | Promise<T>): Promise<T>;
  /** As {@link attempt}, null where the thing is not there. */
  attemptOrNull<T>(doing: string, action: () => T | Promise<T>): Promise<T | null>;
  /** Null where the thing is not there. @throws what `action` throws otherwise */
  orNull<T>(action: () => T): T | null;
  /** As {@link orNull}, for what takes its time. */
  orNullLater<T>(action: () => Promise<T>): Promise<T | null>;
}

/** `codeOf` is the host's word for what an engine throws. */
export function translator(codeOf: (error: unknown) => HostErrorCode): Translator {
  const asHostError = (doing: string, cause: unknown) => {
    if (cause instanceof HostError) return cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    return new HostError(codeOf(cause), `${doing}: ${why}`, { cause });
  };
  const nullIfMissing = (error: unknown): null => {
    if (codeOf(error) === "not_found") return null;
    throw error;
  };
  return {
    asHostError,

    async attempt(doing, action) {
      try {
        return await action();
      } catch (error) {
        throw asHostError(doing, error);
      }
    },

    async attemptOrNull(doing, action) {
      try {
        return await action();
      } catch (error) {
        if (codeOf(error) === "not_found") return null;
        throw asHostError(doing, error);
      }
    },

    orNull(action) {
      try {
        return action();
      } catch (error) {
        return nullIfMissing(error);
      }
    },

    async orNullLater(action) {
      try {
        return await action();
      } catch (error) {
        return nullIfMissing(error);
      }
    },
  };
}
