import { assert, assertEquals, assertMatch } from "@std/assert";
import { Rig } from "../lifecycle/rig.ts";
import { INTERVAL_MS, Played } from "./played.ts";

Deno.test("run() waits one interval before its first check", async () => {
  const played = Played.start();
  await played.until("ready");
  const { asked } = played.rig;
  await played.rig.host.clock.advance(INTERVAL_MS - 100);
  assertEquals(played.rig.asked, asked);
  await played.rig.host.clock.advance(200);
  assert(played.rig.asked > asked);
  assertEquals(await played.stop(), { kind: "stopped" });
});

Deno.test("run() restarts at once when its server exits, without asking it anything first", async () => {
  const played = Played.start();
  await played.until("ready");
  played.crash();
  await played.until("ready", 2);
  assertEquals(played.of("restarting"), [
    { type: "restarting", reason: "exited: exit code 1", attempt: 1, delay_ms: 0 },
  ]);
  assertEquals(played.of("probe_failed"), []);
  assertEquals((await played.rig.record())?.last_exit?.code, 1);
  await played.stop();
  assertEquals(await played.rig.record(), null);
});

Deno.test("run() does not care when the time of day jumps, neither while it watches nor while it waits", async () => {
  const played = Played.start({ restart: { backoff: "1s", backoffMax: "1s" } });
  await played.until("ready");
  const { clock } = played.rig.host;
  for (const jumped of [Date.UTC(2050, 0, 1), 0]) {
    clock.now = () => jumped;
    await clock.advance(5 * INTERVAL_MS);
  }
  assertEquals([played.of("probe_failed"), played.of("restarting")], [[], []]);

  played.rig.program((child) => child.exit(3));
  played.crash();
  await played.until("start_failed");
  const failedAt = clock.monotonic();
  clock.now = () => Date.UTC(2100, 0, 1);
  await played.until("start_failed", 2);
  const waitedMs = clock.monotonic() - failedAt;
  assert(waitedMs >= 750 && waitedMs < 2000, `${waitedMs}`);
  await played.stop();
});

Deno.test("run() takes what goes wrong on its own side for a failed probe, and goes on", async () => {
  const played = Played.start();
  await played.until("ready");
  const { files } = played.rig.host;
  const readOwn = files.readOwn;
  files.readOwn = () => Promise.reject(new Error("the machine is unwell"));
  await played.until("probe_failed", 2);
  files.readOwn = readOwn;
  await played.rig.host.clock.advance(5 * INTERVAL_MS);
  assertMatch(played.of("problem")[0]?.message ?? "", /unwell/);
  assertEquals(played.of("restarting"), []);
  assertEquals(await played.stop(), { kind: "stopped" });
});

Deno.test("run() waits longer after each start that failed, and forgets that once one gets ready", async () => {
  let starts = 0;
  const rig = new Rig();
  rig.program((child) => ++starts % 5 === 0 ? rig.serve(child) : child.exit(3));
  const played = Played.start({ restart: { max: 20, backoff: "1s", backoffMax: "4s" } }, { rig });
  await played.until("ready");
  const waits = () => played.of("restarting").map((event) => event.delay_ms);
  const isAbout = (wait: number | undefined, ms: number) =>
    assert(wait !== undefined && wait <= ms && wait >= 0.75 * ms, `${wait}, not about ${ms}`);
  [1000, 2000, 4000, 4000].forEach((ms, index) => isAbout(waits()[index], ms));
  played.crash();
  await played.until("ready", 2);
  assertEquals(waits()[4], 0);
  isAbout(waits()[5], 1000);
  await played.stop();
});

Deno.test("run() forgives earlier restarts only a server that then stayed well for long enough", async () => {
  const restart = { max: 2, stableAfter: "60s" };
  const steady = Played.start({ restart });
  for (let turn = 1; turn <= 5; turn++) {
    await steady.until("ready", turn);
    await steady.rig.host.clock.advance(61_000);
    steady.crash();
  }
  await steady.until("ready", 6);
  assertEquals(steady.of("exhausted"), []);
  await steady.stop();

  const shaky = Played.start({ restart });
  for (let turn = 1; turn <= 3; turn++) {
    await shaky.until("ready", turn);
    await shaky.rig.host.clock.advance(50_000);
    shaky.crash();
  }
  const end = await shaky.ended();
  assertEquals([end.kind, shaky.of("exhausted")[0]?.restarts], ["failed", 2]);
});

Deno.test("run() ends what answers wrongly before it starts the next, never two at a time", async () => {
  const played = Played.start();
  await played.until("ready");
  const [first = 0] = played.rig.spawned;
  played.rig.statuses.delete(first);
  const answeredMs = played.rig.host.clock.monotonic();
  await played.until("ready", 2);
  // Its port still accepts: it gets a minute.
  assert(played.rig.host.clock.monotonic() - answeredMs >= 60_000);
  const misses = played.of("probe_failed").map((event) => event.misses);
  assertEquals(misses.slice(0, 3), [1, 2, 3]);
  assert(misses.length > 3);
  const [second = 0] = played.rig.spawned.slice(1);
  const endedAt = played.rig.host.processes.signals.find(({ target }) => Math.abs(target) === first)?.at ??
    Infinity;
  const spawning = (await played.rig.folder.events()).filter(({ event }) => event === "spawned");
  assertEquals([spawning.length, second !== first], [2, true]);
  assert(endedAt <= Date.parse(spawning[1]?.at ?? ""), "the old one was ended after the new one was started");
  await played.stop();
});

Deno.test("run() gives up with what was left of the server ended, and its record saying so", async () => {
  const played = Played.start({ restart: { max: 0 } });
  await played.until("ready");
  const [pid = 0] = played.rig.spawned;
  played.rig.statuses.delete(pid);
  const end = await played.ended();
  assert(end.kind === "failed");
  assertEquals(end.outcome.kind, "exhausted");
  assertMatch(end.outcome.row.message, /probe failed: .*budget of 0 .*after 0 restart\(s\)/);
  const record = await played.rig.record();
  assertEquals([record?.state, record?.pid, record?.supervisor], ["crashed", null, null]);
  assertEquals(played.rig.host.processes.alive().includes(pid), false);
});
