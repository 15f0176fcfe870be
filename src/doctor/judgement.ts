/**
 * The judgement on records and processes while it is being made.
 *
 * @module
 */
import type { ShellHint } from "../base/shell_hint.ts";
import type { Finding, Level } from "./findings.ts";
import { verdictOf } from "../lifecycle/observe/list.ts";
import { processName, type ServersObservation } from "./observe.ts";
import { isOver } from "../registry/identity.ts";
import type { Lease, PrivateCopy, ProcessRecord } from "../registry/process_files.ts";
import type { CopyRecord, ProcessIdentity, ServerRecord } from "../registry/record.ts";

/** What is left of a process that is gone: nothing needs it any more. */
export type Stale =
  | { kind: "managed"; key: string; path: string; record: ServerRecord }
  | { kind: "copy"; key: string; path: string; record: CopyRecord }
  | { kind: "registered"; path: string; record: ProcessRecord }
  | { kind: "lease"; path: string; lease: Lease }
  | { kind: "private"; path: string; child: PrivateCopy };

export class Judgement {
  readonly seen: ServersObservation;
  readonly shell: ShellHint;
  readonly findings: Finding[] = [];
  readonly stale: Stale[] = [];

  constructor(seen: ServersObservation, shell: ShellHint) {
    this.seen = seen;
    this.shell = shell;
  }

  add(level: Level, code: string, { message, fix }: Pick<Finding, "message" | "fix">): void {
    this.findings.push({ level, section: "processes", code, message, fix });
  }

  isOurs({ pid, start_token }: ProcessIdentity): boolean {
    return verdictOf([pid, start_token], this.seen.seen).kind === "ours";
  }

  isGone({ pid, start_token }: ProcessIdentity): boolean {
    return isOver(verdictOf([pid, start_token], this.seen.seen));
  }

  /** As {@link processName}. */
  name(pid: number): string {
    return processName(pid, this.seen.programs.get(pid));
  }
}
