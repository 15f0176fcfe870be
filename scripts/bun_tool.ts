/**
 * The versions of Deno and Bun that foster is built and tested with, and where that Bun is.
 *
 * @module
 */
import { fromFileUrl, join } from "@std/path";

export const bunVersion = "1.4.5";
export const denoVersion = "2.9.6";

const project = fromFileUrl(new URL("..", import.meta.url));

/** How Bun's packages name what Deno calls a system and an architecture. */
const systems: Partial<Record<typeof Deno.build.os, string>> = {
  linux: "linux",
  darwin: "darwin",
  windows: "windows",
};
const architectures: Record<typeof Deno.build.arch, string> = { x86_64: "x64", aarch64: "aarch64" };

/**
 * Full path or command of Bun in exactly {@link bunVersion}: the one on PATH, else the one below `dist/tools`, which is
 * fetched through npm first. @throws Error that says what to type where there is none
 */
export async function bunPath(): Promise<string> {
  const installed = join(
    project,
    "dist",
    "tools",
    "node_modules",
    "@oven",
    platformPackage(),
    "bin",
    binaryName(),
  );
  for (const candidate of ["bun", installed]) {
    if (await versionOf(candidate) === bunVersion) return candidate;
  }
  const failure = await install(join(project, "dist", "tools"));
  if (await versionOf(installed) === bunVersion) return installed;
  throw new Error(
    `Bun ${bunVersion} is needed: the one on PATH is ${await versionOf("bun") ?? "missing"}, ` +
      `and npm could not install it (${failure}). Type: npm install --global bun@${bunVersion}`,
  );
}

/** The platform's own package has the real program; `bun` itself only links it, in a script that npm may not run. */
async function install(folder: string): Promise<string> {
  await Deno.mkdir(folder, { recursive: true });
  const npm = Deno.build.os === "windows" ? "npm.cmd" : "npm";
  const wanted = `@oven/${platformPackage()}@${bunVersion}`;
  const args = [
    "install",
    "--prefix",
    folder,
    "--no-save",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    wanted,
  ];
  try {
    const { success, stderr } = await new Deno.Command(npm, { args, stdout: "null", stderr: "piped" })
      .output();
    return success ? "what it installed does not run here" : lastLine(stderr);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function platformPackage(): string {
  return `bun-${systems[Deno.build.os] ?? Deno.build.os}-${architectures[Deno.build.arch]}`;
}

function binaryName(): string {
  return Deno.build.os === "windows" ? "bun.exe" : "bun";
}

async function versionOf(command: string): Promise<string | null> {
  try {
    const { stdout } = await new Deno.Command(command, { args: ["--version"], stderr: "null" }).output();
    return new TextDecoder().decode(stdout).trim();
  } catch {
    return null;
  }
}

function lastLine(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes).trimEnd().split("\n").at(-1) ?? "";
}
