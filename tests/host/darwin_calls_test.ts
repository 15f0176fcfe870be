import { assert, assertEquals } from "@std/assert";
import type { SignalResult } from "../../src/host/host.ts";
import type { ReaderTools } from "../../src/host/system/reader.ts";
import { DarwinCalls } from "../../src/host/system/darwin/calls.ts";
import { createDarwinReader } from "../../src/host/system/darwin/reader.ts";
import { type OwnProcess, selfCheck } from "../../src/host/system/darwin/self_check.ts";
import {
  decodeArguments,
  decodeFacts,
  decodeFactsList,
  decodeFolder,
  decodeListener,
  decodeSockets,
  decodeUsage,
} from "../../src/host/system/darwin/structs.ts";
import {
  FakeLibSystem,
  fdInfo,
  kinfo,
  type MacProcess,
  procArgs,
  socketInfo,
  taskInfo,
  vnodePaths,
} from "./fake_libsystem.ts";

/** Fri Nov 20 19:07:01.000042 2026 in UTC. */
const STARTED_AT_US = BigInt(Date.UTC(2026, 10, 20, 19, 7, 1)) * 1000n + 42n;
const START = "ps:Fri Nov 20 19:07:01 2026.000042";

function macProcess(pid: number, more: Partial<MacProcess> = {}): MacProcess {
  return {
    pid,
    parentPid: 1,
    groupId: pid,
    userId: 501,
    status: 3,
    startedAtUs: STARTED_AT_US,
    path: "/opt/homebrew/bin/node",
    folder: "/Users/mia/docs",
    argv: ["node", "server.js", ""],
    environment: ["PATH=/bin", "FOSTER_TOKEN=a:b:c"],
    listening: [],
    residentBytes: 4096,
    cpuTicks: 24_000_000n,
    ...more,
  };
}

// ------------------------------------------------------------------------------------------------------- structures

Deno.test("decodeFacts() reads who a process is, to the microsecond", () => {
  assertEquals(decodeFacts(kinfo(macProcess(412, { parentPid: 7, groupId: 400 }))), {
    pid: 412,
    parentPid: 7,
    groupId: 400,
    userId: 501,
    zombie: false,
    startTime: START,
    startedAt: Date.UTC(2026, 10, 20, 19, 7, 1) + 0.042,
  });
  assertEquals(decodeFacts(kinfo(macProcess(412, { status: 5 })))?.zombie, true);
});

const STARTS: [at: string, startTime: string][] = [
  ["2026-11-06T08:12:44.999999Z", "ps:Fri Nov 6 08:12:44 2026.999999"],
  ["2024-02-29T00:00:00.000000Z", "ps:Thu Feb 29 00:00:00 2024.000000"],
  ["2038-01-19T03:14:08.100000Z", "ps:Tue Jan 19 03:14:08 2038.100000"],
];
for (const [at, startTime] of STARTS) {
  Deno.test(`decodeFacts() writes ${at} as ps does`, () => {
    const startedAtUs = BigInt(Date.parse(at.slice(0, 19) + "Z")) * 1000n + BigInt(at.slice(20, 26));
    assertEquals(decodeFacts(kinfo(macProcess(412, { startedAtUs })))?.startTime, startTime);
  });
}

const ODD_FACTS: [what: string, change: (view: DataView) => void][] = [
  ["a state that there is not", (view) => view.setInt8(36, 9)],
  ["no state", (view) => view.setInt8(36, 0)],
  ["a parent below zero", (view) => view.setInt32(560, -1, true)],
  ["a group below zero", (view) => view.setInt32(564, -5, true)],
  ["a million microseconds", (view) => view.setInt32(8, 1_000_000, true)],
  ["a start before 1970", (view) => view.setBigInt64(0, -1n, true)],
  ["a start beyond any date", (view) => view.setBigInt64(0, 1n << 60n, true)],
];
for (const [what, change] of ODD_FACTS) {
  Deno.test(`decodeFacts() does not understand ${what}`, () => {
    const bytes = kinfo(macProcess(412));
    change(new DataView(bytes.buffer));
    assertEquals(decodeFacts(bytes), null);
  });
}

Deno.test("decodeFactsList() leaves the kernel's own process out, and is none where one entry is odd", () => {
  const list = [macProcess(0), macProcess(1), macProcess(412)].map(kinfo);
  const bytes = Uint8Array.from(list.flatMap((each) => [...each]));
  assertEquals(decodeFactsList(bytes)?.map(({ pid }) => pid), [1, 412]);
  assertEquals(decodeFactsList(bytes.subarray(0, bytes.length - 1)), null);
  bytes[2 * 648 + 36] = 77;
  assertEquals(decodeFactsList(bytes), null);
  assertEquals(decodeFactsList(new Uint8Array()), null);
});

Deno.test("decodeFolder() reads an absolute path, and no other", () => {
  assertEquals(decodeFolder(vnodePaths("/Users/mia/Bücher 代码")), "/Users/mia/Bücher 代码");
  assertEquals(decodeFolder(vnodePaths("")), null);
  assertEquals(decodeFolder(vnodePaths("docs")), null);
  assertEquals(decodeFolder(new Uint8Array(2352).fill(47)), null);
});

Deno.test("decodeUsage() adds what the program and the kernel computed for it", () => {
  assertEquals(decodeUsage(taskInfo({ residentBytes: 2 ** 33, cpuTicks: 7n })), {
    residentBytes: 2 ** 33,
    cpuTicks: 7n,
  });
});

Deno.test("decodeSockets() finds the sockets among the open files", () => {
  const files = [fdInfo(0, 1), fdInfo(5, 2), fdInfo(6, 5), fdInfo(9, 2)];
  const bytes = Uint8Array.from([...files.flatMap((each) => [...each]), 1, 2, 3]);
  assertEquals(decodeSockets(bytes), [5, 9]);
});

for (const address of ["127.0.0.1", "0.0.0.0", "::1", "::", "fe80::1:0:0:2"]) {
  Deno.test(`decodeListener() reads ${address}`, () => {
    assertEquals(decodeListener(socketInfo({ port: 3001, address })), { port: 3001, address });
  });
}

Deno.test("decodeListener() names an IPv4 address in an IPv6 socket as lsof does", () => {
  const address = "::ffff:7f00:1";
  assertEquals(decodeListener(socketInfo({ port: 3001, address })), { port: 3001, address: "127.0.0.1" });
  const bytes = socketInfo({ port: 3001, address: "10.1.2.3" });
  new DataView(bytes.buffer).setInt32(184, 30, true);
  assertEquals(decodeListener(bytes), { port: 3001, address: "10.1.2.3" });
});

const NO_LISTENERS: [what: string, change: (view: DataView) => void][] = [
  ["a connection", (view) => view.setInt32(344, 4, true)],
  ["a socket of another kind", (view) => view.setInt32(256, 1, true)],
  ["a socket of another protocol", (view) => view.setInt32(180, 17, true)],
  ["a socket of another family", (view) => view.setInt32(184, 1, true)],
  ["a socket without a port", (view) => view.setUint16(268, 0)],
];
for (const [what, change] of NO_LISTENERS) {
  Deno.test(`decodeListener() passes over ${what}`, () => {
    const bytes = socketInfo({ port: 3001, address: "127.0.0.1" });
    change(new DataView(bytes.buffer));
    assertEquals(decodeListener(bytes), null);
  });
}

Deno.test("decodeArguments() reads the program, the arguments and the environment", () => {
  assertEquals(decodeArguments(procArgs(macProcess(412, { argv: ["a b", "", "-x"] }))), {
    executable: "/opt/homebrew/bin/node",
    argv: ["a b", "", "-x"],
    environment: ["PATH=/bin", "FOSTER_TOKEN=a:b:c"],
  });
});

Deno.test("decodeArguments() knows no environment of Apple's own programs, where the kernel keeps it back", () => {
  const bytes = procArgs(macProcess(412, { argv: ["sleep", "30"], environment: null }));
  assertEquals(decodeArguments(bytes)?.argv, ["sleep", "30"]);
  assertEquals(decodeArguments(bytes)?.environment, []);
});

const OWN = ["ptr_munge=0x1", "main_stack=0x16fc00000,0x800000", "executable_cdhash=aa", "th_port=0x103"];
for (
  const [what, nuls] of [["after a NUL", "\0"], ["right after it", ""], [
    "after many",
    "\0\0\0\0\0\0\0",
  ]] as const
) {
  Deno.test(`decodeArguments() takes what the kernel adds ${what} for no environment`, () => {
    const whole = procArgs(macProcess(412, { argv: ["node"], environment: ["PATH=/bin", "A="] }));
    const added = new TextEncoder().encode(nuls + OWN.map((each) => `${each}\0`).join(""));
    const bytes = Uint8Array.from([...whole.subarray(0, whole.length - 1), ...added]);
    assertEquals(decodeArguments(bytes)?.environment, ["PATH=/bin", "A="]);
    const bare = procArgs(macProcess(412, { argv: ["node"], environment: null }));
    assertEquals(decodeArguments(Uint8Array.from([...bare, ...added]))?.environment, []);
  });
}

Deno.test("decodeArguments() finds the environment behind a title that was written over the arguments", () => {
  const bytes = procArgs(macProcess(412, { argv: ["node", "server.js", "--port"] }));
  const at = 4 + "/opt/homebrew/bin/node".length + 7;
  bytes.fill(0, at, at + "node\0server.js\0--port".length);
  bytes.set(new TextEncoder().encode("title"), at);
  assertEquals(decodeArguments(bytes)?.argv, ["title", "", ""]);
  assertEquals(decodeArguments(bytes)?.environment, ["PATH=/bin", "FOSTER_TOKEN=a:b:c"]);
});

Deno.test("decodeArguments() gives whole arguments or none, wherever the buffer breaks off", () => {
  const whole = decodeArguments(procArgs(macProcess(412)));
  assert(whole !== null);
  const bytes = procArgs(macProcess(412));
  for (let length = 0; length < bytes.length; length++) {
    const cut = decodeArguments(bytes.subarray(0, length));
    if (cut === null) continue;
    assertEquals(cut.argv, whole.argv);
    for (const entry of cut.environment) assert(whole.environment.includes(entry), entry);
  }
});

for (const count of [-1, 100_001, 2 ** 31 - 1]) {
  Deno.test(`decodeArguments() does not believe in ${count} arguments`, () => {
    const bytes = procArgs(macProcess(412));
    new DataView(bytes.buffer).setInt32(0, count, true);
    assertEquals(decodeArguments(bytes), null);
  });
}

// ------------------------------------------------------------------------------------------------------- the reader

const SELF = 412;
/** It was running a moment after its start. */
const RUNNING_SINCE = Date.UTC(2026, 10, 20, 19, 7, 1) + 30;

const own: OwnProcess = {
  pid: SELF,
  parentPid: 400,
  userId: 501,
  executable: "/usr/local/bin/foster",
  folder: "/Users/mia",
  args: ["ps", "--json"],
  entry: "PATH=/bin",
  runningSince: RUNNING_SINCE,
  isSameFile: (one, other) => one === other,
};

const foster = macProcess(SELF, {
  parentPid: 400,
  path: own.executable,
  folder: own.folder,
  argv: ["foster", ...own.args],
});

interface Stage {
  processes?: MacProcess[];
  /** What the helpers say of listening sockets; without it they are not there. */
  netstat?: string;
  own?: OwnProcess;
}

function stage({ processes = [], netstat, own: known = own }: Stage = {}) {
  const all = [macProcess(1, { userId: 0, parentPid: 0 }), foster, ...processes];
  const system = new FakeLibSystem(() => all);
  const helpers: string[] = [];
  const sent: string[] = [];
  const tools: ReaderTools = {
    run(command, args) {
      helpers.push([command, ...args].join(" "));
      const stdout = command === "netstat" ? netstat ?? "" : "";
      return Promise.resolve({ code: stdout === "" ? 1 : 0, signal: null, stdout, stderr: "" });
    },
    env: () => undefined,
    selfPid: SELF,
    monotonic: () => 0,
    ffi: system,
    arch: "arm64",
    direct: null,
  };
  const kill = (target: number, signal: string): Promise<SignalResult> => {
    sent.push(`${signal} ${target}`);
    return Promise.resolve("sent");
  };
  const reader = createDarwinReader({ tools, own: () => known, kill });
  return {
    reader,
    system,
    helpers,
    sent,
    all,
    remove: (pid: number) => void all.splice(all.findIndex((each) => each.pid === pid), 1),
  };
}

const NO_SOCKETS =
  "Active Internet connections\nProto Recv-Q Send-Q  Local Address  Foreign Address  (state)\n";

Deno.test("the macOS reader calls nothing before the first look", async () => {
  const { reader, system } = stage();
  assertEquals(system.asked, []);
  await reader.inspect([SELF]);
  assert(system.asked.length > 0);
});

Deno.test("inspect() and list() answer through calls alone", async () => {
  const zombie = macProcess(500, { status: 5, parentPid: SELF });
  const { reader, helpers } = stage({ processes: [zombie, macProcess(501, { userId: 0 })] });
  const seen = await reader.inspect([500, 501, 77_777, 0, -5, 2 ** 40]);
  assertEquals([...seen].map(([pid, { kind }]) => [pid, kind]), [
    [500, "seen"],
    [501, "seen"],
    [77_777, "gone"],
    [0, "gone"],
    [-5, "gone"],
    [2 ** 40, "gone"],
  ]);
  assertEquals(seen.get(500), {
    kind: "seen",
    facts: { pid: 500, startTime: START, parentPid: SELF, groupId: 500, zombie: true },
  });
  assertEquals((await reader.list()).map(({ pid }) => pid), [1, SELF, 500, 501]);
  assertEquals(helpers, []);
});

Deno.test("argv() and paths() answer through calls, and of another user's process through ps", async () => {
  const { reader, helpers } = stage({ processes: [macProcess(500), macProcess(501, { userId: 502 })] });
  assertEquals(await reader.argv(500), ["node", "server.js", ""]);
  assertEquals(await reader.paths(500), { executable: "/opt/homebrew/bin/node", cwd: "/Users/mia/docs" });
  assertEquals(await reader.argv(77_777), null);
  assertEquals(helpers, []);
  assertEquals(await reader.argv(501), null);
  assert(helpers.every((each) => each.startsWith("ps ")) && helpers.length > 0, helpers.join("\n"));
  assertEquals(await reader.paths(501), { executable: "/opt/homebrew/bin/node", cwd: null });
});

Deno.test("usage() turns the processor's ticks into milliseconds", async () => {
  const { reader, helpers } = stage({ processes: [macProcess(500)] });
  assertEquals([...await reader.usage([500, 77_777])], [[500, { residentBytes: 4096, cpuMs: 1000 }]]);
  assertEquals(helpers, []);
});

Deno.test("carrying() finds who has an entry in the environment, and nothing of processes that hide it", async () => {
  const processes = [
    macProcess(500),
    macProcess(501, { environment: null }),
    macProcess(502, { userId: 502 }),
    macProcess(503, { environment: ["FOSTER_TOKEN=a:b:cd"] }),
    macProcess(504, { status: 5 }),
  ];
  const { reader } = stage({ processes });
  assertEquals(await reader.carrying("FOSTER_TOKEN=a:b:c"), [SELF, 500]);
  assertEquals(await reader.carrying("FOSTER_TOKEN=a:b:c", [501, 503]), []);
  assertEquals(await reader.carryingPrefix("FOSTER_TOKEN=", [500, 503, 77_777]), [
    { pid: 500, entry: "FOSTER_TOKEN=a:b:c" },
    { pid: 503, entry: "FOSTER_TOKEN=a:b:cd" },
  ]);
});

Deno.test("listeners() names who listens on exactly the port, once for each address", async () => {
  const listening = [
    { port: 3001, address: "127.0.0.1" },
    { port: 3001, address: "127.0.0.1" },
    { port: 3001, address: "::1" },
    { port: 30_010, address: "127.0.0.1" },
  ];
  const { reader, helpers } = stage({ processes: [macProcess(500, { listening })] });
  assertEquals(await reader.listeners(3001), {
    kind: "known",
    listeners: [{ pid: 500, address: "127.0.0.1" }, { pid: 500, address: "::1" }],
    unnamed: 0,
  });
  assertEquals(helpers, []);
});

Deno.test("foreignConnections() counts what others have open to a port, and nothing of its own", async () => {
  const listening = [{ port: 3001, address: "127.0.0.1" }];
  const accepted = [50_001, 50_002, 50_003].map((remote) => ({ local: 3001, remote }));
  const another = { local: 3002, remote: 50_009 };
  const connections = [{ local: 50_001, remote: 3001 }, { local: 50_008, remote: 3002 }];
  const { reader, all } = stage({
    processes: [
      macProcess(500, { listening, connections: [...accepted, another] }),
      // A worker of the same server.
      macProcess(501, { listening, connections: accepted }),
      macProcess(502, { connections: [{ local: 50_002, remote: 3001 }] }),
    ],
  });
  assertEquals(await reader.foreignConnections(3001), 3);
  const self = all.findIndex(({ pid }) => pid === SELF);
  all[self] = { ...foster, connections };
  assertEquals(await reader.foreignConnections(3001), 2);
  const { reader: alone } = stage({ processes: [macProcess(500, { listening })] });
  assertEquals(await alone.foreignConnections(3001), 0);
  const { reader: blind } = stage({ processes: [macProcess(500, { userId: 502, listening })] });
  assertEquals(await blind.foreignConnections(3001), null);
});

Deno.test("listeners() believes that nobody listens only where netstat shows no socket either", async () => {
  const free = stage({ netstat: NO_SOCKETS });
  assertEquals(await free.reader.listeners(3001), { kind: "known", listeners: [], unnamed: 0 });
  assertEquals(free.helpers, ["netstat -an -p tcp"]);
  const hidden = stage({
    processes: [macProcess(500, { userId: 502, listening: [{ port: 3001, address: "127.0.0.1" }] })],
    netstat: `${NO_SOCKETS}tcp4 0 0 127.0.0.1.3001 *.* LISTEN\n`,
  });
  assertEquals(await hidden.reader.listeners(3001), { kind: "known", listeners: [], unnamed: 1 });
  assertEquals((await stage().reader.listeners(3001)).kind, "unknown");
});

Deno.test("a process with thousands of open files shows all its listeners", async () => {
  const listening = Array.from({ length: 5000 }, (_, index) => ({ port: 10_000 + index, address: "::" }));
  const { reader } = stage({ processes: [macProcess(500, { listening })] });
  assertEquals(await reader.listeners(14_999), {
    kind: "known",
    listeners: [{ pid: 500, address: "::" }],
    unnamed: 0,
  });
});

// --------------------------------------------------------------------------------------------------------- signals

const other = "ps:Fri Nov 20 19:07:01 2026.000041";
const SIGNALS: { what: string; target: number; startTime?: string; result: SignalResult; sent: string[] }[] =
  [
    {
      what: "the process that is meant",
      target: 500,
      startTime: START,
      result: "sent",
      sent: ["SIGTERM 500"],
    },
    {
      what: "one whose start is known to the second",
      target: 500,
      startTime: START.slice(0, -".000042".length),
      result: "sent",
      sent: ["SIGTERM 500"],
    },
    { what: "no process that got the pid since", target: 500, startTime: other, result: "gone", sent: [] },
    {
      what: "no group whose number was given away",
      target: -500,
      startTime: other,
      result: "gone",
      sent: [],
    },
    {
      what: "a group through its leader",
      target: -500,
      startTime: START,
      result: "sent",
      sent: ["SIGTERM -500"],
    },
    {
      what: "a group without its leader",
      target: -499,
      startTime: START,
      result: "sent",
      sent: ["SIGTERM -499"],
    },
    { what: "no process that is gone", target: 499, startTime: START, result: "gone", sent: [] },
    { what: "what nobody described", target: 499, result: "sent", sent: ["SIGTERM 499"] },
  ];
for (const { what, target, startTime, result, sent } of SIGNALS) {
  Deno.test(`signal() on macOS reaches ${what}`, async () => {
    const at = stage({ processes: [macProcess(500)] });
    assertEquals(await at.reader.signal(target, "SIGTERM", startTime), result);
    assertEquals(at.sent, sent);
  });
}

Deno.test("signal() on macOS sends nothing where the kernel does not answer", async () => {
  const at = stage({ processes: [macProcess(500)] });
  await at.reader.inspect([500]);
  at.system.fault = () => null;
  assertEquals(await at.reader.signal(500, "SIGTERM", START), "denied");
  assertEquals(at.sent, []);
});

Deno.test("watchExit() on macOS sees the end of the process that is meant, and of no other", async () => {
  const at = stage({ processes: [macProcess(500)] });
  assertEquals(await at.reader.watchExit(500, other), null);
  assertEquals(await at.reader.watchExit(77_777, START), null);
  const watch = await at.reader.watchExit(500, START);
  assertEquals(watch?.ended(), false);
  at.system.fault = () => null;
  assertEquals(watch?.ended(), false, "a kernel that does not answer has not said that it ended");
  at.system.fault = (_, written) => written;
  at.remove(500);
  assertEquals(watch?.ended(), true);
  watch?.close();
});

// ------------------------------------------------------------------------------------------------- when to rely on it

const DOUBTS: {
  what: string;
  own: Partial<OwnProcess>;
  relies: [facts: boolean, paths: boolean, args: boolean];
}[] = [
  { what: "everything", own: {}, relies: [true, true, true] },
  { what: "nothing of another parent", own: { parentPid: 401 }, relies: [false, false, false] },
  { what: "nothing of another user", own: { userId: 0 }, relies: [false, false, false] },
  { what: "nothing of another pid", own: { pid: 413 }, relies: [false, false, false] },
  {
    what: "nothing of a start after it was running",
    own: { runningSince: RUNNING_SINCE - 60_000 },
    relies: [false, false, false],
  },
  {
    what: "the start of a shell that it took the place of",
    own: { runningSince: RUNNING_SINCE + 86_400_000 },
    relies: [true, true, true],
  },
  { what: "no paths of another program", own: { executable: "/bin/other" }, relies: [true, false, true] },
  { what: "no paths of another folder", own: { folder: "/tmp" }, relies: [true, false, true] },
  { what: "paths without a folder to compare", own: { folder: null }, relies: [true, true, true] },
  { what: "no arguments that are others", own: { args: ["up"] }, relies: [true, true, false] },
  { what: "no environment without its entry", own: { entry: "PATH=/x" }, relies: [true, true, false] },
  { what: "an environment without anything to compare", own: { entry: null }, relies: [true, true, true] },
];
for (const { what, own: changes, relies: [facts, paths, args] } of DOUBTS) {
  Deno.test(`selfCheck() relies on ${what}`, () => {
    const { system } = stage();
    assertEquals(selfCheck(new DarwinCalls(system), { ...own, ...changes }), {
      facts,
      paths,
      arguments: args,
    });
  });
}

Deno.test("the macOS reader asks the helpers where its calls do not know foster itself", async () => {
  const { reader, helpers, sent } = stage({ own: { ...own, parentPid: 401 }, processes: [macProcess(500)] });
  assertEquals((await reader.inspect([500])).get(500)?.kind, "unknown");
  assertEquals(helpers.length, 1);
  assertEquals(await reader.watchExit(500, START), null);
  assertEquals(await reader.carrying("PATH=/bin"), []);
  assertEquals(await reader.signal(500, "SIGTERM", START), "sent");
  assertEquals(sent, ["SIGTERM 500"]);
});

Deno.test("the macOS reader asks the helpers for paths and arguments that it can't rely on", async () => {
  const at = stage({ own: { ...own, args: ["up"], folder: "/tmp" }, processes: [macProcess(500)] });
  assertEquals((await at.reader.inspect([500])).get(500)?.kind, "seen");
  assertEquals(at.helpers, []);
  assertEquals(await at.reader.paths(500), { executable: null, cwd: null });
  assertEquals(await at.reader.argv(500), null);
  assertEquals(await at.reader.carryingPrefix("PATH="), []);
  assertEquals(at.helpers.map((each) => each.split(" ")[0]), ["lsof", "ps", "ps", "ps"]);
});

Deno.test("the macOS reader asks the helpers where there is no such library", async () => {
  const { system, ...at } = stage();
  system.open = () => {
    throw new Error("no such library");
  };
  assertEquals((await at.reader.inspect([500])).get(500)?.kind, "unknown");
  assertEquals(at.helpers.length, 1);
});

// ---------------------------------------------------------------------------------------------------- broken buffers

/** Always the same numbers, so that a failure can be had again. */
function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

Deno.test("a kernel that refuses or cuts every answer short is asked no more: the helpers decide", async () => {
  const faults: ((written: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer> | null)[] = [
    () => null,
    (written) => written.subarray(0, written.length - 1),
    (written) => written.subarray(0, 1),
    (written) => written.subarray(0, 0),
    (written) => written.map(() => 0xff),
    (written) => written.map(() => 0),
  ];
  for (const fault of faults) {
    const at = stage({ processes: [macProcess(500)] });
    await at.reader.inspect([500]);
    at.system.fault = (_, written) => fault(written);
    assertEquals((await at.reader.inspect([500])).get(500)?.kind, "unknown");
    assertEquals((await at.reader.listeners(3001)).kind, "unknown");
    assertEquals(await at.reader.signal(500, "SIGTERM", START), "denied");
  }
});

Deno.test("an answer of random bytes never throws, and never is the process that is meant", async () => {
  const next = numbers(20_261_120);
  for (let round = 0; round < 300; round++) {
    const at = stage({ processes: [macProcess(500, { listening: [{ port: 3001, address: "::1" }] })] });
    await at.reader.inspect([500]);
    at.system.fault = (_, written) => {
      const length = Math.floor(next() * (written.length + 1));
      return written.subarray(0, length).map(() => Math.floor(next() * 256));
    };
    const seen = (await at.reader.inspect([500])).get(500);
    // An empty answer is the kernel's way to say that there is no such process.
    assert(seen?.kind !== "seen" || seen.facts.startTime !== START);
    await at.reader.argv(500);
    await at.reader.paths(500);
    await at.reader.usage([500]);
    assertEquals(await at.reader.carrying("FOSTER_TOKEN=a:b:c"), []);
    await at.reader.listeners(3001);
    await at.reader.signal(500, "SIGTERM", START);
    assertEquals(at.sent, []);
  }
});
