/**
 * What a start or a stop must not lose, and whom it must not end, on a machine in memory.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { HostError } from "../../src/host/host.ts";
import { findProof } from "../../src/lifecycle/observe/proof.ts";
import { lastRecord } from "../../src/registry/events.ts";
import type { FakeChild, FakeProcess } from "../host/fake_host.ts";
import { held, holder, observationOf, says } from "./observations.ts";
import { PORT, PROGRAM, Rig, rightStatus } from "./rig.ts";

const signal = new AbortController().signal;

/** A child that left the group of its launcher, in a session of its own, and carries the instance token. */
function detached(rig: Rig, child: FakeChild): FakeProcess {
  return rig.host.processes.add({ argv: ["docs-worker"], env: { ...child.options.env } });
}

/** It begins to listen and answers as the right server does. */
function listen(rig: Rig, process: FakeProcess): void {
  process.listens.push({ port: PORT, address: "127.0.0.1" });
  rig.statuses.set(process.pid, rightStatus());
}

// ------------------------------------------------------------------------------------ whom a server's own word names

const OTHER_VERSION = rightStatus({ server_version: "1.0.0" });

Deno.test("recover ends only the server that answers at 127.0.0.1 when another listens on ::1", async () => {
  const rig = new Rig();
  const server = rig.foreign(OTHER_VERSION);
  const other = rig.foreign(null, { listens: [{ port: PORT, address: "::1" }] });
  await rig.up({}, { recover: true });
  assertEquals(rig.host.processes.isAlive(server.pid), false);
  assert(rig.host.processes.isAlive(other.pid));
  assertEquals(new Set(rig.signalled), new Set([server.pid]));
});

Deno.test("recover ends nobody when two unrelated processes listen on the very address", async () => {
  const rig = new Rig();
  const foreign = [rig.foreign(OTHER_VERSION), rig.foreign()];
  const { kind } = await rig.up({}, { recover: true });
  assertEquals([kind, rig.signalled, rig.spawned], ["incompatible", [], []]);
  for (const { pid } of foreign) assert(rig.host.processes.isAlive(pid));
});

Deno.test("recover ends nobody when localhost may be either of two servers", async () => {
  const rig = new Rig();
  rig.foreign(OTHER_VERSION);
  rig.foreign(null, { listens: [{ port: PORT, address: "::1" }] });
  const { kind } = await rig.up({ host: "localhost" }, { recover: true });
  assertEquals([kind, rig.signalled, rig.spawned], ["incompatible", [], []]);
});

Deno.test("recover ends a reload parent together with its worker in a group of its own", async () => {
  const rig = new Rig();
  const parent = rig.foreign(OTHER_VERSION);
  const worker = rig.foreign(null, { parentPid: parent.pid });
  const { kind, row } = await rig.up({}, { recover: true });
  assertEquals(kind, "done");
  assertEquals(row.recovered, { proof: "status_name", killed: [parent.pid, worker.pid] });
});

const NAMED = says({ name: "docs", version: "1.0.0" });
const ANSWERING: { name: string; holders: Parameters<typeof held>; pids: number[] | null }[] = [
  { name: "nobody when none of the sockets serves", holders: [holder(9, { serves: false })], pids: null },
  {
    name: "the one that serves, not its neighbour",
    holders: [holder(9), holder(10, { serves: false, groupId: 6 })],
    pids: [9],
  },
  {
    name: "nobody of two foreign processes to each other",
    holders: [holder(9), holder(10, { groupId: 6 })],
    pids: null,
  },
  {
    name: "worker and parent",
    holders: [holder(9, { parentPid: 10 }), holder(10, { groupId: 6 })],
    pids: [9, 10],
  },
  {
    name: "a whole group",
    holders: [holder(9, { parentPid: 4 }), holder(10, { parentPid: 4 })],
    pids: [9, 10],
  },
  {
    name: "nobody of two that only share the lack of a group",
    holders: [holder(9, { groupId: 0 }), holder(10, { groupId: 0 })],
    pids: null,
  },
];
for (const { name, holders, pids } of ANSWERING) {
  Deno.test(`findProof() by name finds ${name}`, () => {
    const observed = observationOf({ port: held(...holders) });
    const proof = findProof({ observed, live: NAMED, expectedName: "docs", userAsked: true });
    assertEquals(proof?.targets.map(({ pid }) => pid) ?? null, pids);
  });
}

// --------------------------------------------------------------------------------------- a child that nobody knows

/** As a foster leaves it that was killed between the spawn and the note of the child's pid. */
async function cutOff(rig: Rig): Promise<FakeProcess> {
  rig.program(() => {});
  await rig.up({}, { waitForReady: false });
  const spawning = (await rig.folder.events()).filter(({ event }) => event === "spawning");
  const draft = lastRecord(spawning, "docs");
  assert(draft !== null && draft.pid === null && draft.state === "spawning");
  await rig.folder.write(draft);
  const child = rig.host.processes.get(rig.spawned[0] ?? 0);
  // Whoever started it is gone as well.
  child.parentPid = 1;
  return child;
}

Deno.test("down keeps a start whose child is unknown while it may live, and ends it once it listens", async () => {
  const rig = new Rig();
  const child = await cutOff(rig);
  for (const attempt of ["first", "second"]) {
    const { kind, row } = await rig.down();
    assertEquals(kind, "refused", attempt);
    assertStringIncludes(row.message, `pid ${child.pid}`);
    assertStringIncludes(row.hint, `kill ${child.pid}`);
    assert(await rig.record() !== null);
  }
  assertEquals(rig.signalled, []);

  listen(rig, child);
  const { kind, row } = await rig.down();
  assertEquals([kind, row.recovered?.killed], ["done", [child.pid]]);
  assertEquals(await rig.record(), null);
});

Deno.test("down forgets a start whose child is unknown when nothing carries its cookie", async () => {
  const rig = new Rig();
  const child = await cutOff(rig);
  rig.host.processes.end(child.pid);
  assertEquals((await rig.down()).kind, "done");
  assertEquals(await rig.record(), null);
});

Deno.test("up adopts the child of a start that was cut off, also after a down that could not tell", async () => {
  const rig = new Rig();
  const child = await cutOff(rig);
  await rig.down();
  rig.host.clock.after(500, () => listen(rig, child));
  const { kind, row } = await rig.up();
  assertEquals([kind, row.pid, rig.spawned], ["done", child.pid, [child.pid]]);
});

Deno.test("down of a server that was ready once is not held up by what it left behind", async () => {
  const rig = new Rig();
  let left: FakeProcess | null = null;
  rig.program((child) => {
    left = detached(rig, child);
    rig.serve(child);
  });
  await rig.up();
  rig.host.processes.end(rig.spawned[0] ?? 0);
  await rig.rewrite({
    state: "crashed",
    pid: null,
    start_token: null,
    pgid: null,
    launcher_pid: null,
    launcher_start_token: null,
  });
  assertEquals((await rig.down()).kind, "done");
  assert(left !== null && rig.host.processes.isAlive((left as FakeProcess).pid));
});

// ------------------------------------------------------------------------------------ a record that can't be parsed

const CUTS = ["writeAtomic", "append", "copy"] as const;
for (const cut of CUTS) {
  Deno.test(`a record that can't be parsed is there until the new one is, also when ${cut} ends it all`, async () => {
    const rig = new Rig();
    await rig.up();
    const { files } = rig.host;
    files.put(rig.folder.paths.record, '{"schema":1,');
    files[cut] = () => Promise.reject(new HostError("failed", "killed here"));
    const ending = await rig.up().then(() => null, (error) => error);
    // The class's own method is back.
    Reflect.deleteProperty(files, cut);
    assert(ending instanceof HostError, `${ending}`);
    assertEquals(files.text(rig.folder.paths.record), '{"schema":1,');

    const { row } = await rig.up();
    assertEquals([row.startup_path, row.pid, rig.spawned], ["adopted", rig.spawned[0], [row.pid]]);
    assert(files.paths().includes(`${rig.folder.paths.record}.corrupt-1`));
    assertEquals((await rig.down()).row.recovered?.killed, rig.spawned);
  });
}

Deno.test("a record that can't be parsed is there until the new one is, also when the events can't be read", async () => {
  const rig = new Rig();
  await rig.up();
  const { files } = rig.host;
  files.put(rig.folder.paths.record, "{");
  files.refuse(rig.folder.paths.events, "failed");
  const ending = await rig.up().then(() => null, (error) => error);
  assert(ending instanceof HostError, `${ending}`);
  assertEquals(files.text(rig.folder.paths.record), "{");
  files.refuse(rig.folder.paths.events, null);
  assertEquals((await rig.up()).row.startup_path, "adopted");
});

// ------------------------------------------------------------------------------------------------ late successors

/** The launcher ends after `endsAfterMs`; what it left listens after `listensAfterMs`. */
function launcher(
  rig: Rig,
  { endsAfterMs, listensAfterMs, code = 0 }: { endsAfterMs: number; listensAfterMs: number; code?: number },
): () => FakeProcess {
  let left: FakeProcess | null = null;
  rig.program((child) => {
    const process = detached(rig, child);
    left = process;
    rig.host.clock.after(endsAfterMs, () => child.exit(code));
    rig.host.clock.after(listensAfterMs, () => listen(rig, process));
  });
  return () => {
    if (left === null) throw new Error("it was not started yet");
    return left;
  };
}

for (const endsAfterMs of [100, 6000]) {
  Deno.test(`up has the whole time for what a launcher left behind that ended well after ${endsAfterMs} ms`, async () => {
    const rig = new Rig();
    const left = launcher(rig, { endsAfterMs, listensAfterMs: 7500 });
    const { kind, row } = await rig.up({}, { timeoutMs: 8000 });
    assertEquals([kind, row.state, row.pid], ["done", "ready", left().pid]);
    assertEquals((await rig.down()).row.recovered?.killed, [left().pid]);
  });
}

Deno.test("up gives the hand-over five seconds from the end of a launcher that failed, not from its start", async () => {
  const rig = new Rig();
  const left = launcher(rig, { endsAfterMs: 6000, listensAfterMs: 9000, code: 1 });
  const { kind, row } = await rig.up({}, { timeoutMs: 20_000 });
  assertEquals([kind, row.pid], ["done", left().pid]);
});

const GIVEN_UP: { name: string; code: number; kind: string }[] = [
  { name: "that was out of time", code: 0, kind: "not_ready" },
  { name: "whose launcher failed", code: 1, kind: "crashed" },
];
for (const { name, code, kind } of GIVEN_UP) {
  for (const verb of ["up", "down"] as const) {
    Deno.test(`${verb} knows what a start left behind ${name}, as soon as it listens`, async () => {
      const rig = new Rig();
      const left = launcher(rig, { endsAfterMs: 100, listensAfterMs: 60_000, code });
      assertEquals((await rig.up({}, { timeoutMs: code === 0 ? 1000 : 8000 })).kind, kind);
      const token = (await rig.record())?.token ?? "";
      assertEquals((await rig.folder.overrides()).tokens, [token]);
      assert(rig.host.processes.isAlive(left().pid));

      await rig.host.clock.advance(60_000);
      const { row } = await rig[verb]();
      if (verb === "up") assertEquals([row.adoption, row.pid], ["managed", left().pid]);
      else assertEquals([row.state, row.recovered?.killed], ["stopped", [left().pid]]);
    });
  }
}

Deno.test("down of a start that was given up names what it left behind, and the next up does not wait for it", async () => {
  const rig = new Rig();
  const left = launcher(rig, { endsAfterMs: 100, listensAfterMs: 60_000 });
  await rig.up({}, { timeoutMs: 1000 });
  const { kind, row } = await rig.down();
  assertEquals([kind, (await rig.record())?.state], ["refused", "crashed"]);
  assertStringIncludes(row.message, `pid ${left().pid}`);
  rig.program((child) => rig.serve(child));
  const { row: next } = await rig.up();
  assertEquals([next.startup_path, next.pid], ["spawned", rig.spawned[1]]);
  assertEquals(rig.signalled, []);
});

Deno.test("up knows what an earlier start left behind also when later starts have cookies of their own", async () => {
  const rig = new Rig();
  const left = launcher(rig, { endsAfterMs: 100, listensAfterMs: 60_000, code: 1 });
  await rig.up();
  rig.program((child) => child.exit(1));
  await rig.up();
  await rig.up();
  await rig.host.clock.advance(60_000);
  const { row } = await rig.up();
  assertEquals([row.adoption, row.pid], ["managed", left().pid]);
});

// ------------------------------------------------------------------------------------------- a pid file that misleads

Deno.test("a signed process that a fresh pid file names, and that does not listen, survives down and recover", async () => {
  for (const verb of ["down", "recover"] as const) {
    const rig = new Rig();
    await rig.up();
    rig.host.processes.end(rig.spawned[0] ?? 0);
    const named = rig.host.processes.add({ argv: [PROGRAM, "--pid-file", "x"] });
    rig.host.files.put(rig.folder.paths.pidFile, `${named.pid}\n`);
    const { kind } = verb === "down" ? await rig.down() : await rig.up({}, { recover: true });
    assertEquals(kind, "done", verb);
    assert(rig.host.processes.isAlive(named.pid), verb);
    assertEquals(rig.signalled, [], verb);
  }
});

// ------------------------------------------------------------------------------------------------ down against up

Deno.test("up that waits for its turn starts nothing when a down is asked meanwhile", async () => {
  const rig = new Rig();
  const lock = await rig.folder.lock({ waitMs: 0, signal });
  rig.host.clock.after(1000, () => void rig.folder.askToStop());
  const { kind, row } = await rig.up();
  assertEquals([kind, row.state, rig.spawned], ["no", "stopped", []]);
  assertStringIncludes(row.message, "foster down");
  assert(rig.host.clock.monotonic() < 1500, `${rig.host.clock.monotonic()}`);
  lock?.release();
});

Deno.test("up is not stopped by a request that was left from before it began", async () => {
  const rig = new Rig();
  await rig.folder.askToStop();
  rig.host.files.setModified(rig.folder.paths.stopRequest, rig.host.clock.now() - 1000);
  assertEquals((await rig.up()).row.state, "ready");
});

Deno.test("up that waits for its turn is not stopped by a request from before it began", async () => {
  const rig = new Rig();
  await rig.folder.askToStop();
  rig.host.files.setModified(rig.folder.paths.stopRequest, rig.host.clock.now() - 1000);
  const lock = await rig.folder.lock({ waitMs: 0, signal });
  rig.host.clock.after(500, () => lock?.release());
  assertEquals((await rig.up()).row.state, "ready");
});

// -------------------------------------------------------------------------------------------------- a full disk

const WRITES = ["writeAtomic", "writeNew", "append", "copy"] as const;

function fillDisk(rig: Rig): void {
  for (const write of WRITES) {
    rig.host.files[write] = () => Promise.reject(new HostError("no_space", "no space left"));
  }
}

Deno.test("down ends its server although nothing can be written any more", async () => {
  const rig = new Rig();
  await rig.up();
  fillDisk(rig);
  const { kind, row } = await rig.down();
  assertEquals([kind, row.state, row.recovered?.killed], ["done", "stopped", rig.spawned]);
  assertEquals(await rig.record(), null);
  assert(rig.warnings.some((text) => text.includes("the disk is full")));
});

Deno.test("down ends the supervisor as well although nothing can be written any more", async () => {
  const rig = new Rig();
  await rig.up();
  const supervisor = rig.host.processes.add();
  await rig.rewrite({ supervisor: { pid: supervisor.pid, start_token: supervisor.startTime } });
  fillDisk(rig);
  assertEquals((await rig.down()).kind, "done");
  assertEquals(rig.host.processes.isAlive(supervisor.pid), false);
});

Deno.test("down says who survives, and whose child is unknown, although nothing can be written any more", async () => {
  const stubborn = new Rig();
  await stubborn.up();
  stubborn.host.processes.get(stubborn.spawned[0] ?? 0).react = () => "ignores";
  fillDisk(stubborn);
  assertEquals((await stubborn.down()).kind, "no");

  const unknown = new Rig();
  const child = await cutOff(unknown);
  fillDisk(unknown);
  const { kind, row } = await unknown.down();
  assertEquals(kind, "refused");
  assertStringIncludes(row.message, `pid ${child.pid}`);
});

// --------------------------------------------------------------------------------- values stay out of the command

const SECRET = "hunter2-fold";
const SECRET_PROGRAM = `/opt/${SECRET}/docs-server`;
const HIDDEN = { command: "/opt/${env:DOCS_FOLDER}/docs-server" };

function secretive(): Rig {
  return new Rig({ env: { HOME: "/home/user", PATH: "/usr/bin:/bin", DOCS_FOLDER: SECRET } });
}

/** Neither in an answer nor in any file of the state folder. */
function assertUntold(rig: Rig, ...answers: unknown[]): void {
  assert(!JSON.stringify([answers, rig.warnings]).includes(SECRET), JSON.stringify(answers));
  for (const path of rig.host.files.paths().filter((each) => each.startsWith("/state/"))) {
    assert(!(rig.host.files.text(path) ?? "").includes(SECRET), path);
  }
}

Deno.test("the value of a variable in the command is written nowhere while the server runs", async () => {
  const rig = secretive();
  rig.host.processes.program(SECRET_PROGRAM, (child) => rig.serve(child));
  const up = await rig.up(HIDDEN);
  assertEquals([up.kind, rig.host.processes.spawned[0]?.options.command], ["done", SECRET_PROGRAM]);
  assertEquals((await rig.record())?.argv[0], HIDDEN.command);
  assertUntold(rig, up);
});

const FAILURES: { name: string; arrange: (rig: Rig) => void; kind: string }[] = [
  { name: "there is no such program", arrange: () => {}, kind: "no_command" },
  {
    name: "it may not be run",
    arrange: (rig) => {
      rig.host.processes.program(SECRET_PROGRAM);
      rig.host.processes.refusedPrograms.set(SECRET_PROGRAM, `not allowed to run ${SECRET_PROGRAM}`);
    },
    kind: "no_command",
  },
  {
    name: "it can't be started",
    arrange: (rig) => rig.host.files.put(SECRET_PROGRAM, "", 0o755),
    kind: "crashed",
  },
  {
    name: "it ends at once",
    arrange: (rig) => rig.host.processes.program(SECRET_PROGRAM, (child) => child.exit(3)),
    kind: "crashed",
  },
];
for (const { name, arrange, kind } of FAILURES) {
  Deno.test(`the value of a variable in the command is written nowhere when ${name}`, async () => {
    const rig = secretive();
    arrange(rig);
    const up = await rig.up(HIDDEN);
    assertEquals(up.kind, kind);
    assertUntold(rig, up);
  });
}

// ---------------------------------------------------------------------------------------- what --port said is kept

Deno.test("--port is kept through a replacement that failed, until down", async () => {
  const rig = new Rig();
  await rig.up({}, { port: PORT + 1 });
  assertEquals((await rig.up({ command: "no-such-program" })).kind, "no_command");
  assertEquals(rig.host.processes.isAlive(rig.spawned[0] ?? 0), false);
  const { row } = await rig.up();
  assertEquals([row.state, row.port], ["ready", PORT + 1]);
  await rig.down();
  assertEquals((await rig.up()).row.port, PORT);
});

Deno.test("--port is forgotten with a down right after a replacement that failed", async () => {
  const rig = new Rig();
  await rig.up({}, { port: PORT + 1 });
  await rig.up({ command: "no-such-program" });
  assertEquals((await rig.down()).kind, "done");
  assertEquals((await rig.up()).row.port, PORT);
});
