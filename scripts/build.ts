/**
 * Builds foster as one binary: `deno run -A scripts/build.ts [--engine bun|deno] [--target T] [--out FILE]`, or with
 * `--all [--out DIR]` one for every system, with their checksums in `SHA256SUMS`.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { basename, dirname, fromFileUrl, join, resolve } from "@std/path";
import { sha256Hex } from "../src/base/hash.ts";
import { VERSION } from "../src/version.ts";
import { bunPath } from "./bun_tool.ts";

export interface BuildOptions {
  engine: "bun" | "deno";
  /** The engine's own name for a system and an architecture, null for this one. */
  target: string | null;
  /** The main module. */
  entry: string;
  /** The binary; `.exe` is added where the target wants it. */
  out: string;
  /** Takes the place of {@link commitName} in the program. */
  commit: string;
  /** Where its releases are, for `foster update`. */
  releases?: string | undefined;
}

/** What the program may call to learn its commit, after asking `typeof`: it exists in built programs only. */
const commitName = "FOSTER_COMMIT";
const releasesName = "FOSTER_RELEASES";
/** What tells `foster update` which version a release is, without its download. */
const versionFile = "VERSION";

const project = fromFileUrl(new URL("..", import.meta.url));
const config = join(project, "deno.json");

/** What is published: the file's name, and the engine's own name for the system and architecture. */
export const releaseTargets: Record<BuildOptions["engine"], readonly { name: string; target: string }[]> = {
  bun: [
    { name: "foster-linux-x64", target: "bun-linux-x64" },
    { name: "foster-linux-arm64", target: "bun-linux-arm64" },
    { name: "foster-linux-x64-musl", target: "bun-linux-x64-musl" },
    { name: "foster-linux-arm64-musl", target: "bun-linux-arm64-musl" },
    { name: "foster-macos-x64", target: "bun-darwin-x64" },
    { name: "foster-macos-arm64", target: "bun-darwin-arm64" },
    { name: "foster-windows-x64.exe", target: "bun-windows-x64" },
  ],
  deno: [
    { name: "foster-deno-linux-x64", target: "x86_64-unknown-linux-gnu" },
    { name: "foster-deno-linux-arm64", target: "aarch64-unknown-linux-gnu" },
    { name: "foster-deno-macos-x64", target: "x86_64-apple-darwin" },
    { name: "foster-deno-macos-arm64", target: "aarch64-apple-darwin" },
    { name: "foster-deno-windows-x64.exe", target: "x86_64-pc-windows-msvc" },
  ],
};

const USAGE = `Usage: deno task build [--engine bun|deno] [--target T] [--entry FILE] [--out FILE]
       deno task build --all [--engine bun|deno] [--out DIR] [--releases URL]
       deno task build --checksums [--out DIR]

One binary for this system, or for --target; with --all one for every system, and their SHA256SUMS;
with --checksums the SHA256SUMS of what a folder holds.`;

/** More than this is too much to download for what foster is. */
const SIZE_GOAL_BYTES = 120 * 1024 * 1024;

/** What every binary carries in plain text, so that it can be told what it was built from without running it. */
function stampOf(commit: string): string {
  return `foster-build ${VERSION} ${commit}`;
}

/** Builds and gives the path of the binary. @throws Error whose message says what failed */
export async function build(options: BuildOptions): Promise<string> {
  const out = resolve(options.out);
  await Deno.mkdir(dirname(out), { recursive: true });
  // Beside the binary, so that it takes its place in one move, also while an older one runs.
  const folder = await Deno.makeTempDir({ dir: dirname(out), prefix: ".build-" });
  try {
    const main = await bundle(options, join(folder, "bundle"));
    const made = join(folder, "made");
    await Deno.mkdir(made);
    switch (options.engine) {
      case "bun":
        await compileWithBun(options, { main, made });
        break;
      case "deno":
        await compileWithDeno(options, { main, made });
        break;
    }
    return await moveOut(made, out);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** One file for each part that is loaded on its own, with the commit written in. Gives the path of the main one. */
async function bundle(options: BuildOptions, folder: string): Promise<string> {
  const entry = resolve(options.entry);
  await run("deno", {
    args: ["bundle", "-q", "--config", config, "--code-splitting", "--minify", "--outdir", folder, entry],
    cwd: project,
  });
  for await (const { name } of Deno.readDir(folder)) {
    const path = join(folder, name);
    const text = await Deno.readTextFile(path);
    const stamped = withConstant(
      withConstant(text, commitName, options.commit),
      releasesName,
      options.releases,
    );
    if (stamped !== text) await Deno.writeTextFile(path, stamped);
  }
  const main = join(folder, basename(entry).replace(/\.ts$/, ".js"));
  const stamp = `globalThis[Symbol.for("foster.build")]=${JSON.stringify(stampOf(options.commit))};\n`;
  await Deno.writeTextFile(main, stamp + await Deno.readTextFile(main));
  return main;
}

function withConstant(text: string, name: string, value: string | undefined): string {
  return value === undefined
    ? text
    : text.replaceAll(new RegExp(`\\b${name}\\b`, "g"), () => JSON.stringify(value));
}

async function compileWithBun(options: BuildOptions, paths: { main: string; made: string }): Promise<void> {
  const args = [
    "build",
    "--compile",
    "--splitting",
    // Without it Bun would make one module of all parts, and a short verb would load everything.
    "--format=esm",
    "--minify",
    // Halves the time that a short verb takes to start.
    "--bytecode",
    // Files of these names in the caller's folder belong to the caller's project.
    "--no-compile-autoload-dotenv",
    "--no-compile-autoload-bunfig",
    // Any option will do: with one of its own Bun starts in a working folder that is gone, without one it refuses.
    "--compile-exec-argv=--no-deprecation",
    ...options.target === null ? [] : [`--target=${options.target}`],
    `--outfile=${join(paths.made, "foster")}`,
    paths.main,
  ];
  await run(await bunPath(), { args, cwd: paths.made });
}

async function compileWithDeno(options: BuildOptions, paths: { main: string; made: string }): Promise<void> {
  const args = [
    "compile",
    "-q",
    "--no-prompt",
    "--config",
    config,
    // Nobody can add a flag to a binary: it may be renamed, stand anywhere, and start whatever a definition names.
    "-A",
    ...options.target === null ? [] : ["--target", options.target],
    "--output",
    join(paths.made, "foster"),
    paths.main,
  ];
  try {
    await run("deno", { args, cwd: paths.made });
  } catch (error) {
    if (!(error instanceof Error && /Setting up base binary/.test(error.message))) throw error;
    throw new Error(
      `Deno's runtime for ${
        options.target ?? "this system"
      }, which the binary is made of, could not be downloaded`,
      { cause: error },
    );
  }
}

/** The compilers name the binary as the target's system wants it. */
async function moveOut(folder: string, out: string): Promise<string> {
  const exe = await Deno.stat(join(folder, "foster.exe")).then(() => true, () => false);
  const path = exe && !out.endsWith(".exe") ? `${out}.exe` : out;
  await Deno.rename(join(folder, exe ? "foster.exe" : "foster"), path);
  return path;
}

async function run(command: string, options: { args: string[]; cwd: string }): Promise<string> {
  const child = new Deno.Command(command, {
    ...options,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  const { success, stdout, stderr } = await child.output();
  if (success) return new TextDecoder().decode(stdout).trim();
  throw new Error(`${command} ${options.args[0]} failed:\n${new TextDecoder().decode(stderr).trimEnd()}`);
}

/** The commit of the working tree, with `-dirty` where it was changed since; `unknown` outside of git. */
async function commitOf(folder: string): Promise<string> {
  try {
    const commit = await run("git", { args: ["rev-parse", "--short=12", "HEAD"], cwd: folder });
    const changes = await run("git", { args: ["status", "--porcelain"], cwd: folder });
    return changes === "" ? commit : `${commit}-dirty`;
  } catch {
    return "unknown";
  }
}

/** Builds for every system and writes `SHA256SUMS` beside the binaries. Gives the names of those that failed. */
async function buildAll(
  options: Pick<BuildOptions, "engine" | "commit" | "releases"> & { folder: string },
): Promise<string[]> {
  const { engine, folder, commit, releases } = options;
  const failed: string[] = [];
  for (const { name, target } of releaseTargets[engine]) {
    try {
      const out = join(folder, name);
      await report(
        await build({ engine, target, entry: join(project, "main.ts"), out, commit, releases }),
        options,
      );
    } catch (error) {
      failed.push(name);
      console.error(`Cannot build ${name}: ${messageOf(error)}`);
    }
  }
  await Deno.writeTextFile(join(folder, versionFile), `${VERSION}\n`);
  await Deno.writeTextFile(join(folder, "SHA256SUMS"), await checksums(folder));
  return failed;
}

async function report(path: string, { engine, commit }: Pick<BuildOptions, "engine" | "commit">) {
  const { size } = await Deno.stat(path);
  const large = size > SIZE_GOAL_BYTES ? `  more than ${SIZE_GOAL_BYTES / 1024 / 1024} MiB` : "";
  console.log(`${path}  ${(size / 1024 / 1024).toFixed(1)} MiB  ${engine}  ${commit}${large}`);
}

/** One line for each published binary in the folder, as `sha256sum` writes them. */
export async function checksums(folder: string): Promise<string> {
  const published = [...Object.values(releaseTargets).flat().map(({ name }) => name), versionFile];
  const lines: string[] = [];
  for (const name of published) {
    const bytes = await Deno.readFile(join(folder, name)).catch(() => null);
    if (bytes === null) continue;
    lines.push(`${sha256Hex(bytes)}  ${name}\n`);
  }
  return lines.join("");
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Null where the command line says something else. */
function readFlags() {
  try {
    return parseArgs({
      options: {
        engine: { type: "string", default: "bun" },
        target: { type: "string" },
        out: { type: "string" },
        entry: { type: "string" },
        all: { type: "boolean", default: false },
        releases: { type: "string" },
        checksums: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(error.message);
    return null;
  }
}

async function main(): Promise<number> {
  const flags = readFlags();
  if (flags === null || flags.help) {
    console.log(USAGE);
    return flags === null ? 2 : 0;
  }
  const { engine } = flags;
  if (engine !== "bun" && engine !== "deno") {
    console.error(`--engine is bun or deno, not ${engine}`);
    return 2;
  }
  const folder = resolve(flags.out ?? join(project, "dist"));
  if (flags.checksums) {
    await Deno.writeTextFile(join(folder, "SHA256SUMS"), await checksums(folder));
    return 0;
  }
  const commit = await commitOf(project);
  if (flags.all) {
    const failed = await buildAll({ engine, folder, commit, releases: flags.releases });
    return failed.length === 0 ? 0 : 1;
  }
  try {
    const entry = flags.entry ?? join(project, "main.ts");
    const out = flags.out ?? join(project, "dist", "foster");
    const { releases, target = null } = flags;
    await report(await build({ engine, target, entry, out, commit, releases }), {
      engine,
      commit,
    });
    return 0;
  } catch (error) {
    console.error(`Cannot build: ${messageOf(error)}`);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main());
