/**
 * What is wrong with a managed server's record, or with what is left of its start.
 *
 * @module
 */
import type { ProcessFacts } from "../host/host.ts";
import { quoted } from "./findings.ts";
import type { ManagedSeen } from "./files_look.ts";
import type { Judgement } from "./judgement.ts";
import { managedVerdict, verdictOf } from "./process_rows.ts";
import type { ProcessesSeen } from "./processes_look.ts";

export function judgeManaged(judgement: Judgement, managed: ManagedSeen): void {
  const { record, key } = managed;
  const { seen, typed } = judgement;
  const name = quoted(record.name);
  const found = managedVerdict(managed, seen);
  switch (found.kind) {
    case "ours":
      judgeSupervisor(judgement, managed);
      return;
    case "unknown":
      judgement.add("warn", "unknown_process", {
        message: `${name}: it can't be told whether pid ${record.pid} is still its process (${found.why}); ` +
          "it counts as alive",
        fix: typed.foster("doctor", "tools"),
      });
      return;
    case "gone":
    case "recycled":
      break;
  }
  const supervisor = record.supervisor;
  if (supervisor !== null && judgement.isOurs(supervisor)) {
    const waits = record.next_attempt !== null || record.state === "spawning";
    judgement.add(waits ? "info" : "warn", "supervisor_without_server", {
      message: `${name} has ended; its supervisor (pid ${supervisor.pid}) is there` +
        (waits ? " and starts it again" : ", but no server"),
      fix: waits ? typed.foster("status", key) : typed.foster("down", key),
    });
    return;
  }
  const remains = remainsOf(managed, seen);
  if (remains.length > 0) {
    judgeRemains(judgement, { managed, remains });
    return;
  }
  judgement.stale.push({ kind: "managed", ...managed });
  const what = record.pid === null
    ? "its start was never finished"
    : found.kind === "gone"
    ? `pid ${record.pid} is gone`
    : `pid ${record.pid} is another process by now`;
  judgement.add("warn", record.pid === null ? "unfinished_start" : "stale_record", {
    message: `the record of ${name} is left over: ${what}`,
    fix: typed.cleanup(),
  });
}

function judgeSupervisor(judgement: Judgement, { record, key }: ManagedSeen): void {
  const { supervisor } = record;
  if (supervisor === null) return;
  const { kind } = verdictOf(supervisor.pid, supervisor.start_token, judgement.seen);
  if (kind === "ours" || kind === "unknown") return;
  const lost = record.started_by === "connect"
    ? "nobody ends it when its clients are gone"
    : "nobody restarts it when it ends";
  const args = record.started_by === "connect" ? ["down", key] : ["up", key, "--supervise"];
  judgement.add("warn", "supervisor_gone", {
    message: `${quoted(record.name)} runs (pid ${record.pid}), but its supervisor (pid ${supervisor.pid}) ` +
      `is gone: ${lost}`,
    fix: judgement.typed.foster(...args),
  });
}

/** Live processes of a start whose recorded process is gone: by its instance token, or still in its group. */
function remainsOf(managed: ManagedSeen, seen: ProcessesSeen): ProcessFacts[] {
  const { record } = managed;
  const carriers = new Set(
    seen.carriers.filter(({ token }) => token === record.token).map(({ pid }) => pid),
  );
  const recycled = managedVerdict(managed, seen).kind === "recycled";
  // A number that was given away again may lead a stranger's group.
  const groupId = recycled || record.pgid === null || record.pgid <= 1 ? null : record.pgid;
  const known = seen.list ??
    [...seen.seen.values()].flatMap((each) => each.kind === "seen" ? [each.facts] : []);
  return known.filter((facts) => !facts.zombie && facts.pid !== seen.selfPid)
    .filter((facts) => carriers.has(facts.pid) || facts.groupId === groupId);
}

function judgeRemains(
  judgement: Judgement,
  { managed: { record, key }, remains }: { managed: ManagedSeen; remains: readonly ProcessFacts[] },
): void {
  const { seen, typed } = judgement;
  const carriers = new Set(seen.carriers.map(({ pid }) => pid));
  const marked = remains.filter(({ pid }) => carriers.has(pid));
  const pids = remains.map(({ pid }) => pid);
  const named = pids.map((pid) => judgement.name(pid)).join(", ");
  const message = `${quoted(record.name)} has ended (pid ${record.pid ?? "unknown"}), but of its start ` +
    `${pids.length === 1 ? "is" : "are"} left: ${named}`;
  if (marked.length === 0) {
    judgement.add("warn", "group_left", { message, fix: typed.show(pids) });
    return;
  }
  const within = record.pgid !== null && marked.every(({ groupId }) => groupId === record.pgid);
  const fix = within ? typed.foster("down", key) : marked.map(({ pid }) => typed.end(pid)).join("; ");
  judgement.add("warn", "server_left", { message, fix });
}
