/**
 * What is wrong with records and processes: the decision as a whole.
 *
 * @module
 */
import type { ShellHint } from "../base/shell_hint.ts";
import type { System } from "../host/host.ts";
import type { Finding } from "./findings.ts";
import { Judgement, type Stale } from "./judgement.ts";
import {
  judgeBad,
  judgeCopy,
  judgeLease,
  judgeLookalike,
  judgeOrphan,
  judgePrivate,
  type Lookalike,
  orphansOf,
} from "./leftovers.ts";
import type { ServersObservation } from "./observe.ts";
import { provenPids } from "./owners.ts";
import { type ProcessRow, processRows } from "./rows.ts";
import { judgeManaged, judgeRegistered } from "./servers.ts";

export interface JudgeOptions {
  shell: ShellHint;
  system: System;
  lookalikes: readonly Lookalike[];
}

export interface ProcessesJudged {
  rows: ProcessRow[];
  findings: Finding[];
  stale: Stale[];
}

export function judgeProcesses(seen: ServersObservation, options: JudgeOptions): ProcessesJudged {
  const { shell, system, lookalikes } = options;
  const rows = processRows(seen, system);
  const judgement = new Judgement(seen, shell);
  for (const managed of seen.managed) judgeManaged(judgement, managed);
  const rowByPath = new Map(rows.map((row) => [row.record, row]));
  for (const registered of seen.registered) {
    judgeRegistered(judgement, { ...registered, row: rowByPath.get(registered.path) });
  }
  for (const lease of seen.leases) judgeLease(judgement, lease);
  for (const copy of seen.copies) judgeCopy(judgement, copy);
  for (const copy of seen.privates) judgePrivate(judgement, copy);
  for (const bad of seen.bad) judgeBad(judgement, bad);
  const proven = provenPids(seen);
  for (const carrier of orphansOf(seen, proven)) judgeOrphan(judgement, carrier);
  // Who carries the instance token has been judged already.
  const known = new Set([...proven, ...seen.carriers.map(({ pid }) => pid)]);
  for (const each of lookalikes) if (!known.has(each.pid)) judgeLookalike(judgement, each);
  const { findings, stale } = judgement;
  return { rows, findings, stale };
}
