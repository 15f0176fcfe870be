import { assertEquals, assertMatch } from "@std/assert";
import { ShellHint } from "../../src/base/shell_hint.ts";
import type { Lookalike } from "../../src/doctor/leftovers.ts";
import { observeServers } from "../../src/doctor/observe.ts";
import { judgeProcesses, type ProcessesJudged } from "../../src/doctor/processes.ts";
import { isStaleClient } from "../../src/doctor/rows.ts";
import { writeLease } from "../../src/registry/process_files.ts";
import { type ProcessRecord, writeProcessRecord } from "../../src/registry/process_files.ts";
import { type CopyRecord, encodeRecord, type ServerRecord } from "../../src/registry/record.ts";
import { StateFolder } from "../../src/registry/store.ts";
import { FakeHost, type FakeProcess } from "../host/fake_host.ts";
import { sampleRecord } from "../registry/sample.ts";

const STATE = "/state";
const ID = "0123456789abcdef";
const shell = new ShellHint({ windows: false, stateDir: null, config: null });

function machine(): FakeHost {
  const host = new FakeHost();
  host.files.put(`${STATE}/id`, ID + "\n");
  return host;
}

async function examine(host: FakeHost, lookalikes: Lookalike[] = []): Promise<ProcessesJudged> {
  const seen = await observeServers(host, new StateFolder(host, STATE));
  return judgeProcesses(seen, { shell, system: host.system, lookalikes });
}

/** A managed server that runs. */
function manage(host: FakeHost, given: Partial<ServerRecord> = {}): FakeProcess {
  const key = given.key ?? "docs";
  const token = `${ID}:${key}:random`;
  const process = host.processes.add({ argv: ["/usr/bin/server"], env: { FOSTER_TOKEN: token } });
  const identity = {
    pid: process.pid,
    start_token: process.startTime,
    launcher_pid: process.pid,
    launcher_start_token: process.startTime,
    pgid: process.groupId,
  };
  put(host, sampleRecord({ key, name: key, token, ...identity, ...given }));
  return process;
}

function put(host: FakeHost, record: ServerRecord): void {
  host.files.put(`${STATE}/servers/${record.key}/record.json`, encodeRecord(record));
}

/** A registered server that runs, with its register and the client above it. */
async function enlist(host: FakeHost, given: Partial<ProcessRecord> = {}): Promise<FakeProcess[]> {
  const client = host.processes.add();
  const register = host.processes.add({ parentPid: client.pid });
  const server = host.processes.add({
    parentPid: register.pid,
    groupId: client.pid,
    argv: ["/usr/bin/node"],
  });
  await writeProcessRecord(host, STATE, {
    schema: 1,
    pid: server.pid,
    start_token: server.startTime,
    executable: "/usr/bin/node",
    cwd: "/home/user",
    started_unix_millis: 5,
    parent_pid_at_start: client.pid,
    process_group_id: client.pid,
    transport: "stdio",
    bind: null,
    http_path: null,
    register: { pid: register.pid, start_token: register.startTime },
    ...given,
  });
  return [server, register, client];
}

function codes({ findings }: ProcessesJudged): string[] {
  return findings.map(({ level, code }) => `${level} ${code}`);
}

Deno.test("judgeProcesses() finds nothing in an empty or missing state folder", async () => {
  assertEquals(await examine(new FakeHost()), { rows: [], findings: [], stale: [] });
  assertEquals(await examine(machine()), { rows: [], findings: [], stale: [] });
});

Deno.test("judgeProcesses() shows healthy servers too, sorted by pid, and finds no fault with them", async () => {
  const host = machine();
  const [registered] = await enlist(host);
  const managed = manage(host);
  const child = host.processes.add({ parentPid: managed.pid, groupId: managed.pid });
  const judged = await examine(host);
  assertEquals(codes(judged), []);
  assertEquals(judged.rows.map(({ pid, verdict }) => [pid, verdict]), [
    [registered?.pid ?? 0, "ours"],
    [managed.pid, "ours"],
  ]);
  assertEquals(judged.rows[1], {
    pid: managed.pid,
    alive: true,
    executable_match: "yes",
    transport: "http",
    bind: "127.0.0.1:3001",
    http_path: "/mcp",
    cwd: "/home/user",
    started_unix_millis: Date.parse("2026-01-01T00:00:00.000Z"),
    parent_pid_at_start: 501,
    current_parent_pid: 1,
    parent_alive_at_start: true,
    process_group_id: managed.pid,
    current_process_group_id: managed.pid,
    stale_client: false,
    record: `${STATE}/servers/docs/record.json`,
    server: "docs",
    verdict: "ours",
    child_pids: [child.pid],
  });
});

for (const way of ["end", "recycle", "setZombie"] as const) {
  Deno.test(`judgeProcesses() takes records for stale after ${way}`, async () => {
    const host = machine();
    const managed = manage(host);
    const [registered] = await enlist(host);
    host.processes[way](managed.pid);
    host.processes[way](registered?.pid ?? 0);
    const judged = await examine(host);
    assertEquals(codes(judged), ["warn stale_record", "warn stale_record"]);
    for (const { fix } of judged.findings) {
      assertEquals(fix, "foster doctor processes --cleanup-stale-records");
    }
    assertEquals(judged.stale.map(({ kind }) => kind), ["managed", "registered"]);
    assertEquals(judged.rows.map(({ alive }) => alive), [false, false]);
  });
}

Deno.test("judgeProcesses() takes nobody for dead whom it can't look at", async () => {
  const host = machine();
  const managed = manage(host);
  const [registered] = await enlist(host);
  host.processes.unreadable.set(managed.pid, "hidepid");
  host.processes.unreadable.set(registered?.pid ?? 0, "hidepid");
  const judged = await examine(host);
  assertEquals(codes(judged), ["warn unknown_process", "warn unknown_process"]);
  assertEquals(judged.stale, []);
  assertEquals(judged.rows.map(({ alive, stale_client }) => [alive, stale_client]), [[null, false], [
    null,
    false,
  ]]);
});

for (
  const [expected, given] of [
    [true, {}],
    [false, { alive: false }],
    [false, { transport: "http" }],
    [false, { recordedParent: 1 }],
    [false, { recordedParent: 0 }],
    [false, { recordedParent: null }],
    [false, { currentParent: 600 }],
    [false, { currentParent: null }],
  ] as const
) {
  Deno.test(`isStaleClient() is ${expected} with ${JSON.stringify(given)}`, () => {
    const stale = { alive: true, transport: "stdio", recordedParent: 600, currentParent: 1 } as const;
    assertEquals(isStaleClient({ ...stale, ...given }), expected);
  });
}

Deno.test("judgeProcesses() tells how to end a stdio server whose client is gone, and lets http servers be", async () => {
  const host = machine();
  const [stale, , client] = await enlist(host);
  const [http, , httpClient] = await enlist(host, { transport: "http" });
  host.processes.end(client?.pid ?? 0);
  host.processes.end(httpClient?.pid ?? 0);
  const judged = await examine(host);
  assertEquals(codes(judged), ["warn stale_client"]);
  assertEquals(judged.findings[0]?.fix, `kill -s TERM ${stale?.pid}`);
  const rows = new Map(judged.rows.map((row) => [row.pid, row]));
  assertEquals(rows.get(stale?.pid ?? 0)?.stale_client, true);
  assertEquals(rows.get(stale?.pid ?? 0)?.current_parent_pid, 1);
  assertEquals(rows.get(http?.pid ?? 0)?.stale_client, false);
});

Deno.test("judgeProcesses() sees a stdio server that lives on without register and client", async () => {
  const host = machine();
  const [server, register, client] = await enlist(host);
  host.processes.end(register?.pid ?? 0);
  host.processes.end(client?.pid ?? 0);
  const judged = await examine(host);
  assertEquals(codes(judged), ["warn stale_client"]);
  assertEquals(judged.findings[0]?.fix, `kill -s TERM ${server?.pid}`);
});

Deno.test("judgeProcesses() takes a client that can't be looked at for no reason to end anything", async () => {
  const host = machine();
  const [, register] = await enlist(host);
  host.processes.unreadable.set(register?.pid ?? 0, "hidepid");
  assertEquals(codes(await examine(host)), []);
});

Deno.test("judgeProcesses() finds orphans by this state folder's cookie alone", async () => {
  const host = machine();
  manage(host);
  const orphan = host.processes.add({
    argv: ["/usr/bin/python3"],
    env: { FOSTER_TOKEN: `${ID}:gone:random` },
  });
  host.processes.add({ env: { FOSTER_TOKEN: `fedcba9876543210:docs:random` } });
  host.processes.add({ argv: ["/usr/bin/server"] });
  const judged = await examine(host);
  assertEquals(codes(judged), ["warn orphan"]);
  assertEquals(
    judged.findings[0]?.message,
    `pid ${orphan.pid} (python3) was started as "gone" out of this state folder, but no record proves it`,
  );
  assertEquals(judged.findings[0]?.fix, `kill -s TERM ${orphan.pid}`);
});

Deno.test("judgeProcesses() takes what a live server started for no orphan", async () => {
  const host = machine();
  const server = manage(host);
  const env = { FOSTER_TOKEN: `${ID}:docs:random` };
  host.processes.add({ parentPid: server.pid, env });
  host.processes.add({ groupId: server.pid, env: { FOSTER_TOKEN: `${ID}:docs:older` } });
  host.processes.add({ env });
  assertEquals(codes(await examine(host)), []);
});

Deno.test("judgeProcesses() leaves a client's private copy alone until the client is gone", async () => {
  const host = machine();
  const client = host.processes.add();
  const env = { FOSTER_TOKEN: `${ID}:docs:private` };
  const copy = host.processes.add({ parentPid: client.pid, env });
  host.processes.add({ parentPid: copy.pid, env });
  const owner = { pid: client.pid, start_token: client.startTime };
  const path = `${STATE}/servers/docs/children/${copy.pid}.json`;
  host.files.put(path, JSON.stringify({ pid: copy.pid, start_token: copy.startTime, owner }));
  assertEquals(codes(await examine(host)), []);

  host.processes.end(client.pid);
  const left = await examine(host);
  assertEquals([codes(left), left.stale], [["warn orphan"], []]);
  assertEquals(left.findings[0]?.fix, `kill -s TERM ${copy.pid}`);

  host.processes.end(copy.pid);
  const { stale } = await examine(host);
  assertEquals(stale.map(({ kind, path }) => [kind, path]), [["private", path]]);
});

/** A process of a stdio server, with the supervisor that has its pipes. */
function copyOf(host: FakeHost): { supervisor: FakeProcess; copy: FakeProcess; path: string } {
  const supervisor = host.processes.add();
  const token = `${ID}:docs:copy`;
  const copy = host.processes.add({ parentPid: supervisor.pid, groupId: 4242, env: { FOSTER_TOKEN: token } });
  const record: CopyRecord = {
    ...sampleRecord({
      key: "docs",
      token,
      port: 0,
      endpoint: "",
      pid: copy.pid,
      start_token: copy.startTime,
    }),
    pgid: copy.groupId,
    launcher_pid: copy.pid,
    launcher_start_token: copy.startTime,
    copy: "0a1b2c",
    client: null,
    shared: true,
    owner: { pid: supervisor.pid, start_token: supervisor.startTime },
    session: null,
  };
  const path = `${STATE}/servers/docs/copies/0a1b2c.json`;
  host.files.put(path, encodeRecord(record));
  return { supervisor, copy, path };
}

Deno.test("judgeProcesses() leaves a stdio server's process alone until its supervisor is gone", async () => {
  const host = machine();
  const { supervisor, copy, path } = copyOf(host);
  assertEquals(codes(await examine(host)), []);

  host.processes.end(supervisor.pid);
  const left = await examine(host);
  assertEquals([codes(left), left.stale], [["warn server_left"], []]);
  assertEquals(left.findings[0]?.fix, "foster down docs");

  host.processes.end(copy.pid);
  const { stale } = await examine(host);
  assertEquals(stale.map(({ kind, path }) => [kind, path]), [["copy", path]]);

  host.files.put(path, "{}");
  assertEquals(codes(await examine(host)), ["warn corrupt_record"]);
});

Deno.test("judgeProcesses() keeps the record of a server of which something is left", async () => {
  const host = machine();
  const server = manage(host);
  const worker = host.processes.add({ groupId: server.pid, env: { FOSTER_TOKEN: `${ID}:docs:random` } });
  host.processes.end(server.pid);
  const marked = await examine(host);
  assertEquals([codes(marked), marked.stale], [["warn server_left"], []]);
  assertEquals(marked.findings[0]?.fix, "foster down docs");

  host.processes.end(worker.pid);
  const unmarked = host.processes.add({ groupId: server.pid });
  const grouped = await examine(host);
  assertEquals([codes(grouped), grouped.stale], [["warn group_left"], []]);
  assertEquals(grouped.findings[0]?.fix, `ps -o pid,ppid,lstart,args -p ${unmarked.pid}`);

  host.processes.end(unmarked.pid);
  host.processes.add({ env: { FOSTER_TOKEN: `${ID}:docs:random` }, pid: 1999 });
  const apart = await examine(host);
  assertEquals([codes(apart), apart.findings[0]?.fix], [["warn server_left"], "kill -s TERM 1999"]);
});

Deno.test("judgeProcesses() does not take a foreign process's group for the server's once the pid was given away", async () => {
  const host = machine();
  const server = manage(host);
  host.processes.recycle(server.pid);
  host.processes.add({ groupId: server.pid });
  assertEquals(codes(await examine(host)), ["warn stale_record"]);
});

Deno.test("judgeProcesses() sees a start that was never finished", async () => {
  const host = machine();
  const none = { pid: null, start_token: null, launcher_pid: null, launcher_start_token: null, pgid: null };
  put(host, sampleRecord({ ...none, state: "spawning" }));
  assertEquals(codes(await examine(host)), ["warn unfinished_start"]);
});

Deno.test("judgeProcesses() sees a supervisor without server, and a server whose supervisor died", async () => {
  const host = machine();
  const { pid, startTime } = host.processes.add();
  const supervisor = { pid, start_token: startTime };
  const server = manage(host, { supervisor });
  assertEquals(codes(await examine(host)), []);
  host.processes.end(server.pid);
  const idle = await examine(host);
  assertEquals([codes(idle), idle.stale], [["warn supervisor_without_server"], []]);
  assertEquals(idle.findings[0]?.fix, "foster down docs");

  manage(host, { supervisor, next_attempt: "2026-01-01T00:00:05.000Z", state: "crashed" });
  host.processes.end((await examine(host)).rows[0]?.pid ?? 0);
  assertEquals(codes(await examine(host)), ["info supervisor_without_server"]);

  manage(host, { supervisor });
  host.processes.end(supervisor.pid);
  const lone = await examine(host);
  assertEquals([codes(lone), lone.findings[0]?.fix], [
    ["warn supervisor_gone"],
    "foster up docs --supervise",
  ]);
});

Deno.test("judgeProcesses() finds leases of the dead, and leaves it to a live supervisor to remove them", async () => {
  const host = machine();
  const client = host.processes.add();
  const lease = { pid: client.pid, start_token: client.startTime, since: "2026-01-01T00:00:00.000Z" };
  await writeLease(host, `${STATE}/servers/docs/leases`, lease);
  assertEquals(codes(await examine(host)), []);
  host.processes.recycle(client.pid);
  const dead = await examine(host);
  assertEquals([codes(dead), dead.stale.map(({ kind }) => kind)], [["warn dead_lease"], ["lease"]]);
  const supervisor = host.processes.add();
  manage(host, { supervisor: { pid: supervisor.pid, start_token: supervisor.startTime } });
  assertEquals(codes(await examine(host)), ["info dead_lease"]);
});

Deno.test("judgeProcesses() reports what can't be trusted and goes on to the next", async () => {
  const host = machine();
  const folder = `${STATE}/servers`;
  const foreign = "a\n\u001b[31mb";
  host.files.put(`${folder}/torn/record.json`, '{"schema":1,');
  host.files.put(
    `${folder}/newer/record.json`,
    JSON.stringify({ ...sampleRecord({ key: "newer" }), schema: 2 }),
  );
  host.files.put(`${folder}/huge/record.json`, " ".repeat(10_000_000));
  host.files.put("/elsewhere/record.json", encodeRecord(sampleRecord({ key: "linked" })));
  host.files.putLink(`${folder}/linked/record.json`, "/elsewhere/record.json");
  host.files.putLink(`${folder}/linkfolder`, "/elsewhere");
  host.files.put(`${folder}/${foreign}/record.json`, "{}");
  host.files.put(`${folder}/torn/leases/7.json`, "{");
  host.files.put(`${folder}/torn/children/8.json`, '{"pid":8}');
  host.files.put(`${STATE}/processes/7.json`, "{");
  host.files.put(`${STATE}/processes/x.json`, "{}");
  host.files.put(`${STATE}/processes/notes.txt`, "hello");
  host.files.put(`${folder}/hidden/record.json`, "{}");
  host.files.refuse(`${folder}/hidden/record.json`, "denied");
  const alive = manage(host);
  const judged = await examine(host);
  assertEquals(judged.rows.map(({ pid }) => pid), [alive.pid]);
  assertEquals(judged.stale, []);
  assertEquals(codes(judged).sort(), [
    "error corrupt_record",
    "error corrupt_record",
    "error corrupt_record",
    "error corrupt_record",
    "error corrupt_record",
    "error corrupt_record",
    "warn corrupt_lease",
    "warn corrupt_record",
    "warn corrupt_record",
    "warn corrupt_record",
    "warn odd_folder",
  ]);
  for (const { message, fix } of judged.findings) {
    // deno-lint-ignore no-control-regex
    assertMatch(message + fix, /^[^\u0000-\u001f]*$/);
  }
  const fixes = judged.findings.map(({ fix }) => fix);
  assertEquals(fixes.includes("foster down torn"), true);
  assertEquals(fixes.includes("rm -f -- /state/processes/7.json"), true);
});

for (const folder of ["servers", "processes"]) {
  Deno.test(`judgeProcesses() does not follow a link in place of ${folder}`, async () => {
    const host = machine();
    host.files.put("/elsewhere/docs/record.json", encodeRecord(sampleRecord()));
    host.files.put("/elsewhere/700.json", "{}");
    host.files.putLink(`${STATE}/${folder}`, "/elsewhere");
    assertEquals(codes(await examine(host)), ["warn odd_folder"]);
  });
}

Deno.test("judgeProcesses() reports a look-alike without judging it", async () => {
  const host = machine();
  const server = manage(host);
  const alike = host.processes.add();
  const judged = await examine(host, [
    { pid: alike.pid, server: "docs", argv: ["/usr/bin/python3", "--token", "secret"] },
    { pid: server.pid, server: "docs", argv: null },
  ]);
  assertEquals(codes(judged), ["info branded"]);
  assertMatch(judged.findings[0]?.message ?? "", /^pid \d+ \(python3\) looks like "docs"/);
});

for (
  const [match, given] of [
    ["yes", { executable: "/usr/bin/server" }],
    ["yes", { executable: "/real/server" }],
    ["yes", { executable: "/usr/bin/node", argv: ["node", "/usr/bin/server"] }],
    ["no", { executable: "/usr/bin/node", argv: ["node", "other.js"] }],
    ["unknown", { executable: "/usr/bin/node", argv: ["npm exec @modelcontextprotocol/server-everything"] }],
    ["unknown", { executable: null, argv: ["node"] }],
    ["unknown", { executable: "/usr/bin/node", argv: null }],
  ] as const
) {
  Deno.test(`processRows() says ${match} when the process is ${JSON.stringify(given)}`, async () => {
    const host = machine();
    host.files.put("/real/server", "", 0o755);
    host.files.putLink("/usr/bin/server", "/real/server");
    const server = manage(host);
    Object.assign(server, given);
    assertEquals((await examine(host)).rows[0]?.executable_match, match);
  });
}

Deno.test("judgeProcesses() forgets no record as long as somebody holds its port", async () => {
  for (const inOneGo of [true, false]) {
    const host = machine();
    const server = manage(host);
    host.processes.end(server.pid);
    host.processes.unnamed.set(3001, 1);
    if (!inOneGo) host.processes.listeningPorts = () => Promise.resolve(null);
    const judged = await examine(host);
    assertEquals([codes(judged), judged.stale], [["warn port_held"], []]);
    host.processes.unnamed.clear();
    assertEquals(codes(await examine(host)), ["warn stale_record"]);
  }
});

Deno.test("judgeProcesses() takes nobody of another PID namespace for gone", async () => {
  const host = machine();
  host.processes.namespace = "4026531836";
  const server = manage(host, { pid_namespace: "4026532001" });
  host.processes.end(server.pid);
  const judged = await examine(host);
  assertEquals([codes(judged), judged.stale, judged.rows[0]?.alive], [["warn unknown_process"], [], null]);
});
