/**
 * The sweep on real files.
 */
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { sweep } from "../../src/cache/sweep.ts";
import { realMachine, sweepOptions } from "./rig.ts";
import { unless } from "../skip.ts";

const posix = Deno.build.os !== "windows";

async function inCache(work: (cache: string, builds: string) => Promise<void>): Promise<void> {
  const cache = await Deno.realPath(await Deno.makeTempDir());
  const builds = join(cache, "builds-v0");
  await Deno.mkdir(builds);
  try {
    await work(cache, builds);
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}

async function names(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
}

async function addBuild(builds: string, name: string, text = "text"): Promise<string> {
  const folder = join(builds, name);
  await Deno.mkdir(join(folder, "lib"), { recursive: true });
  await Deno.writeTextFile(join(folder, "lib", "file"), text);
  return folder;
}

Deno.test({
  name: "sweep() removes links inside a stale folder, never what they lead to",
  ignore: !posix,
  fn: () =>
    inCache(async (cache, builds) => {
      const outside = join(cache, "archive-v0");
      await Deno.mkdir(outside);
      await Deno.writeTextFile(join(outside, "kept"), "kept");
      const stale = await addBuild(builds, ".tmpA");
      await Deno.symlink(outside, join(stale, "folder"));
      await Deno.symlink(join(outside, "kept"), join(stale, "lib", "link"));
      await Deno.symlink(outside, join(builds, ".tmpLink"));
      await Deno.symlink(outside, join(builds, "_dead_.tmpLink"));
      const { deleted, bytes, skipped } = await sweep(
        await realMachine(),
        sweepOptions(cache, { minAgeMs: 0 }),
      );
      assertEquals({ deleted, bytes }, { deleted: 1, bytes: 4 });
      assertEquals(skipped, [{ name: ".tmpLink", reason: "link" }, {
        name: "_dead_.tmpLink",
        reason: "link",
      }]);
      assertEquals(await names(outside), ["kept"]);
      assertEquals(await names(builds), [".tmpLink", "_dead_.tmpLink"]);
    }),
});

Deno.test({
  name: "sweep() takes names with line breaks and escapes as they are",
  ignore: !posix,
  fn: () =>
    inCache(async (cache, builds) => {
      await addBuild(builds, ".tmp\n\u001b[31mred");
      await addBuild(builds, ".tmp back\\slash");
      await addBuild(builds, "kept\n.tmpA");
      const { deleted, skipped } = await sweep(await realMachine(), sweepOptions(cache, { minAgeMs: 0 }));
      assertEquals({ deleted, skipped }, { deleted: 2, skipped: [] });
      assertEquals(await names(builds), ["kept\n.tmpA"]);
    }),
});

Deno.test("sweep() judges the age by the folder itself, not by what is in it", () =>
  inCache(async (cache, builds) => {
    const hours = (count: number) => new Date(Date.now() - count * 3_600_000);
    const old = await addBuild(builds, ".tmpOld");
    await Deno.utime(old, hours(2), hours(2));
    const young = await addBuild(builds, ".tmpYoung");
    await Deno.utime(join(young, "lib", "file"), hours(2), hours(2));
    await Deno.utime(join(young, "lib"), hours(2), hours(2));
    const { deleted, skipped } = await sweep(await realMachine(), sweepOptions(cache));
    assertEquals({ deleted, skipped }, {
      deleted: 1,
      skipped: [{ name: ".tmpYoung", reason: "young" as const }],
    });
    assertEquals(await names(builds), [".tmpYoung"]);
  }));

const root = Deno.uid() === 0;

Deno.test({
  ...unless(
    posix && !root ? null : "root may change everything, and Windows has no modes",
    "sweep() goes on where the system refuses to empty a folder",
  ),
  fn: () =>
    inCache(async (cache, builds) => {
      const stale = await addBuild(builds, ".tmpA");
      await addBuild(builds, ".tmpB");
      await Deno.chmod(join(stale, "lib"), 0o500);
      const { renamed, deleted, skipped } = await sweep(
        await realMachine(),
        sweepOptions(cache, { minAgeMs: 0 }),
      );
      assertEquals({ renamed, deleted }, { renamed: 2, deleted: 1 });
      assertEquals(skipped, [{ name: "_dead_.tmpA", reason: "denied" }]);
      await Deno.chmod(join(builds, "_dead_.tmpA", "lib"), 0o700);
    }),
});
