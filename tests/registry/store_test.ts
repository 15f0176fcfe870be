import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { HostError } from "../../src/host/host.ts";
import { encodeRecord } from "../../src/registry/record.ts";
import { readAutoPorts } from "../../src/registry/auto_ports.ts";
import { parsePid, type ServerFolder, StateFolder } from "../../src/registry/store.ts";
import { FakeHost } from "../host/fake_host.ts";
import { sampleRecord } from "./sample.ts";

const RECORD = "/state/servers/docs/record.json";
const signal = new AbortController().signal;

async function place(): Promise<{ host: FakeHost; state: StateFolder; serverFolder: ServerFolder }> {
  const host = new FakeHost();
  const state = new StateFolder(host, "/state");
  const serverFolder = state.server("docs");
  await serverFolder.prepare();
  return { host, state, serverFolder };
}

for (
  const [text, pid] of [
    ["812\n", 812],
    ["  812  ", 812],
    ["812", 812],
    ["", 0],
    ["\n", 0],
    ["-812", 0],
    ["+812", 0],
    ["8.5", 0],
    ["0x10", 0],
    ["1e3", 0],
    ["812 813", 0],
    ["pid", 0],
    ["0", 0],
    ["99999999999999999999", 0],
  ] as const
) {
  Deno.test(`parsePid() reads ${pid} from ${JSON.stringify(text)}`, () => assertEquals(parsePid(text), pid));
}

Deno.test("StateFolder.id() is made once and stays", async () => {
  const { host, state } = await place();
  const id = await state.id();
  assertMatch(id, /^[0-9a-f]{16}$/);
  assertEquals(await new StateFolder(host, "/state").id(), id);
});

Deno.test("StateFolder.id() is one and the same for fosters that start together", async () => {
  const { host } = await place();
  const ids = Promise.all([1, 2, 3].map(() => new StateFolder(host, "/state").id()));
  assertEquals(new Set(await host.clock.run(ids)).size, 1);
});

Deno.test("StateFolder.id() does not wait for ever on an id that was never written", async () => {
  const { host, state } = await place();
  host.files.put("/state/id", "");
  assertMatch(await host.clock.run(state.id()), /^[0-9a-f]{16}$/);
});

Deno.test("StateFolder.prepare() makes a folder that only its owner may enter", async () => {
  const host = new FakeHost();
  await new StateFolder(host, "/new/state").prepare();
  assertEquals((await host.files.stat("/new/state"))?.mode, 0o700);
});

Deno.test("StateFolder.keys() follows no link", async () => {
  const { host, state } = await place();
  host.files.putDir("/elsewhere/evil");
  host.files.putLink("/state/servers/evil", "/elsewhere/evil");
  assertEquals(await state.keys(), ["docs"]);
});

Deno.test("StateFolder.records() lists what can't be read as well", async () => {
  const { host, state, serverFolder } = await place();
  await serverFolder.write(sampleRecord());
  host.files.put("/state/servers/torn/record.json", "{");
  host.files.putDir("/state/servers/empty");
  const found = (await state.records()).map(({ key, stored }) => [key, stored.kind]);
  assertEquals(found, [["docs", "record"], ["torn", "corrupt"]]);
});

Deno.test("write() leaves a record that only its owner may read", async () => {
  const { host, serverFolder } = await place();
  await serverFolder.write(sampleRecord());
  assertEquals((await host.files.stat(RECORD))?.mode, 0o600);
  assertEquals(await serverFolder.read(), { kind: "record", record: sampleRecord() });
});

Deno.test("read() says none when there is no record", async () =>
  assertEquals(await (await place()).serverFolder.read(), { kind: "none" }));

Deno.test("read() trusts no record that is a folder", async () => {
  const { host, serverFolder } = await place();
  host.files.putDir(RECORD);
  assertEquals((await serverFolder.read()).kind, "corrupt");
});

Deno.test("read() trusts no record that is a link", async () => {
  const { host, serverFolder } = await place();
  host.files.put("/elsewhere/record.json", encodeRecord(sampleRecord()));
  host.files.putLink(RECORD, "/elsewhere/record.json");
  assertEquals((await serverFolder.read()).kind, "corrupt");
});

Deno.test("read() trusts no record that the system does not let it read", async () => {
  const { host, serverFolder } = await place();
  await serverFolder.write(sampleRecord());
  host.files.refuse(RECORD, "denied");
  assertEquals((await serverFolder.read()).kind, "corrupt");
});

Deno.test("read() does not load a record of absurd size", async () => {
  const { host, serverFolder } = await place();
  host.files.put(RECORD, " ".repeat(1024 * 1024 + 1));
  const stored = await serverFolder.read();
  assertEquals(stored.kind, "corrupt");
  assertMatch(stored.kind === "corrupt" ? stored.why : "", /bytes large/);
});

Deno.test("readOrHeal() leaves a good record alone", async () => {
  const { serverFolder } = await place();
  await serverFolder.write(sampleRecord());
  assertEquals(await serverFolder.readOrHeal(), sampleRecord());
  assertEquals(await serverFolder.events(), []);
});

Deno.test("readOrHeal() sets a torn record aside and rebuilds it when its process is provably ours", async () => {
  const { host, serverFolder } = await place();
  const { pid, startTime } = host.processes.add();
  const record = sampleRecord({ pid, start_token: startTime });
  await serverFolder.event("spawned", { record });
  const torn = encodeRecord(record).slice(0, 100);
  host.files.put(RECORD, torn);
  assertEquals(await serverFolder.readOrHeal(), record);
  assertEquals(await serverFolder.read(), { kind: "record", record });
  assertEquals(host.files.text(`${RECORD}.corrupt-1`), torn);
  assertEquals((await serverFolder.events()).map(({ event }) => event), [
    "spawned",
    "record_set_aside",
    "record_rebuilt",
  ]);
});

Deno.test("readOrHeal() rebuilds through the launcher when the listener is gone", async () => {
  const { host, serverFolder } = await place();
  const launcher = host.processes.add();
  const record = sampleRecord({ launcher_pid: launcher.pid, launcher_start_token: launcher.startTime });
  await serverFolder.event("spawned", { record });
  host.files.put(RECORD, "");
  assertEquals(await serverFolder.readOrHeal(), record);
});

const NOT_REBUILT: { name: string; arrange: (host: FakeHost, pid: number) => void }[] = [
  { name: "is gone", arrange: (host, pid) => host.processes.end(pid) },
  { name: "is a zombie", arrange: (host, pid) => host.processes.setZombie(pid) },
  { name: "has its pid given to another", arrange: (host, pid) => void host.processes.recycle(pid) },
];
for (const { name, arrange } of NOT_REBUILT) {
  Deno.test(`readOrHeal() rebuilds nothing when the process of the events ${name}`, async () => {
    const { host, serverFolder } = await place();
    const { pid, startTime } = host.processes.add();
    const identity = {
      pid,
      start_token: startTime,
      launcher_pid: pid,
      launcher_start_token: startTime,
    };
    await serverFolder.event("spawned", { record: sampleRecord(identity) });
    arrange(host, pid);
    host.files.put(RECORD, "{");
    assertEquals(await serverFolder.readOrHeal(), null);
    assertEquals(await serverFolder.read(), { kind: "none" });
  });
}

Deno.test("readOrHeal() touches nothing when the process of the events can't be looked at", async () => {
  const { host, serverFolder } = await place();
  const { pid, startTime } = host.processes.add();
  await serverFolder.event("spawned", { record: sampleRecord({ pid, start_token: startTime }) });
  host.processes.unreadable.set(pid, "hidepid");
  host.files.put(RECORD, "{");
  await assertRejects(() => serverFolder.readOrHeal(), HostError, "hidepid");
  assertEquals(host.files.text(RECORD), "{");
});

Deno.test("readOrHeal() touches nothing when the record can't be read right now", async () => {
  const { host, serverFolder } = await place();
  await serverFolder.write(sampleRecord());
  host.files.refuse(RECORD, "failed");
  await assertRejects(() => serverFolder.readOrHeal(), HostError);
  assertEquals(host.files.paths().filter((path) => path.includes("corrupt")), []);
});

Deno.test("readOrHeal() rebuilds nothing when the server was stopped since", async () => {
  const { host, serverFolder } = await place();
  const { pid, startTime } = host.processes.add();
  await serverFolder.event("spawned", { record: sampleRecord({ pid, start_token: startTime }) });
  await serverFolder.event("stopped");
  host.files.put(RECORD, "{");
  assertEquals(await serverFolder.readOrHeal(), null);
});

Deno.test("readOrHeal() keeps the last five records that it set aside", async () => {
  const { host, serverFolder } = await place();
  for (const text of ["one", "two", "three", "four", "five", "six", "seven"]) {
    host.files.put(RECORD, text);
    assertEquals(await serverFolder.readOrHeal(), null);
  }
  const kept = [1, 2, 3, 4, 5, 6, 7].map((n) => host.files.text(`${RECORD}.corrupt-${n}`));
  assertEquals(kept, [null, null, "three", "four", "five", "six", "seven"]);
});

Deno.test("readOrHeal() removes drafts of its own files and no others", async () => {
  const { host, serverFolder } = await place();
  await serverFolder.write(sampleRecord());
  host.files.put(`${RECORD}.0a1b2c.draft`, "{");
  host.files.put(`${serverFolder.paths.overrides}.0a1b2c.draft`, "{");
  host.files.put(`${serverFolder.paths.stopRequest}.0a1b2c.draft`, "");
  assertEquals(await serverFolder.readOrHeal(), sampleRecord());
  const names = (await host.files.list(serverFolder.paths.folder) ?? []).map(({ name }) => name).sort();
  assertEquals(names, ["record.json", "stop.request.0a1b2c.draft"]);
});

Deno.test("pidFile() believes a file that was written after the start", async () => {
  const { host, serverFolder } = await place();
  const since = host.clock.now();
  host.files.put(serverFolder.paths.pidFile, "812\n");
  host.files.setModified(serverFolder.paths.pidFile, since + 5);
  assertEquals(await serverFolder.pidFile(since), 812);
});

Deno.test("pidFile() allows for the coarser clock of the file system", async () => {
  const { host, serverFolder } = await place();
  host.files.put(serverFolder.paths.pidFile, "812\n");
  host.files.setModified(serverFolder.paths.pidFile, host.clock.now() - 50);
  assertEquals(await serverFolder.pidFile(host.clock.now()), 812);
});

Deno.test("pidFile() does not believe a file of an earlier start", async () => {
  const { host, serverFolder } = await place();
  host.files.put(serverFolder.paths.pidFile, "812\n");
  host.files.setModified(serverFolder.paths.pidFile, host.clock.now() - 5000);
  assertEquals(await serverFolder.pidFile(host.clock.now()), 0);
});

Deno.test("pidFile() follows no link", async () => {
  const { host, serverFolder } = await place();
  host.files.put("/elsewhere/server.pid", "812\n");
  host.files.putLink(serverFolder.paths.pidFile, "/elsewhere/server.pid");
  assertEquals(await serverFolder.pidFile(0), 0);
});

Deno.test("pidFile() is 0 when there is no file", async () =>
  assertEquals(await (await place()).serverFolder.pidFile(0), 0));

Deno.test("forget() removes record, pid file, overrides and the session of the start, and keeps copies' sessions, logs, events and the lock", async () => {
  const { host, serverFolder } = await place();
  const lock = await serverFolder.lock({ waitMs: 0, signal });
  await serverFolder.write(sampleRecord());
  const session = { id: "12", file: "abc" };
  await serverFolder.writeOverrides({
    port: 3002,
    version: null,
    parts: {},
    stop: null,
    tokens: [],
    session,
  });
  await serverFolder.writeSession(serverFolder.sessionFile("abc"), { token: "x" });
  // A copy's: it goes with the copy.
  await serverFolder.writeSession(serverFolder.sessionFile("def"), { token: "y" });
  await serverFolder.event("ready");
  host.files.put(serverFolder.paths.pidFile, "812\n");
  host.files.put(serverFolder.paths.log, "hello\n");
  await serverFolder.forget();
  lock?.release();
  const names = (await host.files.list(serverFolder.paths.folder) ?? []).map(({ name }) => name).sort();
  assertEquals(names, ["events.ndjson", "lock", "server.log", "session-def.json"]);
});

Deno.test("lock() of a server keeps every other foster out, for its own server only", async () => {
  const { state, serverFolder } = await place();
  const lock = await serverFolder.lock({ waitMs: 0, signal });
  assert(lock !== null);
  assertEquals(await state.server("docs").lock({ waitMs: 0, signal }), null);
  const other = await state.server("other").lock({ waitMs: 0, signal });
  assert(other !== null);
  lock.release();
  other.release();
});

Deno.test("overrides() are empty when the file is torn", async () => {
  const { host, serverFolder } = await place();
  host.files.put(serverFolder.paths.overrides, '{"port":30');
  assertEquals(await serverFolder.overrides(), {
    port: null,
    version: null,
    parts: {},
    stop: null,
    tokens: [],
    session: null,
  });
});

for (
  const [name, spoil] of [
    ["a link", (host: FakeHost, path: string) => host.files.putLink(path, "/elsewhere")],
    ["a pipe", (host: FakeHost, path: string) => host.files.putPipe(path)],
    ["a folder", (host: FakeHost, path: string) => host.files.putDir(path)],
    ["huge", (host: FakeHost, path: string) => host.files.put(path, `{}${" ".repeat(2_000_000)}`)],
  ] as const
) {
  Deno.test(`no file of a server is used that is ${name}`, async () => {
    const { host, state, serverFolder } = await place();
    host.files.put("/elsewhere", "{}");
    const { overrides, pidFile, events, stopRequest, record } = serverFolder.paths;
    for (const path of [overrides, pidFile, events, stopRequest, record, "/state/ports.json"]) {
      spoil(host, path);
    }
    assertEquals((await serverFolder.overrides()).port, null);
    assertEquals(await serverFolder.pidFile(0), 0);
    assertEquals(await serverFolder.events(), []);
    assertEquals(await serverFolder.isAskedToStop(), false);
    assertEquals((await serverFolder.read()).kind, "corrupt");
    assertEquals(await readAutoPorts(host, state), {});
  });
}

Deno.test("lock() and event() open nothing that is no regular file", async () => {
  const { host, serverFolder } = await place();
  host.files.putPipe(serverFolder.paths.lock);
  host.files.putPipe(serverFolder.paths.events);
  await assertRejects(() => serverFolder.lock({ waitMs: 0, signal }), HostError, "not a file");
  await assertRejects(() => serverFolder.event("ready"), HostError, "not a file");
});

Deno.test("overrides() keep what is good in a file that was edited by hand", async () => {
  const { host, serverFolder } = await place();
  const text = JSON.stringify({
    port: "3001",
    version: 2,
    parts: { a: "x", b: 1 },
    tokens: [5, "a:docs:b"],
    session: { id: "../x", file: "y" },
    stop: [],
  });
  host.files.put(serverFolder.paths.overrides, text);
  assertEquals(await serverFolder.overrides(), {
    port: null,
    version: null,
    parts: { a: "x" },
    stop: null,
    tokens: ["a:docs:b"],
    session: null,
  });
});

Deno.test("read() takes times of the future for now", async () => {
  const { host, serverFolder } = await place();
  const future = "2099-01-01T00:00:00.000Z";
  host.files.put(RECORD, encodeRecord(sampleRecord({ started_at: future, ready_at: future })));
  const stored = await serverFolder.read();
  assert(stored.kind === "record");
  const now = new Date(host.clock.now()).toISOString();
  assertEquals([stored.record.started_at, stored.record.ready_at], [now, now]);
});

Deno.test("write() refuses a record that it could not read again", async () => {
  const { serverFolder } = await place();
  const argv = ["x".repeat(1024 * 1024)];
  await assertRejects(() => serverFolder.write(sampleRecord({ argv })), HostError, "bytes large");
  assertEquals(await serverFolder.read(), { kind: "none" });
});

Deno.test("StateFolder.id() is made anew where it was torn, and stays", async () => {
  const { host, state } = await place();
  host.files.put("/state/id", "0123456789ab");
  const id = await host.clock.run(state.id());
  assertMatch(id, /^[0-9a-f]{16}$/);
  assertEquals(await new StateFolder(host, "/state").id(), id);
});

Deno.test("isAskedToStop() minds nobody who is gone", async () => {
  const { host, serverFolder } = await place();
  const asking = host.processes.add();
  await serverFolder.askToStop();
  const request = JSON.parse(host.files.text(serverFolder.paths.stopRequest) ?? "");
  assertEquals([request.pid, request.start_token], [501, host.processes.get(501).startTime]);
  const theirs = { ...request, pid: asking.pid, start_token: asking.startTime };
  host.files.put(serverFolder.paths.stopRequest, JSON.stringify(theirs));
  assertEquals(await serverFolder.isAskedToStop(), true);
  host.processes.end(asking.pid);
  assertEquals(await serverFolder.isAskedToStop(), false);
});

Deno.test("isAskedToStop() minds no request of 0.1 out of the future", async () => {
  const { host, serverFolder } = await place();
  host.files.put(serverFolder.paths.stopRequest, "");
  assertEquals(await serverFolder.isAskedToStop(host.clock.now()), true);
  host.files.setModified(serverFolder.paths.stopRequest, host.clock.now() + 3_600_000);
  assertEquals(await serverFolder.isAskedToStop(host.clock.now()), false);
});

Deno.test("isAskedToStop() says yes from the request until it is cleared", async () => {
  const { serverFolder } = await place();
  assertEquals(await serverFolder.isAskedToStop(), false);
  await serverFolder.askToStop();
  assertEquals(await serverFolder.isAskedToStop(), true);
  await serverFolder.clearStopRequest();
  assertEquals(await serverFolder.isAskedToStop(), false);
});
