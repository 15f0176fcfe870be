import { printable } from "./printable.ts";

/** What a line that gives the reason begins with, or says. */
const ERROR_LINE = /^(?:[\w.]*(?:Error|Exception)\b.*:|\W*(?:npm |uv )?(?:error|fatal|panic)\b)/i;
const REASON =
  /not found|no such|no module|no solution|cannot|can't|could not|couldn't|unable to|failed|refused|denied|is not in|invalid|unexpected|missing|timed? ?out|already in use|EADDRINUSE|EACCES/i;
/** Said after the reason, and no reason. */
const EPILOGUE = /^\s*at |complete log of this run|^\W*(?:hint|note)\b|^Node\.js v\d/i;

/**
 * The lines of a program's output that tell most of why it ended: the last ones, led by the line that holds the error
 * where that stands before them. As they may be printed, `count` at most.
 */
export function tellingLines(output: string, count: number): string[] {
  const lines = printable(output).split("\n").map((line) => line.trimEnd()).filter((line) => line !== "");
  const last = lines.slice(-count);
  const scores = lines.map(scoreOf);
  const best = Math.max(0, ...scores);
  const at = scores.lastIndexOf(best);
  const telling = lines[at];
  if (best === 0 || telling === undefined || at >= lines.length - count) return last;
  return [telling, ...count === 1 ? [] : lines.slice(1 - count)];
}

function scoreOf(line: string): number {
  if (EPILOGUE.test(line)) return 0;
  return (ERROR_LINE.test(line) ? 2 : 0) + (REASON.test(line) ? 1 : 0);
}
