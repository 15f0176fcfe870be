/**
 * The permissions that foster asks of Deno when it runs from source, as data, and what follows from having only these.
 *
 * @module
 */
import type { SpawnRules } from "../node/processes.ts";

/** The programs that foster starts by itself: servers' usual launchers first, then those that it asks about processes. */
export const runnablePrograms = [
  "deno",
  "node",
  "npm",
  "npx",
  "bun",
  "bunx",
  "python",
  "python3",
  "uv",
  "uvx",
  "docker",
  "cat",
  "ls",
  "find",
  "grep",
  "readlink",
  "kill",
  "ps",
  "lsof",
  "ss",
  "sh",
  "netstat",
  "powershell",
  "pwsh",
  "tasklist",
  "taskkill",
  "netsh",
] as const;

/**
 * How a verb is run from source. Without the last flag Deno reads the whole program before its first line, as a
 * process that stays should: the files of a checkout may change while it runs, and what it loads late has to fit.
 */
export const sourceFlags = ["run", "-q", "--no-prompt", "--unstable-lazy-dynamic-imports"] as const;

/** Enough for every verb, as long as the servers' programs are among {@link runnablePrograms}. */
export const scopedFlags: readonly string[] = [
  "--allow-read",
  "--allow-write",
  "--allow-env",
  "--allow-sys",
  "--allow-net=127.0.0.1,localhost,[::1]",
  `--allow-run=${runnablePrograms.join(",")}`,
];

/** The permission flags among Deno's own arguments (those before the script's). */
export function permissionFlags(denoArgs: readonly string[]): string[] {
  const permission = /^(?:--(?:allow|deny|ignore)-[a-z]+|--permission-set|-[ARWNESP])(?:=.*)?$/;
  return denoArgs.filter((each) => permission.test(each));
}

/** What children may be under the present permissions. A refusal names the flag that is missing. */
export const spawnRules: SpawnRules = {
  environment: (env) => isGranted({ name: "run" }) ? env : withoutLoaderVariables(env),
  refusal: (command) =>
    isGranted({ name: "run", command })
      ? null
      : `Deno does not let foster run ${command}: add it to --allow-run (--allow-run=…,${command})`,
};

export function isGranted(permission: Deno.PermissionDescriptor): boolean {
  return Deno.permissions.querySync(permission).state === "granted";
}

/** Variables that change which libraries a program loads: Deno lets children have them only with every `run` permission. */
export function withoutLoaderVariables(env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(?:LD|DYLD)_/.test(name)));
}
