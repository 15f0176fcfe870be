/**
 * What is said, and which exit code is given, when a verb fails as a whole.
 *
 * @module
 */
import { HostError } from "../host/host.ts";
import { DefinitionError } from "../definitions/definition_error.ts";
import { StateFolderError } from "../registry/safe_folder.ts";
import { UsageError } from "./args.ts";
import { EXIT, type ExitCode } from "./exit_codes.ts";

export interface Failure {
  code: string;
  message: string;
  hint: string;
  exitCode: ExitCode;
}

export function describeFailure(error: unknown, verbose: boolean): Failure {
  if (error instanceof UsageError) {
    return { code: error.code, message: error.message, hint: error.hint, exitCode: EXIT.usage };
  }
  if (error instanceof DefinitionError) {
    return { code: error.code, message: error.message, hint: error.hint ?? "", exitCode: EXIT.usage };
  }
  if (error instanceof StateFolderError) {
    return { code: error.code, message: error.message, hint: error.hint, exitCode: EXIT.usage };
  }
  if (error instanceof HostError) return describeHostError(error);
  const bug = error instanceof Error ? error : new Error(String(error));
  return {
    code: "bug",
    message: `This is a bug in foster: ${verbose ? bug.stack ?? bug.message : bug.message}`,
    hint: verbose ? "please report it with the lines above" : "the same command with --verbose tells more",
    exitCode: EXIT.bug,
  };
}

function describeHostError(error: HostError): Failure {
  const failure = (hint: string): Failure => ({
    code: error.code,
    message: error.message,
    hint,
    exitCode: EXIT.no,
  });
  switch (error.code) {
    case "denied":
      return failure(
        "the state folder must be writable: choose another with --state-dir or FOSTER_STATE_DIR",
      );
    case "no_permission":
      return failure("give Deno that permission, or use the foster binary");
    case "no_space":
      return failure("the disk is full: free some space, then try again");
    case "not_found":
    case "exists":
    case "failed":
      return failure("if that is the state folder: choose another with --state-dir or FOSTER_STATE_DIR");
    case "busy":
    case "timeout":
    case "unsupported":
      return failure("");
  }
}

export function failureDocument({ code, message, hint, exitCode }: Failure) {
  return { error: { code, message, hint, exit_code: exitCode } };
}
