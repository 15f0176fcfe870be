import * as fs from "node:fs";
import process from "node:process";
import type { OwnProcess } from "../../system/darwin/self_check.ts";

/** What the runtime knows of foster's own process without asking the system for it. */
export function ownProcess(): OwnProcess {
  const path = process.env["PATH"];
  return {
    pid: process.pid,
    parentPid: process.ppid,
    userId: process.getuid?.() ?? null,
    executable: process.execPath,
    folder: workingFolder(),
    args: process.argv.slice(2),
    entry: path === undefined ? null : `PATH=${path}`,
    runningSince: performance.timeOrigin,
    isSameFile,
  };
}

function workingFolder(): string | null {
  try {
    return process.cwd();
  } catch {
    return null;
  }
}

function isSameFile(one: string, other: string): boolean {
  try {
    const [first, second] = [fs.statSync(one), fs.statSync(other)];
    return first.ino === second.ino && first.dev === second.dev;
  } catch {
    return false;
  }
}
