import type { Outcome } from "../lifecycle/row.ts";
import { UsageError } from "./args.ts";
import type { Context } from "./verb.ts";

/** The file to append to. Asked before anything is started. @throws UsageError outside GitHub Actions */
export function githubOutputFile({ host }: Pick<Context, "host">): string {
  const path = host.env.get("GITHUB_OUTPUT");
  if (!path) throw new UsageError("GITHUB_OUTPUT is not set: --github-output is for GitHub Actions");
  return path;
}

/** `endpoint`, `pid`, `log` and `state` of the first server, and the same with each server's name in front. */
export function githubOutput(outcomes: readonly Outcome[]): string {
  const lines: string[] = [];
  outcomes.forEach(({ row }, index) => {
    const values = { endpoint: row.endpoint ?? "", pid: row.pid ?? "", log: row.log, state: row.state };
    for (const [name, value] of Object.entries(values)) {
      if (index === 0) lines.push(`${name}=${value}`);
      lines.push(`${row.name.replaceAll(/[^A-Za-z0-9_-]/g, "_")}_${name}=${value}`);
    }
  });
  return lines.map((line) => line + "\n").join("");
}
