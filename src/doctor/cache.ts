/**
 * What is wrong with uv's cache: the decision, over what a sweep that changes nothing counted.
 *
 * @module
 */
import { type Finding, quoted, type Typed } from "./findings.ts";

export interface CacheSeen {
  cacheDir: string;
  /** Folders that a sweep would delete, and the bytes in them. */
  stale: number;
  bytes: number;
  /** Folders that stay, with the reason for each. */
  kept: readonly string[];
}

export function judgeCache({ cacheDir, stale, bytes, kept }: CacheSeen, typed: Typed): Finding[] {
  const findings: Finding[] = [];
  const add = (level: Finding["level"], code: string, message: string, fix: string) =>
    findings.push({ level, section: "cache", code, message, fix });
  const where = `in ${quoted(cacheDir)}`;
  if (stale > 0) {
    add(
      "warn",
      "stale_builds",
      `${folders(stale)} left over ${where}: ${bytes} bytes`,
      typed.foster("sweep", "--apply"),
    );
  }
  const locked = kept.filter((reason) => reason === "locked").length;
  if (locked > 0) {
    add(
      "info",
      "uv_running",
      `uv is running and holds its cache lock: ${folders(locked)} ${where} may be in use`,
      typed.foster("sweep"),
    );
  }
  const unknown = kept.filter((reason) => reason === "unknown").length;
  if (unknown > 0) {
    const message = `${folders(unknown)} ${where}: it can't be told from here whether uv uses them`;
    add("info", "unknown_builds", message, typed.foster("sweep"));
  }
  return findings;
}

function folders(count: number): string {
  return count === 1 ? "1 build folder" : `${count} build folders`;
}
