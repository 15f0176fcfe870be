/**
 * What is wrong with the records of managed and registered servers: the decision, over what was observed. A process is
 * a record's by its start time, or this state folder's by its instance token; a name proves nothing.
 *
 * @module
 */
import type { ProcessFacts } from "../host/host.ts";
import { recordVerdict, verdictOf } from "../lifecycle/observe/list.ts";
import type { Judgement } from "./judgement.ts";
import { quoted } from "./findings.ts";
import type { ManagedServer, RegisteredServer, ServersObservation } from "./observe.ts";
import type { ProcessRow } from "./rows.ts";

export function judgeManaged(judgement: Judgement, managed: ManagedServer): void {
  const { record, key } = managed;
  const { seen, shell } = judgement;
  const name = quoted(record.name);
  const found = recordVerdict(managed.record, seen.seen);
  switch (found.kind) {
    case "ours":
      judgeSupervisor(judgement, managed);
      return;
    case "unknown":
      judgement.add("warn", "unknown_process", {
        message: `${name}: it can't be told whether pid ${record.pid} is still its process (${found.why}); ` +
          "it counts as alive",
        fix: shell.foster("doctor", "tools"),
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
      fix: waits ? shell.foster("status", key) : shell.foster("down", key),
    });
    return;
  }
  const remains = remainsOf(managed, seen);
  if (remains.length > 0) {
    judgeRemains(judgement, { managed, remains });
    return;
  }
  if (seen.heldPorts.has(record.port)) {
    judgement.add("warn", "port_held", {
      message: `${name}: pid ${record.pid ?? "unknown"} is gone, but its port ${record.port} is held; ` +
        "its record is kept until it is known by whom",
      fix: shell.foster("status", key),
    });
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
    fix: shell.cleanup(),
  });
}

function judgeSupervisor(judgement: Judgement, { record, key }: ManagedServer): void {
  const { supervisor } = record;
  if (supervisor === null) return;
  const { kind } = verdictOf([supervisor.pid, supervisor.start_token], judgement.seen.seen);
  if (kind === "ours" || kind === "unknown") return;
  const lost = record.started_by === "connect"
    ? "nobody ends it when its clients are gone"
    : "nobody restarts it when it ends";
  const args = record.started_by === "connect" ? ["down", key] : ["up", key, "--supervise"];
  judgement.add("warn", "supervisor_gone", {
    message: `${quoted(record.name)} runs (pid ${record.pid}), but its supervisor (pid ${supervisor.pid}) ` +
      `is gone: ${lost}`,
    fix: judgement.shell.foster(...args),
  });
}

/** Live processes of a start whose recorded process is gone: by its instance token, or still in its group. */
function remainsOf(managed: ManagedServer, seen: ServersObservation): ProcessFacts[] {
  const { record } = managed;
  const carriers = new Set(
    seen.carriers.filter(({ token }) => token === record.token).map(({ pid }) => pid),
  );
  const recycled = recordVerdict(managed.record, seen.seen).kind === "recycled";
  // A pid that was given away again may lead a foreign group.
  const groupId = recycled || record.pgid === null || record.pgid <= 1 ? null : record.pgid;
  const known = seen.list ??
    [...seen.seen.values()].flatMap((each) => each.kind === "seen" ? [each.facts] : []);
  return known.filter((facts) => !facts.zombie && facts.pid !== seen.selfPid)
    .filter((facts) => carriers.has(facts.pid) || facts.groupId === groupId);
}

function judgeRemains(
  judgement: Judgement,
  { managed: { record, key }, remains }: { managed: ManagedServer; remains: readonly ProcessFacts[] },
): void {
  const { seen, shell } = judgement;
  const carriers = new Set(seen.carriers.map(({ pid }) => pid));
  const marked = remains.filter(({ pid }) => carriers.has(pid));
  const pids = remains.map(({ pid }) => pid);
  const named = pids.map((pid) => judgement.name(pid)).join(", ");
  const message = `${quoted(record.name)} has ended (pid ${record.pid ?? "unknown"}), but of its start ` +
    `${pids.length === 1 ? "is" : "are"} left: ${named}`;
  if (marked.length === 0) {
    judgement.add("warn", "group_left", { message, fix: shell.show(pids) });
    return;
  }
  const within = record.pgid !== null && marked.every(({ groupId }) => groupId === record.pgid);
  const fix = within ? shell.foster("down", key) : marked.map(({ pid }) => shell.end(pid)).join("; ");
  judgement.add("warn", "server_left", { message, fix });
}

export function judgeRegistered(
  judgement: Judgement,
  { record, path, row }: RegisteredServer & { row: ProcessRow | undefined },
): void {
  const { shell } = judgement;
  const what = `the ${record.transport} server ${judgement.name(record.pid)}`;
  const found = verdictOf([record.pid, record.start_token], judgement.seen.seen);
  switch (found.kind) {
    case "ours": {
      const { register } = record;
      if (row?.stale_client) {
        judgement.add("warn", "stale_client", {
          message: `${what} lives on without its client: its parent was pid ${record.parent_pid_at_start}, ` +
            `now it is pid ${row.current_parent_pid}`,
          fix: shell.end(record.pid),
        });
      } else if (register !== null && judgement.isGone(register)) {
        judgement.add("info", "register_gone", {
          message: `${what} lives on without its foster register (pid ${register.pid})`,
          fix: shell.end(record.pid),
        });
      }
      return;
    }
    case "unknown":
      judgement.add("warn", "unknown_process", {
        message: `it can't be told whether pid ${record.pid} is still the server of ${quoted(path)} ` +
          `(${found.why}); it counts as alive`,
        fix: shell.show([record.pid]),
      });
      return;
    case "gone":
    case "recycled":
      judgement.stale.push({ kind: "registered", path, record });
      judgement.add("warn", "stale_record", {
        message: `the record of the registered server pid ${record.pid} is left over: ` +
          (found.kind === "gone" ? "it is gone" : "that is another process by now"),
        fix: shell.cleanup(),
      });
  }
}
