/**
 * The judgement on records and processes while it is being made.
 *
 * @module
 */
import type { Finding, Level, Typed } from "./findings.ts";
import { verdictOf } from "./process_rows.ts";
import { type ProcessesSeen, processName } from "./processes_look.ts";
import { isOver } from "../registry/identity.ts";
import type { Lease } from "../registry/process_files.ts";
import type { PrivateCopy } from "../registry/process_files.ts";
import type { ProcessRecord } from "../registry/process_files.ts";
import type { ProcessIdentity, ServerRecord } from "../registry/record.ts";

/** What is left of a process that is gone: nothing needs it any more. */
export type Stale =
  | { kind: "managed"; key: string; path: string; record: ServerRecord }
  | { kind: "registered"; path: string; record: ProcessRecord }
  | { kind: "lease"; path: string; lease: Lease }
  | { kind: "private"; path: string; child: PrivateCopy };

export class Judgement {
  readonly seen: ProcessesSeen;
  readonly typed: Typed;
  readonly findings: Finding[] = [];
  readonly stale: Stale[] = [];

  constructor(seen: ProcessesSeen, typed: Typed) {
    this.seen = seen;
    this.typed = typed;
  }

  add(level: Level, code: string, { message, fix }: Pick<Finding, "message" | "fix">): void {
    this.findings.push({ level, section: "processes", code, message, fix });
  }

  isOurs({ pid, start_token }: ProcessIdentity): boolean {
    return verdictOf(pid, start_token, this.seen).kind === "ours";
  }

  isGone({ pid, start_token }: ProcessIdentity): boolean {
    return isOver(verdictOf(pid, start_token, this.seen));
  }

  /** As {@link processName}. */
  name(pid: number): string {
    return processName(pid, this.seen.programs.get(pid));
  }
}
