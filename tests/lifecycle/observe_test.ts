import { assert, assertEquals } from "@std/assert";
import { describeHolders } from "../../src/lifecycle/observe/observe.ts";
import { type Observation, observe, type ObserveOptions } from "../../src/lifecycle/observe/observe.ts";
import { StateFolder } from "../../src/registry/store.ts";
import { sampleRecord } from "../registry/sample.ts";
import { FakeHost } from "../host/fake_host.ts";

const PORT = 3001;

async function seen(host: FakeHost, given: Partial<ObserveOptions> = {}): Promise<Observation> {
  return await observe(host, {
    folder: new StateFolder(host, "/state").server("docs"),
    record: null,
    hostname: "127.0.0.1",
    port: PORT,
    signature: { names: ["docs-server"], flags: ["--pid-file"] },
    thorough: false,
    ...given,
  });
}

Deno.test("observe() finds a port free when nobody listens and it can be bound", async () =>
  assertEquals((await seen(new FakeHost())).port, { kind: "free" }));

for (const address of ["127.0.0.1", "0.0.0.0", "*", "::", "[::]", "::ffff:127.0.0.1"]) {
  Deno.test(`observe() finds a port held by a listener on ${address}`, async () => {
    const host = new FakeHost();
    const { pid } = host.processes.add({ listens: [{ port: PORT, address }] });
    const { port } = await seen(host);
    assertEquals(port.kind === "held" && port.holders.map((holder) => holder.pid), [pid]);
  });
}

Deno.test("observe() believes a listener although the port could be bound: both may be", async () => {
  const host = new FakeHost();
  host.processes.add({ listens: [{ port: PORT, address: "0.0.0.0" }] });
  host.net.canBind = () => Promise.resolve(true);
  assertEquals((await seen(host)).port.kind, "held");
});

for (const [hostname, address] of [["127.0.0.1", "::"], ["::1", "0.0.0.0"]] as const) {
  for (const isFree of [true, false]) {
    const found = isFree ? "free" : "held";
    Deno.test(`observe() finds ${hostname} ${found} beside ${address} where the system ${isFree ? "lets" : "does not let"} it be bound`, async () => {
      const host = new FakeHost();
      host.processes.add({ listens: [{ port: PORT, address }] });
      host.net.canBind = () => Promise.resolve(isFree);
      assertEquals((await seen(host, { hostname })).port.kind, found);
    });
  }
}

for (const address of ["192.168.1.5", "127.0.0.2", "::1"]) {
  Deno.test(`observe() leaves out a listener on ${address}, which never stands in the way of 127.0.0.1`, async () => {
    const host = new FakeHost();
    host.processes.add({ listens: [{ port: PORT, address }] });
    host.net.canBind = () => Promise.resolve(true);
    assertEquals((await seen(host)).port, { kind: "free" });
  });
}

for (const address of ["127.0.0.1", "::1"]) {
  Deno.test(`observe() finds a port of "localhost" held by a listener on ${address}`, async () => {
    const host = new FakeHost();
    host.processes.add({ listens: [{ port: PORT, address }] });
    host.net.canBind = () => Promise.resolve(true);
    assertEquals((await seen(host, { hostname: "localhost" })).port.kind, "held");
  });
}

Deno.test("observe() finds a port held when it can't be bound and nobody can be found", async () => {
  const host = new FakeHost();
  host.net.canBind = () => Promise.resolve(false);
  assertEquals((await seen(host)).port, { kind: "held", holders: [], unnamed: 1 });
});

Deno.test("observe() finds a port held when it can't be bound and nothing tells who listens", async () => {
  const host = new FakeHost();
  host.processes.add({ listens: [PORT] });
  host.processes.listenersUnknown = "no ss, no lsof";
  assertEquals((await seen(host)).port, { kind: "held", holders: [], unnamed: 1 });
});

Deno.test("observe() finds a port held when it answers although it could be bound", async () => {
  const host = new FakeHost();
  host.processes.listenersUnknown = "no ss, no lsof";
  host.net.dialAnswers.set(PORT, "open");
  assertEquals((await seen(host)).port.kind, "held");
});

Deno.test("observe() finds a port free when nothing tells who listens, and it is free", async () => {
  const host = new FakeHost();
  host.processes.listenersUnknown = "no ss, no lsof";
  assertEquals((await seen(host)).port, { kind: "free" });
});

Deno.test("observe() finds a port held by another user's socket that has no visible process", async () => {
  const host = new FakeHost();
  host.processes.unnamed.set(PORT, 1);
  assertEquals((await seen(host)).port, { kind: "held", holders: [], unnamed: 1 });
});

Deno.test("observe() names a process once that listens on two addresses", async () => {
  const host = new FakeHost();
  const { pid } = host.processes.add({
    listens: [{ port: PORT, address: "127.0.0.1" }, { port: PORT, address: "::1" }],
  });
  const { port } = await seen(host);
  assertEquals(port.kind === "held" && port.holders.map((holder) => holder.pid), [pid]);
});

for (
  const { when, thorough, startTime, found } of [
    { when: "the recorded process explains the port", thorough: false, startTime: null, found: 1 },
    { when: "it is to be thorough", thorough: true, startTime: null, found: 2 },
    { when: "another process has the recorded number", thorough: false, startTime: "proc:boot:1", found: 2 },
  ]
) {
  Deno.test(`observe() finds ${found} of two that share a socket when ${when}`, async () => {
    const host = new FakeHost();
    const parent = host.processes.add({ listens: [PORT] });
    host.processes.add({ parentPid: parent.pid, listens: [PORT] });
    const record = sampleRecord({
      pid: parent.pid,
      start_token: startTime ?? parent.startTime,
      port: PORT,
    });
    const { port } = await seen(host, { record, thorough });
    assertEquals(port.kind === "held" && port.holders.length, found);
  });
}

Deno.test("observe() brands a worker through its parent, five generations up and no further", async () => {
  for (const [generations, signed] of [[1, true], [4, true], [5, false]] as const) {
    const host = new FakeHost();
    let parent = host.processes.add({ argv: ["docs-server", "--pid-file", "x"] });
    for (let n = 0; n < generations; n++) {
      parent = host.processes.add({ parentPid: parent.pid, argv: ["python3", "worker"] });
    }
    parent.listens.push({ port: PORT, address: "127.0.0.1" });
    const { port } = await seen(host);
    assertEquals(port.kind === "held" && port.holders[0]?.signed, signed, `${generations} generations`);
  }
});

Deno.test("observe() never asks init for its brand", async () => {
  const host = new FakeHost();
  host.processes.get(1).argv = ["docs-server", "--pid-file", "x"];
  host.processes.add({ parentPid: 1, argv: ["python3"], listens: [PORT] });
  const { port } = await seen(host);
  assertEquals(port.kind === "held" && port.holders[0]?.signed, false);
});

Deno.test("observe() finds the child of a start that was cut off by its cookie", async () => {
  const host = new FakeHost();
  const record = sampleRecord({
    state: "spawning",
    pid: null,
    start_token: null,
    pgid: null,
    launcher_pid: null,
    launcher_start_token: null,
  });
  const { pid } = host.processes.add({ env: { FOSTER_TOKEN: record.token } });
  host.processes.add({ env: { FOSTER_TOKEN: `${record.token}x` } });
  const found = await seen(host, { record });
  assertEquals([found.pending, found.owned, found.liveness.kind], [[pid], [], "dead"]);
});

Deno.test("observe() owns the child of a start that was cut off once it listens", async () => {
  const host = new FakeHost();
  const record = sampleRecord({ state: "spawning", pid: null, launcher_pid: null, pgid: null });
  const { pid } = host.processes.add({ env: { FOSTER_TOKEN: record.token }, listens: [PORT] });
  const found = await seen(host, { record });
  assertEquals(found.owned.map((each) => [each.pid, each.why]), [[pid, "cookie"]]);
  assertEquals([found.pending, found.liveness.kind], [[], "alive"]);
});

Deno.test("observe() owns no carrier of the cookie that listens on another port", async () => {
  const host = new FakeHost();
  const record = sampleRecord();
  host.processes.add({ env: { FOSTER_TOKEN: record.token }, listens: [PORT + 1] });
  assertEquals((await seen(host, { record })).owned, []);
});

Deno.test("observe() owns a carrier on the recorded port, not on the one that is wanted now", async () => {
  const host = new FakeHost();
  const record = sampleRecord({ port: PORT });
  const { pid } = host.processes.add({ env: { FOSTER_TOKEN: record.token }, listens: [PORT] });
  host.processes.add({ env: { FOSTER_TOKEN: record.token }, listens: [PORT + 1] });
  const found = await seen(host, { record, port: PORT + 1 });
  assertEquals(found.owned.map((each) => each.pid), [pid]);
});

Deno.test("observe() owns no carrier of an earlier start's cookie", async () => {
  const host = new FakeHost();
  host.processes.add({ env: { FOSTER_TOKEN: "folder:docs:earlier" }, listens: [PORT] });
  assertEquals((await seen(host, { record: sampleRecord() })).owned, []);
});

Deno.test("describeHolders() names programs, never their arguments", async () => {
  const host = new FakeHost();
  const { pid } = host.processes.add({
    argv: ["/usr/bin/python3", "--password", "secret"],
    executable: "/usr/bin/python3",
    listens: [PORT],
  });
  const said = await describeHolders(host, (await seen(host)).port);
  assertEquals(said, `pid ${pid} (python3)`);
});

Deno.test("describeHolders() counts those beyond the fourth", async () => {
  const host = new FakeHost();
  for (let n = 0; n < 6; n++) host.processes.add({ listens: [PORT] });
  const said = await describeHolders(host, (await seen(host)).port);
  assert(said.endsWith("and 2 more"), said);
});

const GONE = { pid: 4000, launcher_pid: 4000, pgid: 4000, port: PORT };

for (
  const { left, owned, add } of [
    { left: "nothing", owned: [], add: () => ({}) },
    { left: "a process of another group", owned: [], add: () => ({ groupId: 999 }) },
    {
      left: "a member of the group that carries the cookie",
      owned: ["cookie"],
      add: (token: string) => ({ groupId: GONE.pgid, env: { FOSTER_TOKEN: token } }),
    },
    {
      left: "a carrier on the port",
      owned: ["cookie"],
      add: (token: string) => ({ listens: [PORT], env: { FOSTER_TOKEN: token } }),
    },
  ]
) {
  Deno.test(`observe() of a server whose processes are gone owns ${owned.length} where ${left} is left`, async () => {
    const host = new FakeHost();
    const record = sampleRecord(GONE);
    let searches = 0;
    const list = host.processes.list.bind(host.processes);
    host.processes.list = () => {
      searches++;
      return list();
    };
    host.processes.add(add(record.token));
    const found = await seen(host, { record, thorough: true });
    assertEquals(found.owned.map(({ why }) => why), owned);
    // All processes are only searched where one of them may be found.
    assertEquals(searches > 0, owned.length > 0);
  });
}
