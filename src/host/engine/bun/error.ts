/**
 * Turns what Node's interfaces throw into {@link HostError}.
 *
 * @module
 */
import { codesBySystemCode, systemCode, translator } from "../../errors.ts";

/** Whether the error says that the file, or the process behind a /proc file, is not there. */
export function isMissing(error: unknown): boolean {
  return codesBySystemCode[systemCode(error)] === "not_found";
}

export const { asHostError, attempt, attemptOrNull, orNull, orNullLater } = translator((error) =>
  codesBySystemCode[systemCode(error)] ?? "failed"
);
