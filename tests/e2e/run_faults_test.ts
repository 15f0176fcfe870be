import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { startTime } from "../fixtures/wk_support.ts";
import { endServer, faulty, Kept, RESTART, setFault, untilGone } from "../fixtures/run_kit.ts";
import { enrolForClients } from "../fixtures/enrol.ts";
import { exists, Foster, isAlive, until } from "./harness.ts";
import type { Running } from "./running.ts";
import { unless } from "../skip.ts";
import { tiny } from "./tiny.ts";

const SESSION = {
  env: "X_SESSION_FILE",
  payload: { session_id: "${sessionId}", drain: "d", capabilities: ["a", "b"] },
};

Deno.test("run does not restart a server that stood still for a moment", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: faulty({ ready: { timeout: "15s", probeTimeout: "400ms" } }) });
  const kept = await Kept.ready(foster);
  const { pid } = await kept.row();
  Deno.kill(pid, "SIGSTOP");
  await kept.event("probe_failed");
  Deno.kill(pid, "SIGCONT");
  const status = await until("it answering again", async () => {
    const row = await kept.status();
    return row.state === "ready" && row;
  });
  assertEquals([status.pid, kept.lines("restarting")], [pid, []]);
});

Deno.test("run ends and restarts a server that stands still for good", async () => {
  await using foster = await Foster.create();
  await foster.define({
    t: faulty({ ready: { timeout: "15s", probeTimeout: "300ms" }, stop: { grace: "200ms" } }),
  });
  const kept = await Kept.ready(foster);
  const first = await kept.row();
  Deno.kill(first.pid, "SIGSTOP");
  assertEquals((await kept.row(2)).endpoint, first.endpoint);
  await untilGone(first.pid);
  assertEquals(kept.lines("restarting").length, 1);
});

Deno.test("a supervisor that stood still for many intervals finds one late tick, not a row of misses", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: faulty({ ready: { timeout: "15s", probeTimeout: "400ms" } }) });
  const kept = await Kept.ready(foster);
  const row = await kept.row();
  Deno.kill(kept.pid, "SIGSTOP");
  const stoodStillAt = performance.now();
  await until("many intervals have passed", () => performance.now() - stoodStillAt > 10 * 200);
  Deno.kill(kept.pid, "SIGCONT");
  // What is found after that is found by the ticks that follow.
  const misses = kept.lines("probe_failed").length;
  assert(misses <= 1, kept.running.stdout);
  await setFault(row, "error");
  await kept.event("probe_failed", misses + 1);
  await setFault(row, "none");
  assertEquals([(await kept.status()).pid, kept.lines("restarting")], [row.pid, []]);
});

Deno.test("every start gets a session file of its own, private and outside of the project", async () => {
  await using foster = await Foster.create();
  const given = join(foster.folder, "given");
  await foster.define({ t: faulty({ options: [`--given=${given}`], session: SESSION }) });
  const kept = await Kept.ready(foster);
  const [first = ""] = await sessionFiles(given);
  const { key, pid } = await kept.row();
  assertMatch(first, new RegExp(`^${join(foster.stateDir, "servers", key)}/session-[0-9a-f]+\\.json$`));
  assert(!first.startsWith(foster.cwd));
  assertEquals(((await Deno.stat(first)).mode ?? 0) & 0o777, 0o600);
  const payload = JSON.parse(await Deno.readTextFile(first));
  assertEquals([payload.drain, payload.capabilities], ["d", ["a", "b"]]);
  assertMatch(payload.session_id, /^[0-9a-f]{16}$/);

  endServer(pid);
  await kept.event("ready", 2);
  const [, second = ""] = await sessionFiles(given);
  assert(second !== first);
  assertEquals([await exists(first), await exists(second)], [false, true]);
  // Supervised, it is one session over all of its starts.
  assertEquals(JSON.parse(await Deno.readTextFile(second)).session_id, payload.session_id);
  assertEquals(await kept.stop(), 0);
  assertEquals(await exists(second), false);
});

Deno.test("the session file stays for as long as its server is there", async () => {
  await using foster = await Foster.create();
  const given = join(foster.folder, "given");
  await foster.define({
    t: faulty({ options: [`--given=${given}`, "--stubborn"], session: SESSION, stop: { grace: "700ms" } }),
  });
  const kept = await Kept.ready(foster);
  const [file = ""] = await sessionFiles(given);
  const { pid } = await kept.row();
  const stopped = kept.stop();
  let looks = 0;
  await until("the end of the server", async () => {
    const there = await exists(file);
    if (!await isAlive(pid)) return true;
    assert(there, "the session file went before its server");
    looks++;
    return false;
  });
  assert(looks > 10, `${looks}`);
  assertEquals([await stopped, await exists(file)], [0, false]);
});

for (const [what, given] of [["ends at once", {}], ["can't be spawned", { cwd: "nowhere" }]] as const) {
  Deno.test(`a server that ${what} leaves no session file`, async () => {
    await using foster = await Foster.create();
    const restart = { ...RESTART, max: 1, backoff: "20ms" };
    await foster.define({ t: tiny("auto", { options: ["--exit=3"], session: SESSION, restart, ...given }) });
    assertEquals((await foster.run(["run", "t"])).code, 17);
    for (const folder of Deno.readDirSync(join(foster.stateDir, "servers"))) {
      const names = [...Deno.readDirSync(join(foster.stateDir, "servers", folder.name))].map(({ name }) =>
        name
      );
      assertEquals(names.filter((name) => name.startsWith("session-")), []);
    }
  });
}

const FULL_DISK = unless(
  await whyNoSmallDisk(),
  "run survives a full disk: it goes on, and restarts the server once there is space again",
);
Deno.test(FULL_DISK, async () => {
  await using foster = await Foster.create();
  assert(await mountSmallDisk(foster.stateDir));
  try {
    const restart = { max: 200, backoff: "100ms", backoffMax: "200ms" };
    await foster.define({ t: faulty({ restart }) });
    const kept = await Kept.ready(foster);
    const first = await kept.row();
    const filler = join(foster.stateDir, "filler");
    await fill(filler);
    await setFault(first, "error");
    await kept.event("probe_failed");
    await setFault(first, "none");
    assertEquals(await isAlive(first.pid), true);
    endServer(first.pid);
    await kept.event("restarting", 2);
    assert(kept.lines("problem").some(({ message }) => /space/i.test(message ?? "")), kept.running.stdout);
    await Deno.remove(filler);
    const again = await kept.row(2);
    assertEquals(again.endpoint, first.endpoint);
    assertEquals(await kept.stop(), 0);
    assertEquals(await foster.servers(), []);
  } finally {
    await new Deno.Command("umount", { args: ["-l", foster.stateDir] }).output();
  }
});

Deno.test("a lost record is written again by the supervisor, whose server goes on", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { restart: RESTART }) });
  const kept = await Kept.ready(foster);
  const { pid, key } = await kept.row();
  await Deno.remove(join(foster.stateDir, "servers", key, "record.json"));
  const record = await until("the record", () => foster.record(key));
  assertEquals(record.pid, pid);
  endServer(pid);
  await kept.event("ready", 2);
});

const IDLE_MS = 1500;

Deno.test("a server that was started for clients ends once its last client was killed", async () => {
  await using foster = await Foster.create();
  const server = tiny("auto", { restart: RESTART });
  await foster.define({ t: server, other: server });
  await foster.expect(0, ["serve", "--detach"]);
  const { client, key } = await clientOf(foster, "t");
  const { pid } = await enrolForClients(foster, "t", IDLE_MS);
  assertEquals((await foster.expect(0, ["status", "t", "--json"])).row().leases, 1);
  await othersIdleTime(foster);
  assertEquals(await isAlive(pid), true);
  client.kill("SIGKILL");
  await untilGone(pid);
  await until("the end of its record", async () => await foster.record(key) === null);
  const log = () => Deno.readTextFile(join(foster.stateDir, "supervisor.log"));
  await until("its line in the log", async () => /"reason":"no clients left","key":"t-/.test(await log()));
});

Deno.test("up pins a server that was started for clients: it stays without them", async () => {
  await using foster = await Foster.create();
  const server = tiny("auto", { restart: RESTART });
  await foster.define({ t: server, other: server });
  await foster.expect(0, ["serve", "--detach"]);
  const { client, key } = await clientOf(foster, "t");
  const { pid } = await enrolForClients(foster, "t", IDLE_MS);
  assertEquals((await foster.expect(0, ["up", "t", "--json"])).row().pid, pid);
  assertEquals((await foster.record(key))?.started_by, "up");
  client.kill("SIGKILL");
  await othersIdleTime(foster);
  assertEquals(await isAlive(pid), true);
});

/** The life of a server without clients that was started later with the same idle time. */
async function othersIdleTime(foster: Foster): Promise<void> {
  await untilGone((await enrolForClients(foster, "other", IDLE_MS)).pid);
}

/** What each start was told of its session file. */
async function sessionFiles(given: string): Promise<string[]> {
  const lines = (await Deno.readTextFile(given)).trim().split("\n");
  return lines.map((line) => JSON.parse(line).X_SESSION_FILE);
}

/** A client of a server that is not there yet, so that no slow machine ends it for idleness. */
async function clientOf(foster: Foster, name: string): Promise<{ client: Running; key: string }> {
  const client = foster.startProgram("sleep", ["1000"]);
  const { key } = (await foster.run(["status", name, "--json"])).row();
  await lease(foster, key, client.pid);
  return { client, key };
}

/** A lease as a client holds it. */
async function lease(foster: Foster, key: string, pid: number): Promise<void> {
  const folder = join(foster.stateDir, "servers", key, "leases");
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  const text = JSON.stringify({ pid, start_token: await startTime(pid), since: new Date().toISOString() });
  await Deno.writeTextFile(join(folder, `${pid}.json`), text, { mode: 0o600 });
}

/** Why no small file system can be mounted here; null where one can. */
async function whyNoSmallDisk(): Promise<string | null> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) {
    return "only root on Linux can mount a small file system";
  }
  const folder = await Deno.makeTempDir();
  const mounted = await mountSmallDisk(join(folder, "disk"));
  if (mounted) await new Deno.Command("umount", { args: [join(folder, "disk")] }).output();
  await Deno.remove(folder, { recursive: true });
  return mounted ? null : "a small file system cannot be mounted here";
}

/** Mounts a file system of 1 MiB at `folder`. */
async function mountSmallDisk(folder: string): Promise<boolean> {
  await Deno.mkdir(folder, { mode: 0o700 });
  const args = ["-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", folder];
  return (await new Deno.Command("mount", { args, stderr: "null" }).output()).success;
}

/** Takes all the space that is left. */
async function fill(path: string): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true });
  const bytes = new Uint8Array(1024);
  try {
    while (true) await file.write(bytes);
  } catch (error) {
    if (!/No space left/.test(String(error))) throw error;
  }
}
