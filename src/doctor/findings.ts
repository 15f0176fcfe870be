/**
 * What `doctor` says: findings, each with what to type.
 *
 * @module
 */
import type { System } from "../host/host.ts";

export const SECTIONS = ["processes", "ports", "cache", "tools"] as const;

export type Section = typeof SECTIONS[number];
export type Level = "info" | "warn" | "error";

export interface Finding {
  level: Level;
  section: Section;
  /** For programs, e.g. `stale_record`. */
  code: string;
  message: string;
  /** The command to type, "" where there is none. */
  fix: string;
}

const RANK: Record<Level, number> = { error: 0, warn: 1, info: 2 };

/** By section, the gravest first. */
export function inOrder(findings: readonly Finding[]): Finding[] {
  return [...findings].sort((a, b) =>
    SECTIONS.indexOf(a.section) - SECTIONS.indexOf(b.section) || RANK[a.level] - RANK[b.level]
  );
}

/** Whether anything stands above mere information. */
export function needsAttention(findings: readonly Finding[]): boolean {
  return findings.some(({ level }) => level !== "info");
}

/** In quotes, with everything escaped that a terminal would act upon. */
export function quoted(text: string): string {
  return JSON.stringify(text).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, escapedForJson);
}

/** What foster's commands need to be about the same state folder and definitions again. */
export interface TypedOptions {
  system: System;
  /** As given on the command line. */
  stateDir: string | null;
  config: string | null;
}

/** Command lines for people to type, quoted for the shell. */
export class Typed {
  readonly #options: TypedOptions;

  constructor(options: TypedOptions) {
    this.#options = options;
  }

  foster(...args: readonly string[]): string {
    const { stateDir, config } = this.#options;
    const words = ["foster", ...args];
    if (stateDir !== null) words.push("--state-dir", stateDir);
    if (config !== null) words.push("--config", config);
    return words.map((word) => this.word(word)).join(" ");
  }

  cleanup(): string {
    return this.foster("doctor", "processes", "--cleanup-stale-records");
  }

  /** Asks a process to end. */
  end(pid: number): string {
    return this.#options.system === "windows" ? `taskkill /PID ${pid} /T` : `kill -s TERM ${pid}`;
  }

  /** Shows what a process is. */
  show(pids: readonly number[]): string {
    return this.#options.system === "windows"
      ? `tasklist /V /FI "PID eq ${pids[0] ?? 0}"`
      : `ps -o pid,ppid,lstart,args -p ${pids.join(",")}`;
  }

  /** Shows what a file is. */
  look(path: string): string {
    return this.#options.system === "windows" ? `dir ${this.word(path)}` : `ls -ld ${this.word(path)}`;
  }

  removeFile(path: string): string {
    return this.#options.system === "windows" ? `del ${this.word(path)}` : `rm -f -- ${this.word(path)}`;
  }

  /** One word of a command line, as the shell wants it. */
  word(text: string): string {
    if (/^[\w.+@%,:=/-]+$/.test(text)) return text;
    if (this.#options.system === "windows") return `"${text.replaceAll('"', "")}"`;
    if (!/[^\u0020-\u007e]/.test(text)) return `'${text.replaceAll("'", "'\\''")}'`;
    return `$'${text.replace(/[\\']/g, "\\$&").replace(/[^\u0020-\u007e]/gu, escaped)}'`;
  }
}

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x80) return `\\x${code.toString(16).padStart(2, "0")}`;
  return code < 0x10000
    ? `\\u${code.toString(16).padStart(4, "0")}`
    : `\\U${code.toString(16).padStart(8, "0")}`;
}

function escapedForJson(character: string): string {
  return Array.from({ length: character.length }, (_, at) => character.charCodeAt(at))
    .map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}
