/**
 * What is wrong with uv's cache, and what would help foster on this machine: the decisions.
 *
 * @module
 */
import type { ShellHint } from "../base/shell_hint.ts";
import type { System } from "../host/host.ts";
import { type Finding, quoted } from "./findings.ts";

export interface CacheCount {
  cacheDir: string;
  /** Folders that a sweep would delete, and the bytes in them. */
  stale: number;
  bytes: number;
  /** Folders that stay, with the reason for each. */
  kept: readonly string[];
}

export function judgeCache({ cacheDir, stale, bytes, kept }: CacheCount, shell: ShellHint): Finding[] {
  const findings: Finding[] = [];
  const add = (level: Finding["level"], code: string, message: string, fix: string) =>
    findings.push({ level, section: "cache", code, message, fix });
  const where = `in ${quoted(cacheDir)}`;
  if (stale > 0) {
    add(
      "warn",
      "stale_builds",
      `${folders(stale)} left over ${where}: ${bytes} bytes`,
      shell.foster("sweep", "--apply"),
    );
  }
  const locked = kept.filter((reason) => reason === "locked").length;
  if (locked > 0) {
    add(
      "info",
      "uv_running",
      `uv is running and holds its cache lock: ${folders(locked)} ${where} may be in use`,
      shell.foster("sweep"),
    );
  }
  const unknown = kept.filter((reason) => reason === "unknown").length;
  if (unknown > 0) {
    const message = `${folders(unknown)} ${where}: it can't be told from here whether uv uses them`;
    add("info", "unknown_builds", message, shell.foster("sweep"));
  }
  return findings;
}

function folders(count: number): string {
  return count === 1 ? "1 build folder" : `${count} build folders`;
}

// ---------------------------------------------------------------------------------------------------------- tools

export interface ToolsObservation {
  system: System;
  /** Programs of {@link wantedTools} that were not found. */
  missing: readonly string[];
  /** False where Deno's permissions keep foster from looking at processes by itself. */
  fullAccess: boolean;
  /** Files and folders of the state folder that others may look into, with their permission bits. */
  open: readonly { path: string; mode: number; folder: boolean }[];
}

const INSTALL: Record<string, { what: string; fix: string }> = {
  uv: { what: "uv is missing: servers that start through uvx can't be started", fix: "pip install uv" },
  npx: {
    what: "npx is missing: servers that start through npx can't be started",
    fix: "install Node.js, which brings npx",
  },
  lsof: { what: "lsof is missing: it can't always be told who listens on a port", fix: "install lsof" },
};

/** Where one of several programs is enough they stand together. */
export function wantedTools(system: System): readonly (readonly string[])[] {
  switch (system) {
    case "linux":
      return [["uv"], ["npx"], ["lsof", "ss"]];
    case "darwin":
      return [["uv"], ["npx"], ["lsof"]];
    case "windows":
      return [["uv"], ["npx"]];
  }
}

export function judgeTools(
  { system, missing, fullAccess, open }: ToolsObservation,
  shell: ShellHint,
): Finding[] {
  const findings: Finding[] = [];
  const add = (code: string, message: string, fix: string, level: Finding["level"] = "info") =>
    findings.push({ level, section: "tools", code, message, fix });
  for (const alternatives of wantedTools(system)) {
    if (!alternatives.every((tool) => missing.includes(tool))) continue;
    const known = INSTALL[alternatives[0] ?? ""];
    if (known !== undefined) add("missing_tool", known.what, known.fix);
  }
  if (!fullAccess) {
    const message =
      "Deno's permissions keep foster from looking at processes by itself: it asks helper programs, " +
      "which is slower";
    add("slow_path", message, "deno run -A main.ts (or the foster binary)");
  }
  for (const { path, mode, folder } of open) {
    const fix = `chmod ${folder ? "700" : "600"} ${shell.word(path)}`;
    const bits = `(mode ${mode.toString(8)})`;
    // What others write is acted upon: a record says what foster ends.
    if ((mode & 0o002) !== 0) add("writable", `everybody may write to ${quoted(path)} ${bits}`, fix, "error");
    else if ((mode & 0o020) !== 0) {
      add("writable", `its group may write to ${quoted(path)} ${bits}`, fix, "warn");
    } else add("open_mode", `${quoted(path)} is open to other users ${bits}`, fix);
  }
  return findings;
}
