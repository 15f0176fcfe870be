/**
 * What foster knows of the Deno that runs it, and how to start itself once more.
 *
 * @module
 */
import { isGranted, permissionFlags, scopedFlags } from "./permissions.ts";
import { helperEnvironment } from "../../system/helper.ts";
import type { EngineFacts } from "../../host.ts";

type Command = readonly [string, ...string[]];

export class DenoEngine implements EngineFacts {
  readonly name = "deno";
  readonly version = Deno.version.deno;
  readonly standalone = Deno.build.standalone;
  readonly arch = Deno.build.arch;
  readonly fullAccess = hasFullAccess();
  #selfCommand: Command | null = null;

  /** Worked out when it is first asked for: under scoped permissions it takes a helper program. */
  get selfCommand(): Command {
    return this.#selfCommand ??= this.standalone ? [Deno.execPath()] : fromSource();
  }
}

/** For processes that stay: none of `sourceFlags`, so that all of the program is of one moment. */
function fromSource(): Command {
  const main = pathOf(new URL("../../../../main.ts", import.meta.url));
  const config = pathOf(new URL("../../../../deno.json", import.meta.url));
  return [denoProgram(), "run", "-q", "--no-prompt", "--config", config, ...ownPermissions(), main];
}

/** On Linux `run` alone is not enough: Deno opens /proc only to programs with every permission. */
function hasFullAccess(): boolean {
  if (!isGranted({ name: "run" })) return false;
  if (Deno.build.os !== "linux") return true;
  try {
    Deno.readTextFileSync("/proc/self/stat");
    return true;
  } catch {
    return false;
  }
}

/** Deno's own path; where only the one on PATH may be run, that one, if it is the same program. */
function denoProgram(): string {
  const own = Deno.execPath();
  if (isGranted({ name: "run", command: own })) return own;
  const separator = Deno.build.os === "windows" ? ";" : ":";
  const name = Deno.build.os === "windows" ? "deno.exe" : "deno";
  const candidates = (Deno.env.get("PATH") ?? "").split(separator).map((folder) => `${folder}/${name}`);
  const same = (path: string) =>
    isGranted({ name: "run", command: path }) && realPath(path) === realPath(own);
  return candidates.find(same) ?? own;
}

/** The flags that this process was started with; a user may have given it more or less than the usual ones. */
function ownPermissions(): readonly string[] {
  const everything = ["run", "read", "write", "net", "env", "sys", "ffi"] as const;
  if (everything.every((name) => isGranted({ name }))) return ["-A"];
  const flags = permissionFlags(ownArguments());
  return flags.length > 0 ? flags : scopedFlags;
}

/** Deno's arguments without the script's own, which come last. Empty where no helper can read them. */
function ownArguments(): string[] {
  switch (Deno.build.os) {
    case "linux": {
      const args = outputOf("cat", [`/proc/${Deno.pid}/cmdline`]).split("\0").slice(0, -1);
      return args.slice(0, args.length - Deno.args.length);
    }
    case "darwin": {
      const line = outputOf("ps", ["-ww", "-o", "args=", "-p", String(Deno.pid)]).trimEnd();
      return line.slice(0, line.length - Deno.args.join(" ").length).split(" ");
    }
  }
  return [];
}

function outputOf(command: string, args: string[]): string {
  try {
    const env = helperEnvironment((name) => Deno.env.get(name), "linux");
    const { stdout } = new Deno.Command(command, { args, clearEnv: true, env, stderr: "null" }).outputSync();
    return new TextDecoder().decode(stdout);
  } catch {
    return "";
  }
}

function realPath(path: string): string | null {
  try {
    return Deno.realPathSync(path);
  } catch {
    return null;
  }
}

function pathOf(url: URL): string {
  const path = decodeURIComponent(url.pathname);
  return Deno.build.os === "windows" ? path.slice(1) : path;
}
