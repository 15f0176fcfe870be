/**
 * What macOS' `ps`, `lsof` and `netstat` print, turned into facts.
 *
 * @module
 */
import { endingOf } from "../helper.ts";
import type { Listener, ProcessFacts, ProcessObservation, ProcessUsage, RunResult } from "../../host.ts";
import { fieldsOf, linesOf, pidOf, unescapeName, wholeNumber } from "../../../base/text.ts";

/** The columns of {@link parseProcessTable}, each in an option of its own: BSDs take the rest of one as a header. */
export const PROCESS_COLUMNS = ["-o", "pid=", "-o", "ppid=", "-o", "pgid=", "-o", "stat=", "-o", "lstart="];

/** `lstart` as the C locale prints it, e.g. `Fri Nov 20 19:07:01 2026`. */
const START_TIME = /^[A-Z][a-z]{2} [A-Z][a-z]{2} \d{1,2} \d{2}:\d{2}:\d{2} \d{4}$/;

export interface ProcessTable {
  rows: Map<number, ProcessFacts>;
  /** False where a line was not understood or the text breaks off: a missing pid then proves nothing. */
  complete: boolean;
}

/** Reads the output of `ps` with {@link PROCESS_COLUMNS}. */
export function parseProcessTable(text: string): ProcessTable {
  const rows = new Map<number, ProcessFacts>();
  let complete = text === "" || text.endsWith("\n");
  for (const line of linesOf(text)) {
    const facts = parseProcessRow(line);
    if (facts === null) complete = false;
    else rows.set(facts.pid, facts);
  }
  return { rows, complete };
}

function parseProcessRow(line: string): ProcessFacts | null {
  const [pidText, parentText, groupText, stat, ...start] = fieldsOf(line);
  const pid = pidOf(pidText);
  const parentPid = wholeNumber(parentText);
  const groupId = wholeNumber(groupText);
  if (pid === null || parentPid === null || groupId === null || stat === undefined) return null;
  const zombie = stat.startsWith("Z");
  const started = start.join(" ");
  // Only this form is an identity: the same process must never get two, and a zombie needs none.
  if (!zombie && !START_TIME.test(started)) return null;
  return { pid, startTime: `ps:${started}`, parentPid, groupId, zombie };
}

/**
 * What one run of `ps -p` says about each of `pids`. It was asked for `selfPid` too: only a ps that finds foster itself
 * has looked at all, and a pid missing beside it is gone.
 */
export function decideSeen(
  pids: readonly number[],
  result: RunResult,
  selfPid: number,
): Map<number, ProcessObservation> {
  const { rows, complete } = parseProcessTable(result.stdout);
  const missing = decideMissing(result, { foundSelf: rows.has(selfPid), complete });
  return new Map(pids.map((pid) => {
    const facts = rows.get(pid);
    return [pid, facts === undefined ? missing : { kind: "seen", facts }];
  }));
}

function decideMissing(
  result: RunResult,
  { foundSelf, complete }: { foundSelf: boolean; complete: boolean },
): ProcessObservation {
  // 1 says that not every pid was found.
  if (result.code !== 0 && result.code !== 1) return { kind: "unknown", why: endingOf("ps", result) };
  if (!complete) return { kind: "unknown", why: "ps printed something that is not a process table" };
  return foundSelf ? { kind: "gone" } : { kind: "unknown", why: "ps does not show foster's own process" };
}

/**
 * Splits what `ps -o args=` printed at its blanks: weaker than an argument vector, since an argument with a blank in it
 * becomes several. Only the first argument is exact where `command` (what `ps -o comm=` printed) is known. Null where
 * ps could not read the arguments either.
 */
export function splitArguments(args: string, command: string): string[] | null {
  const joined = linesOf(args)[0]?.trim() ?? "";
  // In parentheses, or marked defunct: the accounting name, which ps shows in place of arguments it may not read.
  if (joined === "" || /^\([^)]*\)$/.test(joined) || joined.endsWith("<defunct>")) return null;
  const first = linesOf(command)[0]?.trim() ?? "";
  if (first !== "" && (joined === first || joined.startsWith(`${first} `))) {
    return [first, ...fieldsOf(joined.slice(first.length))];
  }
  return fieldsOf(joined);
}

/** Reads `ps -o pid= -o rss= -o time=`; lines that are not understood are left out. */
export function parseUsage(text: string): Map<number, ProcessUsage> {
  const usage = new Map<number, ProcessUsage>();
  for (const line of linesOf(text)) {
    const [pidText, residentText, time] = fieldsOf(line);
    const pid = pidOf(pidText);
    const residentKib = wholeNumber(residentText);
    const cpuMs = parseCpuTime(time ?? "");
    if (pid === null || residentKib === null || cpuMs === null) continue;
    usage.set(pid, { residentBytes: residentKib * 1024, cpuMs });
  }
  return usage;
}

/** CPU time as `ps` prints it, `[[days-]hours:]minutes:seconds[.hundredths]`, in milliseconds; null for all else. */
export function parseCpuTime(text: string): number | null {
  const match = /^(?:(\d+)-)?(?:(\d+):)?(\d+):(\d{2})(?:[.,](\d{1,3}))?$/.exec(text.trim());
  if (match === null) return null;
  const [, days = "0", hours = "0", minutes = "0", seconds = "0", fraction = "0"] = match;
  const wholeSeconds = ((Number(days) * 24 + Number(hours)) * 60 + Number(minutes)) * 60 + Number(seconds);
  return wholeSeconds * 1000 + Number(fraction.padEnd(3, "0"));
}

interface OpenFile {
  pid: number;
  descriptor: string;
  /** `IPv4`, `IPv6`, `REG` and others; empty where it was not asked for. */
  type: string;
  name: string;
}

/** Reads `lsof -Fpftn` (one field a line, its letter first); other fields are passed over. */
function parseOpenFiles(text: string): OpenFile[] {
  const files: OpenFile[] = [];
  let pid: number | null = null;
  let [descriptor, type] = ["", ""];
  for (const line of linesOf(text)) {
    const value = line.slice(1);
    switch (line.charAt(0)) {
      case "p":
        pid = pidOf(value);
        [descriptor, type] = ["", ""];
        break;
      case "f":
        [descriptor, type] = [value, ""];
        break;
      case "t":
        type = value;
        break;
      case "n":
        if (pid !== null) files.push({ pid, descriptor, type, name: unescapeName(value) });
        break;
    }
  }
  return files;
}

/** Working folder and program of `pid` out of `lsof -d cwd,txt`. The program is the first of its mapped files. */
export function parsePaths(text: string, pid: number): { executable: string | null; cwd: string | null } {
  const files = parseOpenFiles(text).filter((file) => file.pid === pid && file.name.startsWith("/"));
  return {
    executable: files.find((file) => file.descriptor === "txt")?.name ?? null,
    cwd: files.find((file) => file.descriptor === "cwd")?.name ?? null,
  };
}

/** What lsof prints as `*` for each family. */
const ANY_ADDRESS: Readonly<Record<string, string>> = { IPv4: "0.0.0.0", IPv6: "::" };

/** Listeners on `port` out of `lsof -iTCP -sTCP:LISTEN`, each process once for each address. */
export function parseLsofListeners(text: string, port: number): Listener[] {
  const listeners: Listener[] = [];
  for (const { pid, type, name } of parseOpenFiles(text)) {
    if (!name.endsWith(`:${port}`)) continue;
    const shown = name.slice(0, -`:${port}`.length).replace(/^\[(.*)\]$/, "$1");
    const address = shown === "*" ? ANY_ADDRESS[type] ?? shown : shown;
    if (!listeners.some((known) => known.pid === pid && known.address === address)) {
      listeners.push({ pid, address });
    }
  }
  return listeners;
}

/** Whether `lsof` found nothing and had nothing to complain of: its way to say that there is no such file. */
export function foundNothing(result: RunResult): boolean {
  const complaints = linesOf(result.stderr).filter((line) => !isWarning(line));
  return (result.code === 0 || result.code === 1) && result.stdout.trim() === "" && complaints.length === 0;
}

function isWarning(line: string): boolean {
  // A warning about one file system goes on in indented lines.
  return /^lsof: WARNING:/.test(line) || /^\s/.test(line);
}

/**
 * How many sockets `netstat -an -p tcp` shows listening on `port`, whoever they belong to. Null where it shows no table
 * of sockets at all.
 */
export function countListening(text: string, port: number): number | null {
  const lines = linesOf(text);
  if (!lines.some((line) => line.startsWith("Proto "))) return null;
  return lines.filter((line) => {
    const [protocol, , , local, , state] = fieldsOf(line);
    return protocol?.startsWith("tcp") && local?.endsWith(`.${port}`) && state === "LISTEN";
  }).length;
}
