import { quoteName } from "../../base/printable.ts";
import {
  DEFAULT_MIN_AGE_MS,
  skipExplanations,
  type SkipReason,
  sweep as sweepCache,
  type SweepProgress,
  type SweepResult,
} from "../../cache/sweep.ts";
import { EXIT } from "../exit_codes.ts";
import type { Output } from "../output.ts";
import type { Verb } from "../verb.ts";

/** Reasons that leave undone what was asked for; the others are right to stay. */
const FAILED: readonly SkipReason[] = ["locked", "target_exists", "denied", "unknown", "failed"];

export const sweep: Verb = {
  name: "sweep",
  summary: "list, or delete, the build folders that interrupted builds left in uv's cache",
  usage: "[--apply] [--cache-dir DIR] [--min-age D]",
  details: "Only folders of builds-v0 that no process uses are touched, and none while a uv is running.\n" +
    "With --apply the exit code is 1 when something had to stay that should have gone.",
  operands: "none",
  options: [
    { name: "apply", kind: "flag", summary: "delete them; without it they are listed" },
    { name: "cache-dir", kind: "text", value: "DIR", summary: "uv's cache folder (uv is asked)" },
    { name: "min-age", kind: "duration", value: "D", summary: "leave younger temporary folders alone (1h)" },
  ],
  examples: [
    ["sweep", "what could be deleted, and how large it is"],
    ["sweep --apply --min-age 10m", "deletes what is older than ten minutes"],
  ],
  async run({ host, output, signal }, args) {
    const apply = args.flag("apply");
    const listed: string[] = [];
    output.progress("looking at uv's cache");
    const result = await sweepCache(host, {
      apply,
      cacheDir: args.text("cache-dir"),
      minAgeMs: args.duration("min-age") ?? DEFAULT_MIN_AGE_MS,
      onProgress(progress) {
        if (progress.kind === "deleted") listed.push(lineOf(progress, apply));
        output.progress(`${progress.kind} ${quoteName(progress.name)}`);
      },
    }, signal);
    if (output.json) output.document(result);
    else print(output, { result, listed, apply });
    const undone = apply && result.skipped.some(({ reason }) => FAILED.includes(reason));
    return undone ? EXIT.no : EXIT.done;
  },
};

function lineOf({ name, bytes }: SweepProgress, apply: boolean): string {
  return `${apply ? "deleted" : "stale"}  ${quoteName(name)}  ${size(bytes)}`;
}

function print(
  output: Output,
  { result, listed, apply }: { result: SweepResult; listed: readonly string[]; apply: boolean },
): void {
  for (const line of listed) output.line(line);
  for (const { name, reason } of result.skipped) {
    output.line(`${output.paint("kept", "dim")}  ${quoteName(name)}  ${skipExplanations[reason]}`);
  }
  const { deleted, bytes, remaining, cache_dir } = result;
  const what = deleted === 1 ? "1 folder" : `${deleted} folders`;
  const did = apply ? "deleted" : "could be deleted";
  output.line(`${what} ${did} (${size(bytes)}), ${remaining} left in ${quoteName(cache_dir)}`);
  if (!apply && deleted > 0) output.talk("foster sweep --apply deletes them");
}

function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 ** 2) return `${(bytes / 1024).toFixed(1)} KiB`;
  return bytes < 1024 ** 3
    ? `${(bytes / 1024 ** 2).toFixed(1)} MiB`
    : `${(bytes / 1024 ** 3).toFixed(1)} GiB`;
}
