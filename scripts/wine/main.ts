/**
 * Runs the tests that look at a machine with the Windows binary under Wine 10: `deno task test:wine [SUITE…|FILE…]`. Where Wine
 * can't be set up (it takes root, Debian and x86_64) every suite is counted as skipped. The last line is
 * `N passed, N failed, N skipped`.
 *
 * @module
 */
import { fromFileUrl, join } from "@std/path";
import { bunVersion, denoVersion } from "../bun_tool.ts";
import { readTally, type Tally } from "../run_tests.ts";

interface Suite {
  name: string;
  paths: readonly string[];
  /**
   * `machine`: real processes and files. `memory`: a machine in memory, whose paths are of POSIX, as `node:path` then has
   * to be.
   */
  on: "machine" | "memory";
  /** Files that meet what Wine lacks, and Windows has. */
  without?: readonly { path: string; why: string }[];
  limitMs: number;
}

const MINUTE_MS = 60_000;

const e2e = (...names: string[]) => names.map((name) => `tests/e2e/${name}_test.ts`);

/** Where a connection ended before it was accepted. */
const DENO_SERVES = "Deno's own server fails there with an invalid argument";

const suites: readonly Suite[] = [
  {
    name: "host",
    paths: ["tests/host"],
    on: "machine",
    without: [{
      path: "tests/host/no_proxy_test.ts",
      why: DENO_SERVES,
    }],
    limitMs: 10 * MINUTE_MS,
  },
  {
    name: "decisions",
    paths: ["tests/registry", "tests/lifecycle", "tests/supervisor"],
    on: "memory",
    limitMs: 10 * MINUTE_MS,
  },
  { name: "wrong_kill", paths: e2e("wrong_kill"), on: "machine", limitMs: 15 * MINUTE_MS },
  { name: "crash_points", paths: e2e("repairs", "chaos"), on: "machine", limitMs: 20 * MINUTE_MS },
  {
    name: "e2e",
    paths: e2e(
      "demo",
      "json",
      "definitions",
      "starts",
      "drift",
      "records",
      "logs",
      "stdio_servers",
      "failures",
      "run_control",
      "run_restart",
      "connect_features",
      "connect_busy",
    ),
    on: "machine",
    without: [{ path: "tests/e2e/connect_busy_test.ts", why: DENO_SERVES }],
    limitMs: 30 * MINUTE_MS,
  },
];

const project = fromFileUrl(new URL("../..", import.meta.url));
const world = Deno.env.get("WINE_WORLD") ?? join(project, "dist", "wine");
const script = fromFileUrl(new URL("world.sh", import.meta.url));

/** Why Wine can't be set up here, null where it can. */
async function obstacle(): Promise<string | null> {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") return "it takes Linux on x86_64";
  if (Deno.uid() !== 0) return "it takes root";
  if (!await Deno.stat("/etc/debian_version").then(() => true, () => false)) return "it takes Debian";
  const { success, stderr } = await output("unshare", ["--mount", "--propagation", "private", "--", "true"]);
  return success ? null : `a mount namespace can't be had: ${lastLine(stderr)}`;
}

/** Sets Wine up, builds what runs in it and puts the project beside it. @throws Error with what went wrong */
async function setUp(): Promise<void> {
  await must(script, ["up"]);
  const programs = join(world, "programs");
  await Deno.mkdir(programs, { recursive: true });
  await fetchProgram(`@deno/win32-x64@${denoVersion}`, { member: "package/deno.exe", into: programs });
  await fetchProgram(`@oven/bun-windows-x64@${bunVersion}`, {
    member: "package/bin/bun.exe",
    into: programs,
  });
  await must(Deno.execPath(), [
    ...["run", "-A", "-q", join(project, "scripts", "build.ts")],
    ...["--target", "bun-windows-x64", "--out", join(programs, "foster.exe")],
  ]);
  await copyProject(join(world, "project"));
}

/** Out of the package that npm has of it. */
async function fetchProgram(
  spec: string,
  { member, into }: { member: string; into: string },
): Promise<void> {
  const name = member.split("/").at(-1) ?? "";
  const stamp = join(into, `${name}.${spec.split("@").at(-1)}`);
  if (await Deno.stat(stamp).then(() => true, () => false)) return;
  const folder = await Deno.makeTempDir({ dir: into });
  try {
    const packed = await must("npm", ["pack", "--silent", spec], folder);
    await must("tar", ["-xzf", lastLine(packed), member], folder);
    await Deno.rename(join(folder, member), join(into, name));
    await Deno.writeTextFile(stamp, "");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function copyProject(folder: string): Promise<void> {
  await Deno.remove(folder, { recursive: true }).catch(() => {});
  await Deno.mkdir(folder, { recursive: true });
  const files = await must("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], project);
  const list = join(world, "files");
  await Deno.writeTextFile(list, files);
  await must(
    "tar",
    ["-cf", join(world, "project.tar"), "--null", "--ignore-failed-read", "-T", list],
    project,
  );
  await must("tar", ["-xf", join(world, "project.tar")], folder);
  // Packages are the same on every system, and there is no network inside.
  const { denoDir } = JSON.parse(await must(Deno.execPath(), ["info", "--json"]));
  await Deno.mkdir(join(world, "deno"), { recursive: true });
  await must("cp", ["-rT", join(denoDir, "npm"), join(world, "deno", "npm")]);
  const runner = join(project, "tests", "host", "bun_runner.ts");
  await must(Deno.execPath(), [
    "bundle",
    "-q",
    "--code-splitting",
    "--outdir",
    join(world, "runner"),
    runner,
  ]);
  const config = JSON.parse(await Deno.readTextFile(join(project, "deno.json")));
  const posix = { "node:path": "node:path/posix", "@std/path": "npm:deno-std@1.3.0/path/posix/mod.js" };
  const map = { imports: { ...config.imports, ...posix } };
  await Deno.writeTextFile(join(folder, "posix_paths.json"), JSON.stringify(map));
}

interface Ran {
  tally: Tally;
  output: string;
}

async function runSuite({ paths, on, without = [], limitMs }: Suite): Promise<Ran> {
  const windows = (path: string) => `Z:${path.replaceAll("/", "\\")}`;
  const env = {
    DENO_DIR: windows(join(world, "deno")),
    WINEPATH: windows(join(world, "programs")),
    FOSTER_BIN: windows(join(world, "programs", "foster.exe")),
    CONTRACT_BUN_RUNNER: windows(join(world, "runner", "bun_runner.js")),
    DENO_NO_UPDATE_CHECK: "1",
    NO_COLOR: "1",
  };
  const child = new Deno.Command(script, {
    args: [
      ...["run", join(world, "project")],
      ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
      ...["wine", "deno.exe", "test", "-A", "-q", "--no-prompt", "--no-check"],
      ...on === "memory" ? ["--import-map=posix_paths.json"] : [],
      ...without.map(({ path }) => `--ignore=${path}`),
      ...paths,
    ],
    env: { WINE_WORLD: world },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const limit = setTimeout(() => child.kill("SIGTERM"), limitMs);
  const [{ code }, stdout, stderr] = await Promise.all([
    child.status,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  clearTimeout(limit);
  const output = `${stdout}\n${stderr}`.replaceAll("\r", "");
  const tally = readTally(output) ?? { passed: 0, failed: 1, skipped: 0 };
  if (code !== 0 && tally.failed === 0) tally.failed = 1;
  tally.skipped += without.length;
  const left = without.map(({ path, why }) => `SKIPPED  ${path} under Wine, because of: ${why}\n`).join("");
  return { tally, output: output + left };
}

async function main(wanted: readonly string[]): Promise<number> {
  const files = wanted.filter((each) => each.includes("/"));
  const named = suites.filter(({ name }) => wanted.length === 0 || wanted.includes(name));
  const chosen: Suite[] = files.length === 0
    ? named
    : [...named, { name: "files", paths: files, on: "machine", limitMs: 20 * MINUTE_MS }];
  if (chosen.length === 0) {
    console.error(`The suites are ${suites.map(({ name }) => name).join(", ")}; or name test files`);
    return 2;
  }
  const why = await obstacle() ?? await setUp().then(() => null, (error) => String(error?.message ?? error));
  if (why !== null) {
    for (const { name } of chosen) console.log(`SKIPPED  ${name} under Wine, because of: ${why}`);
    console.log(`0 passed, 0 failed, ${chosen.length} skipped`);
    return 0;
  }
  const total: Tally = { passed: 0, failed: 0, skipped: 0 };
  for (const suite of chosen) {
    const { tally, output } = await runSuite(suite);
    console.log(output);
    console.log(`${suite.name}: ${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped`);
    for (const key of ["passed", "failed", "skipped"] as const) total[key] += tally[key];
  }
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  return total.failed === 0 ? 0 : 1;
}

async function must(command: string, args: readonly string[], cwd?: string): Promise<string> {
  const { success, stdout, stderr } = await output(command, args, cwd);
  if (success) return stdout;
  throw new Error(`${command} ${args[0]} failed: ${lastLine(stderr) || lastLine(stdout)}`);
}

async function output(command: string, args: readonly string[], cwd?: string) {
  const child = new Deno.Command(command, {
    args: [...args],
    cwd,
    env: { WINE_WORLD: world, NO_COLOR: "1" },
    stdin: "null",
  });
  const { success, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { success, stdout: text(stdout), stderr: text(stderr) };
}

function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1) ?? "";
}

if (import.meta.main) Deno.exit(await main(Deno.args));
