import { assertEquals, assertRejects } from "@std/assert";
import { HostError } from "../../src/host/host.ts";
import { createDirectReader, isListening } from "../../src/host/system/windows/direct.ts";
import { createSignal } from "../../src/host/system/windows/end.ts";
import { Jobs } from "../../src/host/system/windows/jobs.ts";
import { Native } from "../../src/host/system/windows/native.ts";
import { DENIED, FakeWindows, type WindowsProcess } from "./fake_ntdll.ts";

const SELF: WindowsProcess = { pid: 400, parentPid: 200, createdMs: 1_700_000_000_000 };
const PARENT: WindowsProcess = { pid: 200, createdMs: 1_600_000_000_000 };
const SERVER: WindowsProcess = {
  pid: 800,
  parentPid: 400,
  createdMs: 1_700_000_001_234,
  commandLine: `"C:\\Program Files\\node.exe" "a b" c\\d`,
  folder: "C:\\work\\wörk\\",
  environment: ["FOSTER_TOKEN=a:b:c", "Path=C:\\Windows"],
};
const START = "cim:2023-11-14T22:13:21.234Z";

function worldOf(...processes: WindowsProcess[]) {
  const windows = new FakeWindows([PARENT, SELF, ...processes.map((each) => ({ ...each }))]);
  const native = new Native(windows.ffi);
  const jobs = new Jobs(native);
  const ran: string[][] = [];
  let exitCode = 0;
  const signal = createSignal({
    native,
    jobs,
    selfPid: SELF.pid,
    selfCommand: () => ["foster.exe"],
    environment: () => ({}),
    run(command, args) {
      ran.push([command, ...args]);
      return Promise.resolve({
        code: command === "foster.exe" ? exitCode : 0,
        signal: null,
        stdout: "",
        stderr: "",
      });
    },
  });
  return {
    windows,
    ran,
    signal,
    reader: createDirectReader({ native, jobs, selfPid: SELF.pid }),
    answerOfHelper: (code: number) => exitCode = code,
  };
}

Deno.test("nothing is loaded before it is needed, and only what the question needs", async () => {
  const { windows, reader } = worldOf(SERVER);
  assertEquals(windows.opened, []);
  await reader.inspect([SERVER.pid]);
  assertEquals(windows.opened, ["ntdll.dll"]);
  await reader.listeners(80);
  assertEquals(windows.opened, ["ntdll.dll", "iphlpapi.dll"]);
});

Deno.test("inspect() tells identity and parent, as PowerShell would", async () => {
  const { windows, reader } = worldOf(SERVER);
  assertEquals((await reader.inspect([SERVER.pid])).get(SERVER.pid), {
    kind: "seen",
    facts: { pid: 800, startTime: START, parentPid: 400, groupId: 0, zombie: false },
  });
  assertEquals(windows.openHandles, 0);
});

const parents: { what: string; parent: WindowsProcess | null; parentPid: number }[] = [
  { what: "lives", parent: { pid: 600, createdMs: 1_650_000_000_000 }, parentPid: 600 },
  {
    what: "is younger than its child: it has a pid that was used before",
    parent: {
      pid: 600,
      createdMs: 1_750_000_000_000,
    },
    parentPid: 0,
  },
  { what: "has ended", parent: { pid: 600, createdMs: 1_650_000_000_000, ended: true }, parentPid: 0 },
  { what: "is not there", parent: null, parentPid: 0 },
  {
    what: "may not be opened, but is listed",
    parent: {
      pid: 600,
      createdMs: 1_650_000_000_000,
      openStatus: DENIED,
    },
    parentPid: 600,
  },
];

for (const { what, parent, parentPid } of parents) {
  Deno.test(`inspect() of a process whose parent ${what}`, async () => {
    const child = { ...SERVER, parentPid: 600 };
    const { reader } = parent === null ? worldOf(child) : worldOf(parent, child);
    const seen = (await reader.inspect([child.pid])).get(child.pid);
    assertEquals(seen?.kind === "seen" && seen.facts.parentPid, parentPid);
    const listed = (await reader.list()).find(({ pid }) => pid === child.pid);
    assertEquals(listed?.parentPid, parentPid, "the list says the same");
  });
}

const observed: {
  what: string;
  change: Partial<WindowsProcess>;
  pid?: number;
  kind: "gone" | "seen" | "unknown";
}[] = [
  { what: "has ended, but is held by somebody", change: { ended: true }, kind: "gone" },
  { what: "is protected, but listed", change: { openStatus: DENIED }, kind: "seen" },
  { what: "can't be opened for another reason", change: { openStatus: 0xc0000017 }, kind: "unknown" },
  { what: "does not tell its creation time", change: { tellsTimes: false }, kind: "unknown" },
  {
    what: "differs in the last two bits only, which Windows takes for the same",
    change: {},
    pid: 802,
    kind: "gone",
  },
  { what: "is not there", change: {}, pid: 804, kind: "gone" },
];

for (const { what, change, pid = SERVER.pid, kind } of observed) {
  Deno.test(`inspect() of a process that ${what} is ${kind}`, async () => {
    const { windows, reader } = worldOf({ ...SERVER, ...change });
    assertEquals((await reader.inspect([pid])).get(pid)?.kind, kind);
    assertEquals(windows.openHandles, 0);
  });
}

Deno.test("a process that may not be opened and has left the list meanwhile is unknown, not gone", async () => {
  const { windows, reader } = worldOf({ ...SERVER, openStatus: DENIED, ended: true });
  assertEquals((await reader.inspect([SERVER.pid])).get(SERVER.pid)?.kind, "unknown");
  assertEquals(windows.openHandles, 0);
});

Deno.test("list() throws where Windows does not show foster itself", async () => {
  const { windows, reader } = worldOf(SERVER);
  windows.processes.delete(SELF.pid);
  await assertRejects(() => reader.list(), HostError, "does not show foster's own process");
});

Deno.test("argv(), paths() and carrying() read the memory of the process", async () => {
  const { windows, reader } = worldOf(SERVER);
  assertEquals(await reader.argv(SERVER.pid), ["C:\\Program Files\\node.exe", "a b", "c\\d"]);
  assertEquals(await reader.paths(SERVER.pid), { executable: null, cwd: "C:\\work\\wörk" });
  assertEquals(await reader.carrying("FOSTER_TOKEN=a:b:c"), [SERVER.pid]);
  assertEquals(await reader.carrying("FOSTER_TOKEN=a:b"), []);
  assertEquals(await reader.carrying("FOSTER_TOKEN=a:b:c", [SELF.pid]), []);
  assertEquals(await reader.carryingPrefix("FOSTER_TOKEN="), [{
    pid: SERVER.pid,
    entry: "FOSTER_TOKEN=a:b:c",
  }]);
  assertEquals(windows.openHandles, 0);
});

for (
  const [what, change] of [
    ["is of 32 bits", { is32Bit: true }],
    ["ends while its memory is read", { memoryFails: true }],
    ["is another user's", { openStatus: DENIED }],
  ] as const
) {
  Deno.test(`a process that ${what} carries nothing and tells nothing, and is still there`, async () => {
    const { windows, reader } = worldOf({ ...SERVER, ...change });
    assertEquals(await reader.argv(SERVER.pid), null);
    assertEquals(await reader.paths(SERVER.pid), { executable: null, cwd: null });
    assertEquals(await reader.carrying("FOSTER_TOKEN=a:b:c"), []);
    assertEquals((await reader.inspect([SERVER.pid])).get(SERVER.pid)?.kind, "seen");
    assertEquals(windows.openHandles, 0);
  });
}

Deno.test("foreignConnections() counts what others have open to a port, in both families, and nothing of its own", async () => {
  const { windows, reader } = worldOf(SERVER);
  assertEquals(await reader.foreignConnections(8000), 0);
  const pair = (
    port: number,
    { from, pid, family }: { from: number; pid: number; family: "ipv4" | "ipv6" },
  ) => [
    { local: port, remote: from, pid: SERVER.pid, family },
    { local: from, remote: port, pid, family },
  ];
  windows.connections = [
    ...pair(8000, { from: 50_001, pid: SELF.pid, family: "ipv4" }),
    ...pair(8000, { from: 50_002, pid: SELF.pid, family: "ipv6" }),
    // A child of foster's that inherited its end.
    { local: 50_001, remote: 8000, pid: 1200, family: "ipv4" },
    ...pair(8001, { from: 50_003, pid: 900, family: "ipv4" }),
  ];
  assertEquals(await reader.foreignConnections(8000), 0);
  windows.connections.push(
    ...pair(8000, { from: 50_004, pid: 900, family: "ipv4" }),
    ...pair(8000, { from: 50_005, pid: 900, family: "ipv6" }),
  );
  assertEquals(await reader.foreignConnections(8000), 2);
  windows.tableError = 5;
  assertEquals(await reader.foreignConnections(8000), null);
});

Deno.test("listeners() and listeningPorts() tell of both families; a table that can't be had is unknown", async () => {
  const { windows, reader } = worldOf(SERVER);
  windows.listeners = [
    { port: 8000, pid: 800, address: [127, 0, 0, 1] },
    { port: 8000, pid: 800, address: [...Array(15).fill(0), 1] },
    { port: 8000, pid: 0, address: [0, 0, 0, 0] },
    { port: 9000, pid: 400, address: Array(16).fill(0) },
  ];
  assertEquals(await reader.listeners(8000), {
    kind: "known",
    listeners: [{ pid: 800, address: "127.0.0.1" }, { pid: 800, address: "::1" }],
    unnamed: 1,
  });
  assertEquals(await reader.listeners(7000), { kind: "known", listeners: [], unnamed: 0 });
  assertEquals(await reader.listeningPorts(), new Set([8000, 9000]));
  windows.tableError = 87;
  assertEquals((await reader.listeners(8000)).kind, "unknown");
});

Deno.test("isListening() knows which listeners a connection to an address reaches; yes in doubt", () => {
  const { windows } = worldOf();
  const native = new Native(windows.ffi);
  const reach = (hostname: string) => isListening(native, hostname, 8000);
  const all = ["127.0.0.1", "127.0.0.2", "::1", "[::1]", "localhost"];
  const loopback6 = [...Array(15).fill(0), 1];
  const cases: [readonly number[] | null, string[]][] = [
    [null, []],
    [[127, 0, 0, 1], ["127.0.0.1", "localhost"]],
    [[0, 0, 0, 0], ["127.0.0.1", "127.0.0.2", "localhost"]],
    [loopback6, ["::1", "[::1]", "localhost"]],
    [Array(16).fill(0), all],
  ];
  for (const [address, reached] of cases) {
    windows.listeners = address === null ? [] : [{ port: 8000, pid: 800, address }];
    assertEquals(all.filter(reach), all.filter((each) => reached.includes(each)), String(address));
  }
  windows.tableError = 5;
  assertEquals(all.filter(reach), all);
});

Deno.test("the processes of a foster's job are a group with the first one's number", async () => {
  const worker = { pid: 804, parentPid: 800, createdMs: 1_700_000_002_000 };
  const { windows, reader } = worldOf(SERVER, worker);
  windows.jobs.set("somebody's", [SERVER.pid, worker.pid, SELF.pid]);
  windows.jobs.set(`foster 800 ${START}`, [SERVER.pid, worker.pid]);
  const groups = (await reader.list()).map(({ pid, groupId }) => [pid, groupId]);
  assertEquals(groups, [[200, 0], [400, 0], [800, 800], [804, 800]]);
  const seen = await reader.inspect([SELF.pid, SERVER.pid, worker.pid]);
  assertEquals([...seen.values()].map((each) => each.kind === "seen" && each.facts.groupId), [0, 800, 800]);
  assertEquals(windows.openHandles, 0);
});

Deno.test("a console's own process is neither in the group nor in the tree of the first program on it", async () => {
  const host = { pid: 804, parentPid: 800, createdMs: 1_700_000_002_000, name: "ConHost.exe" };
  const { windows, reader } = worldOf(SERVER, host);
  windows.jobs.set(`foster 800 ${START}`, [SERVER.pid, host.pid]);
  const seen = (await reader.list()).map(({ pid, parentPid, groupId }) => [pid, parentPid, groupId]);
  assertEquals(seen, [[200, 0, 0], [400, 200, 0], [800, 400, 800], [804, 0, 0]]);
});

Deno.test("a server that was started from within another one is of its own group", async () => {
  const inner = { ...SERVER, pid: 900, parentPid: 800, createdMs: 1_700_000_003_000 };
  const { windows, reader } = worldOf(SERVER, inner);
  windows.jobs.set("foster 900 cim:2023-11-14T22:13:23.000Z", [900]);
  windows.jobs.set(`foster 800 ${START}`, [800, 900]);
  assertEquals((await reader.list()).map(({ groupId }) => groupId), [0, 0, 800, 900]);
});

// ---------------------------------------------------------------------------------------------------------- signals

Deno.test("SIGKILL ends the process that is meant, on the handle that was looked at", async () => {
  const { windows, signal } = worldOf(SERVER);
  assertEquals(await signal(SERVER.pid, "SIGKILL", START), "sent");
  assertEquals([windows.terminated, windows.openHandles], [[SERVER.pid], 0]);
});

Deno.test("a pid that was given away between the look and the signal is not ended", async () => {
  const { windows, signal, ran } = worldOf(SERVER);
  // Another process has the pid by the time that it is opened.
  const other = { ...SERVER, createdMs: SERVER.createdMs + 1 };
  windows.processes.set(SERVER.pid, other);
  for (const name of ["SIGKILL", "SIGTERM"] as const) {
    assertEquals(await signal(SERVER.pid, name, START), "gone");
  }
  assertEquals([windows.terminated, ran, windows.openHandles], [[], [], 0]);
});

Deno.test("what became of the pid once the handle is held does not matter: the handle is the process", async () => {
  const { windows, signal } = worldOf(SERVER);
  const meant = windows.processes.get(SERVER.pid);
  windows.onOpen = (pid) => windows.processes.set(pid, { ...SERVER, createdMs: SERVER.createdMs + 60_000 });
  assertEquals(await signal(SERVER.pid, "SIGKILL", START), "sent");
  assertEquals([meant?.ended, windows.processes.get(SERVER.pid)?.ended], [true, undefined]);
});

for (
  const [what, change, result] of [
    ["that has ended", { ended: true }, "gone"],
    ["that is protected", { openStatus: DENIED }, "denied"],
    ["that refuses to be ended", { terminateStatus: DENIED }, "denied"],
    ["whose creation time can't be read", { tellsTimes: false }, "denied"],
  ] as const
) {
  Deno.test(`SIGKILL to a process ${what} says ${result}`, async () => {
    const { windows, signal } = worldOf({ ...SERVER, ...change });
    assertEquals(await signal(SERVER.pid, "SIGKILL", START), result);
    assertEquals([windows.terminated, windows.openHandles], [[], 0]);
  });
}

Deno.test("a pid that differs from a live one in the last two bits alone is nobody's", async () => {
  const { windows, signal } = worldOf(SERVER);
  assertEquals(await signal(SERVER.pid + 1, "SIGKILL"), "gone");
  assertEquals(windows.terminated, []);
});

Deno.test("SIGKILL to a group ends its job; no job, another start's or foster's own is not touched", async () => {
  const { windows, signal } = worldOf(SERVER);
  assertEquals(await signal(-SERVER.pid, "SIGKILL", START), "gone");
  const name = `foster 800 ${START}`;
  windows.jobs.set(name, [SERVER.pid]);
  assertEquals(await signal(-SERVER.pid, "SIGKILL", "cim:2020-01-01T00:00:00.000Z"), "gone");
  assertEquals(windows.terminated, []);
  windows.jobs.set(name, [SERVER.pid, SELF.pid]);
  assertEquals(await signal(-SERVER.pid, "SIGKILL", START), "denied");
  assertEquals(windows.terminated, []);
  windows.jobs.set(name, [SERVER.pid]);
  assertEquals(await signal(-SERVER.pid, "SIGKILL", START), "sent");
  assertEquals([windows.terminated, windows.openHandles], [[name], 0]);
});

Deno.test("SIGTERM asks through a foster of its own that is told who is meant", async () => {
  const { ran, signal, windows } = worldOf(SERVER);
  assertEquals(await signal(SERVER.pid, "SIGTERM", START), "sent");
  assertEquals(ran, [["foster.exe", "ask-console", "800", START]]);
  assertEquals([windows.terminated, windows.openHandles], [[], 0]);
});

Deno.test("SIGTERM to a program whose console is not its own asks it to close its windows instead", async () => {
  const { ran, signal, answerOfHelper } = worldOf(SERVER);
  answerOfHelper(5);
  assertEquals(await signal(SERVER.pid, "SIGTERM", START), "sent");
  assertEquals(ran[1], ["taskkill", "/PID", "800"]);
});

Deno.test("watchExit() watches the process that is meant and no other", async () => {
  const { windows, reader } = worldOf(SERVER);
  assertEquals(await reader.watchExit(SERVER.pid, "cim:2020-01-01T00:00:00.000Z"), null);
  assertEquals(await reader.watchExit(804, START), null);
  const watch = await reader.watchExit(SERVER.pid, START);
  assertEquals(watch?.ended(), false);
  const process = windows.processes.get(SERVER.pid);
  if (process !== undefined) process.ended = true;
  assertEquals(watch?.ended(), true);
  watch?.close();
  assertEquals(windows.openHandles, 0);
});
