import { linesOf } from "../../base/text.ts";
import type { RunResult } from "../host.ts";

/** How a helper program ended, with the first thing it complained of. */
export function endingOf(program: string, result: RunResult): string {
  const how = result.signal === null ? `with code ${result.code}` : `by ${result.signal}`;
  const complaint = linesOf(result.stderr)[0]?.trim();
  return complaint === undefined ? `${program} ended ${how}` : `${program} ended ${how}: ${complaint}`;
}
