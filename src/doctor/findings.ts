/**
 * What `doctor` says: findings, each with what to type.
 *
 * @module
 */
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

function escapedForJson(character: string): string {
  return Array.from({ length: character.length }, (_, at) => character.charCodeAt(at))
    .map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}
