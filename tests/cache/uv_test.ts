/**
 * The sweep beside a real uv.
 */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { join } from "@std/path";
import { sweep, type SweepResult } from "../../src/cache/sweep.ts";
import { hourMs, realMachine, sweepOptions } from "./rig.ts";
import { eventually, Lines, runTool, toolPath } from "./tools.ts";
import { writeUvPackage } from "./uv_package.ts";
import { unless } from "../skip.ts";

const uv = await toolPath("uv");
const noUv = uv !== null && Deno.build.os !== "windows" ? null : "uv is not installed, or this is Windows";

interface Place {
  root: string;
  cache: string;
  builds: string;
  source: string;
  env: Record<string, string>;
}

async function place(): Promise<Place> {
  const root = await Deno.realPath(await Deno.makeTempDir());
  const cache = join(root, "cache");
  const env = {
    UV_CACHE_DIR: cache,
    UV_OFFLINE: "1",
    UV_PYTHON_DOWNLOADS: "never",
    UV_TOOL_DIR: join(root, "tools"),
  };
  return { root, cache, builds: join(cache, "builds-v0"), source: await writeUvPackage(root), env };
}

async function names(folder: string): Promise<string[]> {
  const found = await Array.fromAsync(Deno.readDir(folder));
  return found.map(({ name }) => name).sort();
}

async function sweepNow({ cache }: Place, minAgeMs = 0): Promise<SweepResult> {
  return await sweep(await realMachine(), sweepOptions(cache, { minAgeMs }));
}

interface Build {
  uvProcess: Deno.ChildProcess;
  builderPid: number;
}

/** A uv in the middle of a build. */
async function startBuild({ root, source, env }: Place): Promise<Build> {
  const mark = join(root, "building");
  const uvProcess = new Deno.Command(uv ?? "uv", {
    args: ["tool", "run", "--from", source, "answerer"],
    env: { ...env, BUILD_MARK: mark },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const pid = await eventually("the build", () => Deno.readTextFile(mark).catch(() => null));
  return { uvProcess, builderPid: Number(pid) };
}

/** Whatever of it is still there. */
async function endBuild({ uvProcess, builderPid }: Build): Promise<void> {
  await endLauncher(uvProcess);
  await endStranger(builderPid);
}

async function endLauncher(launcher: Deno.ChildProcess): Promise<void> {
  try {
    launcher.kill("SIGKILL");
  } catch {
    // It has ended by itself.
  }
  await launcher.status;
}

/** Ends a process that this one's child started, and waits until it is gone or a zombie. */
async function endStranger(pid: number): Promise<void> {
  const host = await realMachine();
  await host.processes.run("kill", ["-KILL", String(pid)], { timeoutMs: 5_000 });
  await eventually(`the end of ${pid}`, async () => {
    const { stdout } = await host.processes.run("ps", ["-o", "stat=", "-p", String(pid)], {
      timeoutMs: 5_000,
    });
    return stdout.trim() === "" || stdout.startsWith("Z") ? true : null;
  });
}

Deno.test({
  ...unless(
    noUv,
    "sweep() leaves a build alone while uv runs it, and removes what uv left when it was killed",
  ),
  async fn() {
    const here = await place();
    const build = await startBuild(here);
    try {
      const during = await names(here.builds);
      assertNotEquals(during, []);
      const locked = await sweepNow(here);
      assertEquals(locked.applied, false);
      assertEquals(locked.skipped, during.map((name) => ({ name, reason: "locked" as const })));
      assertEquals(await names(here.builds), during);

      await endLauncher(build.uvProcess);
      // The builder lives on: it runs uv's Python and names the folders it works in.
      const orphaned = await sweepNow(here);
      assertEquals(orphaned.applied, true);
      assert(orphaned.skipped.some(({ reason }) => reason === "busy"), JSON.stringify(orphaned));
      await endStranger(build.builderPid);

      const left = await names(here.builds);
      const young = await sweepNow(here, hourMs);
      assertEquals(young.skipped, left.map((name) => ({ name, reason: "young" as const })));
      const swept = await sweepNow(here);
      assertEquals(swept, {
        cache_dir: here.cache,
        applied: true,
        scanned: left.length,
        renamed: left.length,
        deleted: left.length,
        remaining: 0,
        bytes: swept.bytes,
        skipped: [],
      });
      assertEquals(await names(here.builds), []);

      const after = await runTool(uv ?? "uv", ["tool", "run", "--from", here.source, "answerer"], here);
      assertEquals([after.code, after.stderr.includes("error")], [0, false], after.stderr);
    } finally {
      await endBuild(build);
      await Deno.remove(here.root, { recursive: true });
    }
  },
});

Deno.test({
  ...unless(noUv, "sweep() leaves the files of a running server, also when its launcher was killed"),
  async fn() {
    const here = await place();
    const launcher = new Deno.Command(uv ?? "uv", {
      args: ["tool", "run", "--from", here.source, "answerer"],
      env: here.env,
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const lines = new Lines(launcher.stdout);
    const input = launcher.stdin.getWriter();
    let serverPid = 0;
    try {
      serverPid = Number(await lines.next());
      await Deno.mkdir(join(here.builds, ".tmpStale"), { recursive: true });
      assertEquals((await sweepNow(here)).skipped, [{ name: ".tmpStale", reason: "locked" }]);
      await endLauncher(launcher);
      const swept = await sweepNow(here);
      assertEquals([swept.applied, swept.deleted, swept.remaining], [true, 1, 0], JSON.stringify(swept));
      // Only now it loads the rest of itself.
      await input.write(new TextEncoder().encode("go on\n"));
      assertMatch(await lines.next(), /^late .*late\.py$/);
    } finally {
      await endLauncher(launcher);
      if (serverPid > 0) await endStranger(serverPid);
      await input.abort().catch(() => {});
      await lines.cancel().catch(() => {});
      await Deno.remove(here.root, { recursive: true });
    }
  },
});

Deno.test({
  ...unless(noUv, "sweep() makes a uv that starts meanwhile wait, not fail"),
  async fn() {
    const here = await place();
    await runTool(uv ?? "uv", ["tool", "run", "--from", here.source, "python", "-V"], here);
    await Deno.mkdir(join(here.builds, ".tmpA"), { recursive: true });
    const started: Promise<{ code: number; stdout: string }>[] = [];
    const onProgress = () => {
      started.push(runTool(uv ?? "uv", ["tool", "run", "--from", here.source, "python", "-V"], here));
    };
    try {
      await sweep(await realMachine(), sweepOptions(here.cache, { minAgeMs: 0, onProgress }));
      assertEquals((await Promise.all(started)).map(({ code }) => code), [0, 0]);
    } finally {
      await Promise.allSettled(started);
      await Deno.remove(here.root, { recursive: true });
    }
  },
});
