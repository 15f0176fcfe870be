import { assertEquals, assertRejects } from "@std/assert";
import { automaticSweep, sweep, type SweepOptions, type SweepResult } from "../../src/cache/sweep.ts";
import { HostError } from "../../src/host/host.ts";
import { type FakeMachine, fakeMachine, hourMs, sweepOptions } from "./rig.ts";

const cache = "/cache";
const builds = "/cache/builds-v0";

function addBuild({ fake }: FakeMachine, name: string, { ageMs = 2 * hourMs, bytes = 10 } = {}): void {
  fake.files.put(`${builds}/${name}/lib/file`, "x".repeat(bytes));
  fake.files.setModified(`${builds}/${name}`, fake.clock.now() - ageMs);
}

function machine(...names: string[]): FakeMachine {
  const found = fakeMachine();
  found.fake.files.put(`${cache}/.lock`, "");
  found.fake.files.putDir(builds);
  for (const name of names) addBuild(found, name);
  return found;
}

function run({ host }: FakeMachine, options: Partial<SweepOptions> = {}): Promise<SweepResult> {
  return sweep(host, sweepOptions(cache, options));
}

function result(changes: Partial<SweepResult>): SweepResult {
  const none = { scanned: 0, renamed: 0, deleted: 0, remaining: 0, bytes: 0, skipped: [] };
  return { cache_dir: cache, applied: true, ...none, ...changes };
}

async function left({ fake }: FakeMachine): Promise<string[]> {
  return (await fake.files.list(builds) ?? []).map(({ name }) => name).sort();
}

Deno.test("sweep() renames and deletes stale folders, old dead ones too", async () => {
  const found = machine(".tmpA", ".tmpB", "_dead_.tmpC", "other");
  found.fake.files.put(`${builds}/.tmpfile`, "kept");
  assertEquals(await run(found), result({ scanned: 2, renamed: 2, deleted: 3, bytes: 30 }));
  assertEquals(await left(found), [".tmpfile", "other"]);
});

Deno.test("sweep() finds nothing to do the second time", async () => {
  const found = machine(".tmpA");
  await run(found);
  assertEquals(await run(found), result({}));
});

Deno.test("sweep() lists with the counts of what it would do, and changes nothing", async () => {
  const found = machine(".tmpA", "_dead_.tmpB", "_dead_.tmpD", ".tmpD");
  addBuild(found, ".tmpYoung", { ageMs: 0 });
  const listed = await run(found, { apply: false });
  assertEquals(await left(found), [".tmpA", ".tmpD", ".tmpYoung", "_dead_.tmpB", "_dead_.tmpD"]);
  assertEquals({ ...listed, applied: true }, await run(found));
  assertEquals(listed.applied, false);
  assertEquals([listed.scanned, listed.renamed, listed.deleted, listed.remaining], [3, 1, 3, 2]);
});

Deno.test("sweep() makes no lock file when it only lists", async () => {
  const found = fakeMachine();
  addBuild(found, ".tmpA");
  assertEquals((await run(found, { apply: false })).deleted, 1);
  assertEquals(found.fake.files.text(`${cache}/.lock`), null);
});

Deno.test("sweep() holds uv's lock while it works and lets go of it", async () => {
  const found = machine(".tmpA");
  const held: boolean[] = [];
  const onProgress = () => held.push(found.fake.files.isLocked(`${cache}/.lock`));
  await run(found, { onProgress });
  assertEquals(held, [true, true]);
  assertEquals(found.fake.files.isLocked(`${cache}/.lock`), false);
});

for (const apply of [true, false]) {
  Deno.test(`sweep() touches nothing while a uv holds the lock (apply: ${apply})`, async () => {
    const found = machine(".tmpA", "_dead_.tmpB");
    const lock = await found.fake.files.tryLock(`${cache}/.lock`, 0o600);
    assertEquals(
      await run(found, { apply }),
      result({
        applied: false,
        scanned: 1,
        remaining: 2,
        skipped: [{ name: ".tmpA", reason: "locked" }, { name: "_dead_.tmpB", reason: "locked" }],
      }),
    );
    assertEquals(await left(found), [".tmpA", "_dead_.tmpB"]);
    lock?.release();
  });
}

Deno.test("sweep() touches nothing where the lock can't be tried", async () => {
  const found = machine(".tmpA");
  found.fake.files.refuse(`${cache}/.lock`, "unsupported");
  const skipped = [{ name: ".tmpA", reason: "unknown" as const }];
  assertEquals(await run(found), result({ applied: false, scanned: 1, remaining: 1, skipped }));
});

Deno.test("sweep() leaves what is in use, seen by the given or by the real path", async () => {
  const found = machine(".tmpA", "_dead_.tmpB", ".tmpC");
  found.fake.files.putLink("/link", cache);
  found.uses.set(`${builds}/.tmpA`, { kind: "busy", pids: [7] });
  found.uses.set("/link/builds-v0/_dead_.tmpB", { kind: "unknown", why: "refused" });
  const { skipped, remaining } = await sweep(found.host, sweepOptions("/link"));
  assertEquals(skipped, [{ name: ".tmpA", reason: "busy" }, { name: "_dead_.tmpB", reason: "unknown" }]);
  assertEquals(remaining, 2);
});

Deno.test("sweep() leaves a folder that it may not look at, and does not call it gone", async () => {
  const found = machine(".tmpA");
  found.fake.files.refuse(`${builds}/.tmpA`, "denied");
  const { skipped, remaining } = await run(found);
  assertEquals([skipped, remaining], [[{ name: ".tmpA", reason: "unknown" }], 1]);
});

Deno.test("sweep() goes on after a failed renaming, which does not count", async () => {
  const found = machine(".tmpA", ".tmpB", "_dead_.tmpC");
  found.fake.files.refuse(`${builds}/_dead_.tmpA`, "denied");
  const { skipped, ...counts } = await run(found);
  assertEquals(skipped, [{ name: ".tmpA", reason: "denied" }]);
  assertEquals([counts.scanned, counts.renamed, counts.deleted, counts.remaining], [2, 1, 2, 1]);
});

Deno.test("sweep() goes on after a failed deletion and leaves the dead folder for the next time", async () => {
  const found = machine(".tmpA", ".tmpB");
  found.fake.files.refuse(`${builds}/_dead_.tmpA/lib`, "denied");
  const inner = found.fake.files.removeTree.bind(found.fake.files);
  found.fake.files.removeTree = async (path) => {
    if (path.endsWith("A")) await found.fake.files.list(`${path}/lib`);
    return inner(path);
  };
  const { skipped, renamed, deleted, remaining, bytes } = await run(found);
  assertEquals(skipped, [{ name: "_dead_.tmpA", reason: "denied" }]);
  assertEquals({ renamed, deleted, remaining, bytes }, { renamed: 2, deleted: 1, remaining: 1, bytes: 10 });
});

Deno.test("sweep() leaves a folder that vanishes, or turns into a link, under its hands", async () => {
  const found = machine(".tmpA", ".tmpB", ".tmpC");
  found.fake.files.put("/elsewhere/file", "kept");
  const { files } = found.fake;
  const rename = files.rename.bind(files);
  files.rename = async (from, to) => {
    await rename(from, to);
    await files.removeTree(`${builds}/.tmpB`);
    await files.removeTree(`${builds}/.tmpC`);
    files.putLink(`${builds}/.tmpC`, "/elsewhere");
  };
  const { skipped } = await run(found);
  assertEquals(skipped, [{ name: ".tmpB", reason: "gone" }, { name: ".tmpC", reason: "link" }]);
  assertEquals(found.fake.files.text("/elsewhere/file"), "kept");
});

const oddPlaces: { what: string; arrange: (found: FakeMachine) => void; expected: Partial<SweepResult> }[] = [
  { what: "no cache", arrange: () => {}, expected: {} },
  { what: "no build folder", arrange: ({ fake }) => fake.files.putDir(cache), expected: {} },
  {
    what: "a file in place of the build folder",
    arrange: ({ fake }) => fake.files.put(builds, ""),
    expected: { applied: false, skipped: [{ name: "builds-v0", reason: "not_a_folder" }] },
  },
  {
    what: "a link in place of the build folder",
    arrange: ({ fake }) => {
      fake.files.put("/elsewhere/.tmpA/file", "kept");
      fake.files.putLink(builds, "/elsewhere");
    },
    expected: { applied: false, skipped: [{ name: "builds-v0", reason: "link" }] },
  },
];

for (const { what, arrange, expected } of oddPlaces) {
  Deno.test(`sweep() does nothing with ${what}`, async () => {
    const found = fakeMachine();
    arrange(found);
    const before = found.fake.files.paths();
    assertEquals(await run(found, { minAgeMs: 0 }), result(expected));
    assertEquals(found.fake.files.paths(), before);
  });
}

Deno.test("sweep() tells of each folder as it goes", async () => {
  const found = machine(".tmpA", ".tmpB");
  found.uses.set(`${builds}/.tmpB`, { kind: "busy", pids: [7] });
  const seen: string[] = [];
  await run(found, { onProgress: ({ kind, name, bytes }) => seen.push(`${kind} ${name} ${bytes}`) });
  assertEquals(seen, ["renamed .tmpA 0", "skipped .tmpB 0", "deleted _dead_.tmpA 10"]);
});

Deno.test("sweep() stops between two folders when it is aborted, and lets go of the lock", async () => {
  const found = machine(".tmpA", ".tmpB");
  const stop = new AbortController();
  const onProgress = () => stop.abort(new Error("enough"));
  const sweeping = sweep(found.host, sweepOptions(cache, { onProgress }), stop.signal);
  await assertRejects(() => sweeping, Error, "enough");
  assertEquals(found.fake.files.isLocked(`${cache}/.lock`), false);
  assertEquals(await left(found), [".tmpB", "_dead_.tmpA"]);
});

Deno.test("sweep() makes the user's own folders writable and deletes what is in them", async () => {
  const found = machine(".tmpA");
  found.fake.files.putDir(`${builds}/.tmpA/mod/deep`);
  found.fake.files.put(`${builds}/.tmpA/mod/deep/f`, "x");
  for (const each of ["mod", "mod/deep"]) await found.fake.files.chmod(`${builds}/.tmpA/${each}`, 0o555);
  assertEquals(await run(found), result({ scanned: 1, renamed: 1, deleted: 1, bytes: 11 }));
  assertEquals(await left(found), []);
});

Deno.test("sweep() deletes the rest of a folder in which one file can't be deleted, and counts what stays", async () => {
  const found = machine(".tmpA", ".tmpB");
  found.fake.files.put(`${builds}/.tmpA/held`, "held open");
  found.fake.files.put(`${builds}/.tmpA/z/after`, "xyz");
  found.fake.files.refuse(`${builds}/_dead_.tmpA/held`, "busy");
  const { skipped, deleted, remaining, bytes } = await run(found);
  assertEquals(skipped, [{ name: "_dead_.tmpA", reason: "busy" }]);
  assertEquals({ deleted, remaining, bytes }, { deleted: 1, remaining: 1, bytes: 23 });
  assertEquals(found.fake.files.paths().filter((path) => path.startsWith(builds)), [
    `${builds}/_dead_.tmpA/held`,
  ]);
});

const noCounts = { scanned: 0, renamed: 0, deleted: 0, remaining: 0, message: null };

const onWindows = { system: "windows", env: { LOCALAPPDATA: "/local" } } as const;

Deno.test("automaticSweep() works on Windows, without a minimum age", async () => {
  const found = fakeMachine(onWindows);
  found.fake.files.put("/local/uv/cache/builds-v0/.tmpA/file", "");
  assertEquals(await automaticSweep(found.host), {
    scanned: 1,
    renamed: 1,
    deleted: 1,
    remaining: 0,
    message: "1 stale build folder of uv deleted",
  });
});

Deno.test("automaticSweep() takes what nobody uses also while a uv holds the lock, and says what it left", async () => {
  const found = fakeMachine(onWindows);
  const folder = "/local/uv/cache/builds-v0";
  for (const name of [".tmpA", ".tmpB", "_dead_.tmpC", "archive"]) {
    found.fake.files.put(`${folder}/${name}/f`, "");
  }
  // As Windows refuses to rename a folder in which something is open.
  const rename = found.fake.files.rename.bind(found.fake.files);
  found.fake.files.rename = (from, to) =>
    from.endsWith(".tmpB") ? Promise.reject(new HostError("busy", "in use")) : rename(from, to);
  const lock = await found.fake.files.tryLock("/local/uv/cache/.lock", 0o600);
  const { message, ...counts } = await automaticSweep(found.host);
  assertEquals(counts, { scanned: 2, renamed: 1, deleted: 2, remaining: 1 });
  assertEquals(message, "2 stale build folders of uv deleted, 1 left: .tmpB (a live process uses it)");
  assertEquals((await found.fake.files.list(folder))?.map(({ name }) => name).sort(), [".tmpB", "archive"]);
  lock?.release();
});

Deno.test("automaticSweep() has no more than 10 s: what is left then waits for the next", async () => {
  const found = fakeMachine(onWindows);
  const folder = "/local/uv/cache/builds-v0";
  for (const name of ["_dead_1", "_dead_2", "_dead_3"]) found.fake.files.put(`${folder}/${name}/f`, "");
  const { files, clock } = found.fake;
  const removeTree = files.removeTree.bind(files);
  files.removeTree = async (path) => {
    await clock.sleep(6_000);
    return await removeTree(path);
  };
  const { message, deleted } = await clock.run(automaticSweep(found.host));
  assertEquals([deleted, message], [2, "2 stale build folders of uv deleted, 1 left"]);
});

for (const [system, env] of [["windows", {}], ["linux", { LOCALAPPDATA: "/local" }]] as const) {
  Deno.test(`automaticSweep() does nothing on ${system} with ${JSON.stringify(env)}`, async () => {
    const found = fakeMachine({ system, env });
    found.fake.files.put("/local/uv/cache/builds-v0/.tmpA/file", "");
    assertEquals(await automaticSweep(found.host), noCounts);
    assertEquals(found.fake.files.text("/local/uv/cache/builds-v0/.tmpA/file"), "");
  });
}

Deno.test("automaticSweep() swallows every error", async () => {
  const found = fakeMachine({ system: "windows", env: { LOCALAPPDATA: "/local" } });
  found.fake.files.refuse("/local/uv/cache/builds-v0", "denied");
  assertEquals(await automaticSweep(found.host), noCounts);
});
