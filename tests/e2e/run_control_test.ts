import { assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { endServer, faulty, idleProgram, Kept, RESTART, untilGone } from "../fixtures/run_kit.ts";
import { type Document, Foster, isAlive, isFree, until } from "./harness.ts";
import { sessionOf } from "../fixtures/machine.ts";
import { noInterrupt, unless } from "../skip.ts";
import { tiny } from "./tiny.ts";

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
  const name = `run ends with 0 on ${signal} and leaves nothing: no server, no record, a free port`;
  Deno.test(unless(noInterrupt, name), async () => {
    await using foster = await Foster.create();
    await foster.define({ t: tiny("auto", { restart: RESTART }) });
    const kept = await Kept.ready(foster);
    const row = await kept.row();
    assertEquals(await kept.stop(signal), 0);
    assertEquals([await isAlive(row.pid), isFree(row.port)], [false, true]);
    assertEquals([await foster.servers(), await foster.record(row.key)], [[], null]);
    assertEquals((await kept.event("stopped")).reason, "interrupted");
  });
}

const STARTING = "run ends with 0 when it is interrupted while its server starts, and ends what it spawned";
Deno.test(unless(noInterrupt, STARTING), async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { options: ["--delay=20000"], restart: RESTART }) });
  const kept = Kept.launch(foster);
  const [pid = 0] = await until("the child", async () => {
    const pids = await foster.servers();
    return pids.length > 0 && pids;
  });
  assertEquals(await kept.stop(), 0);
  assertEquals(await isAlive(pid), false);
});

Deno.test("a second supervisor refuses with 18, names the first and leaves it and the server alone", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { restart: RESTART }) });
  const kept = await Kept.ready(foster);
  const { pid } = await kept.row();
  const refused = await foster.expect(18, ["run", "t"]);
  assertMatch(refused.stderr, new RegExp(`"t" is supervised already, by pid ${kept.pid}`));
  const [line] = (await foster.expect(18, ["run", "t", "--json"])).stdout.trim().split("\n").map((line) =>
    JSON.parse(line)
  ).filter(({ type }) => type === "refused");
  assertMatch(line.message, new RegExp(`by pid ${kept.pid}`));
  assertEquals([await isAlive(kept.pid), await isAlive(pid)], [true, true]);
});

Deno.test("a second run of a server that still starts is refused too, and leaves it to the first", async () => {
  await using foster = await Foster.create();
  const go = join(foster.folder, "go");
  await foster.define({ t: tiny("auto", { options: [`--await-file=${go}`], restart: RESTART }) });
  const first = Kept.launch(foster);
  await until("the child", async () => (await foster.servers()).length > 0);
  const refused = await foster.expect(18, ["run", "t"]);
  assertMatch(refused.stderr, new RegExp(`"t" is supervised already, by pid ${first.pid}`));
  await Deno.writeTextFile(go, "");
  const { pid } = await first.row();
  assertEquals((await first.status()).pid, pid);
});

Deno.test("down beside run ends the supervisor, then the server, and nothing respawns", async () => {
  await using foster = await Foster.create();
  const starts = join(foster.folder, "starts");
  await foster.define({ t: faulty({ options: [`--starts=${starts}`] }) });
  const kept = await Kept.ready(foster);
  const { pid, key, port } = await kept.row();
  const down = (await foster.expect(0, ["down", "t", "--json"])).row();
  assertEquals([down.state, down.recovered?.killed], ["stopped", [pid]]);
  assertEquals((await kept.running.finish(5000)).code, 0);
  assertEquals([await isAlive(pid), isFree(port), await foster.record(key)], [false, true, null]);
  assertEquals((await Deno.readTextFile(starts)).trim().split("\n").length, 1);
  assertEquals(kept.lines("restarting"), []);
});

Deno.test("down ends a supervisor that waits for its next attempt", async () => {
  await using foster = await Foster.create();
  const restart = { ...RESTART, backoff: "20s", backoffMax: "20s" };
  await foster.define({ t: tiny("auto", { options: ["--exit=1"], restart }) });
  const kept = Kept.launch(foster);
  await kept.event("restarting");
  await foster.expect(0, ["down", "t"]);
  assertEquals((await kept.running.finish(5000)).code, 0);
});

Deno.test("run ends a server whose down was killed half-way", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { restart: RESTART }) });
  const kept = await Kept.ready(foster);
  const { pid, key } = await kept.row();
  await Deno.writeTextFile(join(foster.stateDir, "servers", key, "stop.request"), "");
  assertEquals((await kept.running.finish()).code, 0);
  assertEquals([await isAlive(pid), await foster.record(key)], [false, null]);
});

Deno.test("restart beside run is not counted as a crash: the supervisor goes on with the new process", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { restart: { ...RESTART, max: 1 } }) });
  const kept = await Kept.ready(foster);
  const first = await kept.row();
  for (const turn of [1, 2]) {
    const { pid } = (await foster.expect(0, ["restart", "t", "--json"])).row();
    assertEquals((await kept.event("adopted", turn)).pid, pid);
  }
  assertEquals([kept.lines("exited"), kept.lines("restarting")], [[], []]);
  const status = await kept.status();
  assertEquals([status.restarts, status.supervised], [0, true]);
  // The supervisor watches the new one: it is not its child, but it is restarted all the same.
  endServer(status.pid);
  const again = await kept.row(2);
  assertEquals(again.endpoint, first.endpoint);
});

Deno.test("restart of a slow server beside run is waited for, however many probes would have failed", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { options: ["--delay=1500"], restart: RESTART }) });
  const kept = await Kept.ready(foster);
  const { pid } = (await foster.expect(0, ["restart", "t", "--json"])).row();
  assertEquals((await kept.event("adopted")).pid, pid);
  assertEquals([kept.lines("probe_failed"), kept.lines("restarting")], [[], []]);
});

Deno.test("up with a changed definition beside run replaces the server, and the supervisor keeps the new one", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { restart: RESTART }) });
  const kept = await Kept.ready(foster);
  await foster.define({ t: tiny("auto", { options: ["--version=2.0.0"], restart: RESTART }) });
  const changed = (await foster.expect(0, ["up", "t", "--json"])).row();
  assertEquals(changed.server.version, "2.0.0");
  await kept.event("adopted");
  endServer(changed.pid);
  assertEquals((await kept.row(2)).server.version, "2.0.0");
});

Deno.test("recover beside run finds nothing to recover", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { restart: RESTART }) });
  const kept = await Kept.ready(foster);
  const { pid } = await kept.row();
  const row = (await foster.expect(0, ["recover", "t", "--json"])).row();
  assertEquals([row.state, row.pid, row.recovered], ["ready", pid, null]);
  assertEquals((await kept.status()).supervised, true);
});

Deno.test("handoff beside run ends the supervisor and the server, so that another version can start", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { restart: RESTART }) });
  const kept = await Kept.ready(foster);
  const { pid, port } = await kept.row();
  await foster.expect(0, ["handoff", "t"]);
  assertEquals((await kept.running.finish(5000)).code, 0);
  assertEquals([await isAlive(pid), isFree(port)], [false, true]);
  assertEquals(kept.lines("restarting"), []);
});

Deno.test("a supervisor that was killed leaves its server to the next one, which restarts it again", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { restart: RESTART }) });
  const killed = await Kept.ready(foster);
  const first = await killed.row();
  endServer(killed.pid);
  await untilGone(killed.pid);
  const orphan = (await foster.run(["status", "t", "--json"])).json<Document>().servers[0];
  assertEquals([orphan?.pid, orphan?.supervised], [first.pid, false]);

  const next = await Kept.ready(foster);
  const adopted = await next.row();
  assertEquals([adopted.pid, adopted.startup_path], [first.pid, "adopted"]);
  endServer(adopted.pid);
  assertEquals((await next.row(2)).endpoint, first.endpoint);
});

Deno.test("up --supervise adopts the orphan of a killed supervisor and supervises it, in a session of its own", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { restart: RESTART }) });
  const killed = await Kept.ready(foster);
  const first = await killed.row();
  endServer(killed.pid);
  await untilGone(killed.pid);

  const up = (await foster.expect(0, ["up", "t", "--supervise", "--json"])).row();
  assertEquals([up.pid, up.startup_path], [first.pid, "adopted"]);
  const supervisor = (await foster.record(up.key))?.supervisor as { pid: number };
  // Of the caller's session it would end with the caller's terminal.
  if (Deno.build.os !== "windows") assertEquals(await sessionOf(supervisor.pid), supervisor.pid);
  assertEquals((await foster.expect(0, ["status", "t", "--json"])).row().supervised, true);

  endServer(up.pid);
  const again = await until("the new server", async () => {
    const { servers: [row] } = (await foster.run(["status", "t", "--json"])).json<Document>();
    return row !== undefined && row.state === "ready" && row.pid !== up.pid && row;
  });
  assertEquals([again.endpoint, again.restarts], [up.endpoint, 1]);
  // A second up --supervise finds server and supervisor.
  const found = (await foster.expect(0, ["up", "t", "--supervise", "--json"])).row();
  assertEquals([found.pid, found.startup_path], [again.pid, "adopted"]);
  assertEquals((await foster.record(up.key))?.supervisor, supervisor);
  await foster.expect(0, ["down", "--all"]);
  assertEquals(await isAlive(supervisor.pid), false);
});

Deno.test("run --owner-pid ends server and supervisor with their owner", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { restart: RESTART }) });
  const owner = idleProgram(foster);
  const kept = await Kept.ready(foster, "t", { args: ["--owner-pid", String(owner.pid)] });
  const { pid, key } = await kept.row();
  assertEquals((await foster.record(key))?.owner_pid, owner.pid);
  owner.kill("SIGKILL");
  assertEquals((await kept.running.finish()).code, 0);
  assertEquals((await kept.event("stopped")).reason, "its owner is gone");
  assertEquals(await isAlive(pid), false);
});

Deno.test("up --owner-pid leaves a supervisor behind that ends the server with its owner", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { restart: RESTART }) });
  const owner = idleProgram(foster);
  const { pid, key } = (await foster.expect(0, ["up", "t", "--owner-pid", String(owner.pid), "--json"]))
    .row();
  owner.kill("SIGKILL");
  await untilGone(pid);
  await until("the end of its record", async () => await foster.record(key) === null);
});

for (const verb of ["run", "up"]) {
  Deno.test(`${verb} refuses an owner that is not there, before it starts anything`, async () => {
    await using foster = await Foster.create();
    await foster.define({ t: tiny("auto", { restart: RESTART }) });
    const gone = foster.startProgram(Deno.execPath(), ["eval", "0"]);
    await gone.finish(5000);
    const refused = await foster.expect(2, [verb, "t", "--owner-pid", String(gone.pid)]);
    assertMatch(refused.stderr, new RegExp(`--owner-pid ${gone.pid}: there is no such process`));
    assertEquals(await foster.servers(), []);
  });
}

Deno.test("run refuses a server that somebody else started", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: { extends: "demo", port: "auto", restart: RESTART } });
  const { port } = (await foster.expect(0, ["up", "t", "--json"])).row();
  const stateDir = join(foster.folder, "other");
  const env = { FOSTER_STATE_DIR: stateDir };
  const refused = await foster.expect(16, ["run", "demo", "--config", await fixedPort(foster, port)], {
    env,
  });
  assertMatch(refused.stderr, /started by somebody else/);
  assertEquals((await foster.expect(0, ["status", "t", "--json"])).row().state, "ready");
});

/** A definition file of the demo on a port of its own. */
async function fixedPort(foster: Foster, port: number): Promise<string> {
  const servers = { demo: { extends: "demo", port, wsPort: null } };
  return await foster.write("fixed.json", JSON.stringify({ servers }));
}
