/**
 * Whether a live process uses a folder: as its working folder, program, open or mapped file, or by naming it on its
 * command line or in its environment. The last counts because a Python of a virtual environment runs the program that
 * the environment links to, and then has no file of the environment open.
 *
 * @module
 */
import type { FolderUse, System } from "./host.ts";
import { reason } from "./system/linux/access.ts";
import type { DirectAccess, ReaderTools } from "./system/reader.ts";
import { linesOf, pidOf, unescapeName } from "../base/text.ts";

/** What one process was seen to touch (`paths`) and to mention (`texts`). */
export interface ProcessTraces {
  pid: number;
  paths: readonly string[];
  texts: readonly string[];
}

type UsingTools = Pick<ReaderTools, "run" | "direct">;

/** Looks once for all `folders` (absolute, links resolved). Never throws: a failed search is `unknown`. */
export async function foldersInUse(
  folders: readonly string[],
  { system, tools }: { system: System; tools: UsingTools },
): Promise<Map<string, FolderUse>> {
  if (folders.length === 0) return new Map();
  try {
    const traces = await look(folders, system, tools);
    return new Map(folders.map((folder) => [folder, decideUse(folder, traces)]));
  } catch (error) {
    return new Map(folders.map((folder) => [folder, { kind: "unknown", why: reason(error) }]));
  }
}

/** Which of the processes seen use the folder. A name that merely begins like it is another folder's. */
export function decideUse(folder: string, traces: readonly ProcessTraces[]): FolderUse {
  const pids = traces
    .filter(({ paths, texts }) =>
      paths.some((path) => isWithin(path, folder)) || texts.some((text) => mentions(text, folder))
    )
    .map(({ pid }) => pid);
  return pids.length === 0 ? { kind: "free" } : { kind: "busy", pids: [...new Set(pids)] };
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path === `${folder} (deleted)` || path.startsWith(`${folder}/`);
}

function mentions(text: string, folder: string): boolean {
  for (let at = text.indexOf(folder); at !== -1; at = text.indexOf(folder, at + 1)) {
    const next = text.charAt(at + folder.length);
    if (!/[\w.-]/.test(next)) return true;
  }
  return false;
}

function look(
  folders: readonly string[],
  system: System,
  { run, direct }: UsingTools,
): ProcessTraces[] | Promise<ProcessTraces[]> {
  switch (system) {
    case "linux":
      return direct === null ? lookThroughHelpers(folders, run) : lookDirectly(direct);
    case "darwin":
      return lookByLsof(run);
    case "windows":
      // Windows itself refuses to rename a folder in which anything is open or running.
      return [];
  }
}

// ---------------------------------------------------------------------------------------------------- Linux, direct

/** Environments and tables of mapped files are seldom larger than some 100 KiB. */
const textLimitBytes = 4 * 1024 * 1024;

function lookDirectly(direct: DirectAccess): ProcessTraces[] {
  return direct.listNames("/proc").flatMap((name) => {
    const pid = pidOf(name);
    return pid === null ? [] : tracesOf(direct, pid);
  });
}

/**
 * Other users' processes and those that shield themselves (agents with secrets) refuse all but their command line,
 * which then has to do. Where even that is refused nothing can be said of the process.
 */
function tracesOf(direct: DirectAccess, pid: number): ProcessTraces[] {
  const at = `/proc/${pid}`;
  const command = commandLine(direct, at);
  if (command === null) return [];
  const files = attempt(() => direct.listNames(`${at}/fd`)) ?? [];
  const links = ["cwd", "exe", "root", ...files.map((file) => `fd/${file}`)];
  const paths = links.map((link) => attempt(() => direct.readLink(`${at}/${link}`)));
  const texts = ["environ", "maps"].map((file) => attempt(() => readText(direct, `${at}/${file}`)));
  return [{
    pid,
    paths: paths.filter((each) => each !== null),
    texts: [command, ...texts.filter((each) => each !== null)],
  }];
}

/** @throws where the process is there, but refuses it */
function commandLine(direct: DirectAccess, at: string): string | null {
  try {
    return readText(direct, `${at}/cmdline`);
  } catch (error) {
    // One that ended while it was read gives an error too.
    if (direct.readBytes(`${at}/stat`, 1) === null) return null;
    throw error;
  }
}

function readText(direct: DirectAccess, path: string): string | null {
  const bytes = direct.readBytes(path, textLimitBytes);
  return bytes === null ? null : new TextDecoder().decode(bytes);
}

function attempt<T>(action: () => T | null): T | null {
  try {
    return action();
  } catch {
    return null;
  }
}

// -------------------------------------------------------------------------------------------------- helper programs

const helperTimeoutMs = 30_000;

/** Four paths for each: far below the system's limit for a command line. */
const pidsPerRun = 500;

async function lookThroughHelpers(
  folders: readonly string[],
  run: UsingTools["run"],
): Promise<ProcessTraces[]> {
  if (folders.some((folder) => folder.includes("\n"))) {
    throw new Error("a folder's name has a line break, which the search for its users can't express");
  }
  const { code, stdout, stderr } = await run("ls", ["/proc"], { timeoutMs: helperTimeoutMs });
  if (code !== 0) throw new Error(`the processes can't be listed: ${stderr.trim()}`);
  const pids = linesOf(stdout).map(pidOf).filter((pid) => pid !== null);
  if (pids.length === 0) throw new Error("ls shows no process in /proc");
  const traces: ProcessTraces[] = [];
  for (let at = 0; at < pids.length; at += pidsPerRun) {
    const some = pids.slice(at, at + pidsPerRun);
    const links = await linksOf(some, run);
    traces.push(...links, ...await textsOf(some, folders, run));
  }
  // foster's own folder and program are among them.
  if (!traces.some(({ paths }) => paths.length > 0)) throw new Error("find shows no process in /proc");
  return traces;
}

async function linksOf(pids: readonly number[], run: UsingTools["run"]): Promise<ProcessTraces[]> {
  const places = pids.flatMap((pid) => ["cwd", "exe", "root", "fd"].map((name) => `/proc/${pid}/${name}`));
  const showing = ["-maxdepth", "1", "-type", "l", "-printf", "%p\\0%l\\0"];
  const { code, stdout, stderr } = await run("find", [...places, ...showing], { timeoutMs: helperTimeoutMs });
  // Other users' processes and those that just ended are the usual failures, and name a path.
  if (code !== 0 && !stderr.includes("/proc/")) throw new Error(`find failed: ${stderr.trim()}`);
  const fields = stdout.split("\0");
  return pairs(fields).flatMap(([link, target]) => {
    const pid = pidOf(/^\/proc\/(\d+)\//.exec(link)?.[1]);
    return pid === null ? [] : [{ pid, paths: [target], texts: [] }];
  });
}

async function textsOf(
  pids: readonly number[],
  folders: readonly string[],
  run: UsingTools["run"],
): Promise<ProcessTraces[]> {
  const places = pids.flatMap((pid) => ["cmdline", "environ", "maps"].map((name) => `/proc/${pid}/${name}`));
  // The folders go through stdin: on its own command line `grep` would find them again.
  const { code, stdout, stderr } = await run("grep", ["-lzsF", "-f", "-", "--", ...places], {
    timeoutMs: helperTimeoutMs,
    input: folders.map((folder) => `${folder}\n`).join(""),
  });
  // Unreadable files alone also give an error code, but no message.
  if (code !== 0 && code !== 1 && stderr !== "") throw new Error(`grep failed: ${stderr.trim()}`);
  const traces: ProcessTraces[] = [];
  for (const path of linesOf(stdout)) {
    const pid = pidOf(/^\/proc\/(\d+)\//.exec(path)?.[1]);
    if (pid === null) continue;
    const text = await run("cat", [path], { timeoutMs: helperTimeoutMs });
    traces.push({ pid, paths: [], texts: [text.stdout] });
  }
  return traces;
}

function pairs(fields: readonly string[]): [string, string][] {
  const found: [string, string][] = [];
  for (let at = 0; at + 1 < fields.length; at += 2) found.push([fields[at] ?? "", fields[at + 1] ?? ""]);
  return found;
}

async function lookByLsof(run: UsingTools["run"]): Promise<ProcessTraces[]> {
  const [files, commands] = await Promise.all([
    run("lsof", ["-nPw", "-Fpn"], { timeoutMs: helperTimeoutMs }),
    run("ps", ["-axww", "-o", "pid=,args="], { timeoutMs: helperTimeoutMs }),
  ]);
  // 1 is also what it says when some process could not be looked at.
  const traces = parseLsofNames(files.stdout);
  if (traces.length === 0) throw new Error(`lsof failed: ${files.stderr.trim()}`);
  const lines = parseCommands(commands.stdout);
  if (commands.code !== 0 || lines.length === 0) throw new Error(`ps failed: ${commands.stderr.trim()}`);
  return [...traces, ...lines];
}

/** What `lsof -Fpn` prints: a line with the pid, then one with the name of each file. */
export function parseLsofNames(text: string): ProcessTraces[] {
  const found = new Map<number, string[]>();
  let paths: string[] = [];
  for (const line of linesOf(text)) {
    if (line.startsWith("p")) {
      const pid = pidOf(line.slice(1));
      paths = [];
      if (pid !== null) found.set(pid, paths);
    } else if (line.startsWith("n")) {
      paths.push(unescapeName(line.slice(1)));
    }
  }
  return [...found].map(([pid, names]) => ({ pid, paths: names, texts: [] }));
}

function parseCommands(text: string): ProcessTraces[] {
  return linesOf(text).flatMap((line) => {
    const [, digits, command = ""] = /^\s*(\d+)\s(.*)$/.exec(line) ?? [];
    const pid = pidOf(digits);
    return pid === null ? [] : [{ pid, paths: [], texts: [command] }];
  });
}
