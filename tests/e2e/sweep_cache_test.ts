import { assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { exists, Foster } from "./harness.ts";

const MINUTE_S = 60;

async function build(cache: string, name: string, ageMinutes: number): Promise<string> {
  const path = join(cache, "builds-v0", name);
  await Deno.mkdir(path, { recursive: true });
  await Deno.writeTextFile(join(path, "part"), "x".repeat(1024));
  const changed = Date.now() / 1000 - ageMinutes * MINUTE_S;
  await Deno.utime(path, changed, changed);
  return path;
}

Deno.test("sweep lists by default, and --apply deletes what is old and unused", async (t) => {
  await using foster = await Foster.create();
  const cache = join(foster.folder, "uv");
  const old = await build(cache, ".tmpOld", 90);
  const odd = await build(cache, ".tmp\u001b[31m odd", 90);
  const dead = await build(cache, "_dead_.tmpX", 0);
  const young = await build(cache, ".tmpYoung", 30);
  const other = await build(cache, "kept", 90);
  const listed = {
    cache_dir: cache,
    scanned: 3,
    skipped: [{ name: ".tmpYoung", reason: "young" }],
    bytes: 3072,
  };

  await t.step("listing changes nothing", async () => {
    const { stdout } = await foster.expect(0, ["sweep", "--cache-dir", cache, "--json"]);
    assertEquals(JSON.parse(stdout), { ...listed, applied: false, renamed: 2, deleted: 3, remaining: 1 });
    for (const path of [old, odd, dead, young, other]) assertEquals(await exists(path), true);
    assertEquals(await exists(join(cache, ".lock")), false);
  });

  await t.step("people see quoted names and what to type", async () => {
    const { stdout, stderr } = await foster.expect(0, ["sweep"], { env: { UV_CACHE_DIR: cache } });
    // deno-lint-ignore no-control-regex
    assertMatch(stdout, /^[^\u0000-\u0009\u000b-\u001f]*$/);
    assertMatch(stdout, /stale {2}"\.tmp\\u001b\[31m odd" {2}1\.0 KiB\n/);
    assertMatch(stdout, /kept {2}\.tmpYoung {2}changed less than the minimum age ago\n/);
    assertMatch(stdout, /\n3 folders could be deleted \(3\.0 KiB\), 1 left in /);
    assertEquals(stderr, "foster sweep --apply deletes them\n");
  });

  await t.step("nothing is touched while uv holds its lock", async () => {
    using lock = await Deno.open(join(cache, ".lock"), { write: true, create: true });
    await lock.lock(true);
    const { stdout } = await foster.expect(1, ["sweep", "--apply", "--cache-dir", cache, "--json"]);
    const { applied, deleted, skipped } = JSON.parse(stdout);
    assertEquals([applied, deleted], [false, 0]);
    assertEquals(new Set(skipped.map(({ reason }: { reason: string }) => reason)), new Set(["locked"]));
    assertEquals(await exists(old), true);
  });

  await t.step("--apply deletes", async () => {
    const { stdout } = await foster.expect(0, ["sweep", "--apply", "--cache-dir", cache, "--json"]);
    assertEquals(JSON.parse(stdout), { ...listed, applied: true, renamed: 2, deleted: 3, remaining: 1 });
    assertEquals(await Promise.all([old, odd, dead, young, other].map(exists)), [
      false,
      false,
      false,
      true,
      true,
    ]);
  });

  await t.step("--min-age says what is old", async () => {
    await foster.expect(0, ["sweep", "--apply", "--cache-dir", cache, "--min-age", "10m"]);
    assertEquals([await exists(young), await exists(other)], [false, true]);
    await foster.expect(2, ["sweep", "--min-age", "soon"]);
  });
});

Deno.test("sweep is content where there is no cache", async () => {
  await using foster = await Foster.create();
  const { stdout } = await foster.expect(0, ["sweep", "--apply", "--cache-dir", join(foster.folder, "none")]);
  assertMatch(stdout, /^0 folders deleted \(0 B\), 0 left in /);
  assertEquals(await exists(join(foster.folder, "none")), false);
});
