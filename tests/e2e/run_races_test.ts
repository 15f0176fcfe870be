/**
 * A supervisor beside another foster, as real processes: `down` before it is there, an interrupt while a restart goes on.
 *
 * @module
 */
import { assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { Kept, RESTART } from "../fixtures/run_kit.ts";
import { Foster, isAlive, isFree, until } from "./harness.ts";
import { tiny } from "./tiny.ts";

Deno.test("up --supervise ends with 1 when down took its server away before the supervisor was there", async () => {
  await using foster = await Foster.create();
  await Deno.mkdir(foster.stateDir, { recursive: true, mode: 0o700 });
  // Whoever holds this lock keeps every other foster from starting a supervisor.
  const held = await Deno.open(join(foster.stateDir, "supervisor.start.lock"), {
    create: true,
    write: true,
    mode: 0o600,
  });
  await held.lock(true);
  const starting = foster.start(["up", "demo", "--supervise"]);
  try {
    await until("the server", async () => (await foster.record("demo"))?.state === "ready");
    await foster.expect(0, ["down", "demo"]);
  } finally {
    held.close();
  }
  const { code, stderr } = await starting.finish();
  assertEquals(code, 1, stderr);
  assertMatch(stderr, /"demo": stopped by foster down before it was supervised/);
  const spawned = (await foster.events("demo")).filter(({ event }) => event === "spawned");
  assertEquals([spawned.length, await foster.servers(), await foster.record("demo")], [1, [], null]);
});

Deno.test("run that is interrupted in the middle of a restart lets it finish, then ends the new server", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { options: ["--delay=1000"], restart: RESTART }) });
  const kept = await Kept.ready(foster);
  const { key, port } = await kept.row();
  const first = (await foster.record(key))?.launcher_pid;
  const restarting = foster.start(["restart", "t", "--json"]);
  await until("the new server", async () => {
    const record = await foster.record(key);
    return record !== null && record.launcher_pid !== null && record.launcher_pid !== first;
  });
  assertEquals(await kept.stop(), 0);
  const restarted = await restarting.finish();
  assertEquals(restarted.code, 0, restarted.stderr);
  const { pid } = JSON.parse(restarted.stdout).servers[0];
  assertEquals([await isAlive(pid), isFree(port)], [false, true]);
  assertEquals([await foster.servers(), await foster.record(key)], [[], null]);
});
