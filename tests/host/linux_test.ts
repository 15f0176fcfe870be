import { assert, assertEquals, assertExists, assertRejects } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { directAccess } from "../../src/host/engine/node/processes.ts";
import { HostError, type ProcessObservation, type RunResult } from "../../src/host/host.ts";
import { parseUnitPath } from "../../src/host/system/linux/proc.ts";
import { createLinuxReader } from "../../src/host/system/linux/reader.ts";
import type { ReaderTools, SystemReader } from "../../src/host/system/reader.ts";
import { notLinux, unless } from "../skip.ts";

const onLinux = Deno.build.os === "linux";

function recorded(name: string): string {
  return Deno.readTextFileSync(fromFileUrl(new URL(`../recorded/linux/${name}`, import.meta.url)));
}

// ------------------------------------------------------------------------------------------------ the real machine

const runHelper = (await createDenoHost()).processes.run;
const common = {
  run: runHelper,
  env: () => undefined,
  selfPid: Deno.pid,
  ffi: null,
  arch: "x64",
  monotonic: () => 0,
};
const readers: { way: string; reader: SystemReader }[] = [
  { way: "directly", reader: createLinuxReader({ ...common, direct: directAccess }) },
  { way: "through helpers", reader: createLinuxReader({ ...common, direct: null }) },
];

/** A shell under the given name that carries `entry`, ends with its stdin and has said that it runs. */
async function shell(options: { env?: Record<string, string>; script?: string; argv0?: string } = {}) {
  const child = new Deno.Command("sh", {
    args: ["-c", options.script ?? "echo ready; read line", options.argv0 ?? "sh"],
    env: options.env,
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  const first = new TextDecoder().decode((await reader.read()).value);
  return {
    pid: child.pid,
    said: first.trim(),
    async [Symbol.asyncDispose]() {
      await child.stdin.close().catch(() => {});
      await reader.cancel();
      await child.status;
    },
  };
}

function factsOf(seen: ProcessObservation | undefined) {
  assert(seen?.kind === "seen", `not seen: ${JSON.stringify(seen)}`);
  return seen.facts;
}

for (const { way, reader } of readers) {
  const test = (name: string, fn: () => Promise<void>) =>
    Deno.test({ name: `${name}, ${way}`, ignore: !onLinux, fn });

  test("inspect() sees a live process, its parent and none that is not there", async () => {
    await using child = await shell();
    const seen = await reader.inspect([child.pid, Deno.pid, 2 ** 22 + 1, 0, -1, 1.5, NaN]);
    const facts = factsOf(seen.get(child.pid));
    assertEquals([facts.pid, facts.parentPid, facts.zombie], [child.pid, Deno.pid, false]);
    assertEquals(facts.groupId, factsOf(seen.get(Deno.pid)).groupId);
    assert(/^proc:[\da-f-]{36}:\d+$/.test(facts.startTime));
    for (const pid of [2 ** 22 + 1, 0, -1, 1.5, NaN]) assertEquals(seen.get(pid), { kind: "gone" });
  });

  test("inspect() answers once for a pid that is asked twice", async () => {
    assertEquals((await reader.inspect([Deno.pid, Deno.pid])).size, 1);
    assertEquals((await reader.inspect([])).size, 0);
  });

  test("inspect() tells a zombie", async () => {
    // The shell does not wait for its child, and the child has ended once its output has.
    await using parent = await shell({ script: "sh -c 'echo $$' & exec cat" });
    const pid = Number(parent.said);
    let facts = factsOf((await reader.inspect([pid])).get(pid));
    while (!facts.zombie) facts = factsOf((await reader.inspect([pid])).get(pid));
    assertEquals(facts.parentPid, parent.pid);
    assertEquals((await reader.usage([pid])).size, 0);
    assertEquals(await reader.argv(pid), null);
  });

  test("inspect() and list() are not misled by a name that forges another process's line", async () => {
    const folder = await Deno.makeTempDir();
    try {
      const program = `${folder}/x\n1 (y) S 1 `;
      await Deno.copyFile(await Deno.realPath("/bin/sh"), program);
      await Deno.chmod(program, 0o700);
      const child = new Deno.Command(program, {
        args: ["-c", "echo; read x"],
        stdin: "piped",
        stdout: "piped",
      }).spawn();
      const out = child.stdout.getReader();
      await out.read();
      const seen = await reader.inspect([child.pid, Deno.pid, 1]);
      assertEquals([...seen].map(([pid, each]) => [pid, factsOf(each).parentPid]), [
        [child.pid, Deno.pid],
        [Deno.pid, Deno.ppid],
        [1, 0],
      ]);
      const listed = await reader.list();
      assertEquals(listed.find((each) => each.pid === child.pid), factsOf(seen.get(child.pid)));
      assertEquals(listed.filter((each) => each.pid === 1).length, 1);
      await child.stdin.close();
      await out.cancel();
      await child.status;
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });

  test("argv() keeps empty arguments, spaces and newlines", async () => {
    const script = "echo ready; read line";
    await using child = await shell({ script, argv0: "a  b\nc" });
    assertEquals((await reader.argv(child.pid))?.slice(1), ["-c", script, "a  b\nc"]);
    assertEquals(await reader.argv(2 ** 22 + 1), null);
  });

  test("argv() reads a long command line to its end", async () => {
    const long = Array.from({ length: 4000 }, (_, index) => `argument-${index}-é`);
    const child = new Deno.Command("sh", {
      args: ["-c", "echo ready; read line", ...long],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const out = child.stdout.getReader();
    await out.read();
    assertEquals((await reader.argv(child.pid))?.slice(3), long);
    await child.stdin.close();
    await out.cancel();
    await child.status;
  });

  test("paths() names the program and the folder", async () => {
    await using child = await shell();
    assertEquals(await reader.paths(child.pid), {
      executable: await Deno.realPath("/bin/sh"),
      cwd: Deno.cwd(),
    });
    assertEquals(await reader.paths(2 ** 22 + 1), { executable: null, cwd: null });
  });

  test("usage() shows memory and a growing CPU time", async () => {
    const first = (await reader.usage([Deno.pid])).get(Deno.pid);
    assertExists(first);
    assert(first.residentBytes > 10_000_000 && first.residentBytes < 10_000_000_000);
    let now = first;
    while (now.cpuMs === first.cpuMs) now = (await reader.usage([Deno.pid])).get(Deno.pid) ?? now;
    assert(now.cpuMs > first.cpuMs);
    assertEquals((await reader.usage([])).size, 0);
    assertEquals((await reader.usage([2 ** 22 + 1])).size, 0);
  });

  test("carrying() finds exactly the entry, carryingPrefix() every one that begins so", async () => {
    const name = `FOSTER_TEST_${crypto.randomUUID().replaceAll("-", "")}`;
    await using one = await shell({ env: { [name]: "a:b" } });
    await using more = await shell({ env: { [name]: "a:b:c" } });
    await using other = await shell({ env: { OTHER: `${name}=a:b` } });
    assertEquals(await reader.carrying(`${name}=a:b`), [one.pid]);
    assertEquals(await reader.carrying(`${name}=a:b`, [one.pid, more.pid, other.pid, 2 ** 22 + 1]), [
      one.pid,
    ]);
    assertEquals(await reader.carrying(`${name}=a:b`, [more.pid]), []);
    assertEquals(await reader.carrying(`${name}=a:b`, []), []);
    const found = (await reader.carryingPrefix(`${name}=`)).sort((a, b) => a.entry.length - b.entry.length);
    assertEquals(found, [{ pid: one.pid, entry: `${name}=a:b` }, { pid: more.pid, entry: `${name}=a:b:c` }]);
  });

  for (
    const { hostname, shown } of [
      { hostname: "127.0.0.1", shown: "127.0.0.1" },
      { hostname: "0.0.0.0", shown: "0.0.0.0" },
      { hostname: "::1", shown: "::1" },
      { hostname: "::", shown: "::" },
    ]
  ) {
    test(`listeners() finds the one on ${hostname}`, async () => {
      using listener = Deno.listen({ hostname, port: 0 });
      assertEquals(await reader.listeners(listener.addr.port), {
        kind: "known",
        listeners: [{ pid: Deno.pid, address: shown }],
        unnamed: 0,
      });
    });
  }

  test("listeners() finds both ends of a port that is taken on both loopbacks", async () => {
    using first = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    using second = Deno.listen({ hostname: "::1", port: first.addr.port });
    const seen = await reader.listeners(second.addr.port);
    assert(seen.kind === "known");
    assertEquals(seen.listeners.map((each) => each.address).sort(), ["127.0.0.1", "::1"]);
  });

  test("listeners() finds none on a free port and none for the near end of a connection", async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
    using accepted = await listener.accept();
    const near = connection.localAddr;
    assert(near.transport === "tcp" && accepted.remoteAddr.transport === "tcp");
    assertEquals(await reader.listeners(near.port), { kind: "known", listeners: [], unnamed: 0 });
  });

  test("pidNamespace() is the number that /proc shows", async () => {
    assertEquals(`pid:[${await reader.pidNamespace()}]`, await Deno.readLink("/proc/self/ns/pid"));
  });

  test("unitPath() is what /proc shows of this process", async () => {
    assertEquals(await reader.unitPath(), parseUnitPath(await Deno.readTextFile("/proc/self/cgroup")));
  });

  test("reservedRanges() has none", async () => assertEquals(await reader.reservedRanges(), []));
}

// ----------------------------------------------------------------------------------------------- when helpers fail

type Answer = Partial<RunResult> | HostError;

/** The real helpers, but for those named. */
function readerWith(answers: Record<string, Answer>): SystemReader {
  const run: ReaderTools["run"] = (command, args, options) => {
    const answer = answers[command];
    if (answer === undefined) return runHelper(command, args, options);
    if (answer instanceof HostError) return Promise.reject(answer);
    return Promise.resolve({ code: 0, signal: null, stdout: "", stderr: "", ...answer });
  };
  return createLinuxReader({ ...common, run, direct: null });
}

const missing = new HostError("not_found", "Cannot run it");

for (
  const { why, cat } of [
    { why: "there is no cat", cat: missing },
    { why: "cat may not be run", cat: new HostError("no_permission", "run access") },
    { why: "cat hangs", cat: new HostError("timeout", "cat did not end") },
    { why: "cat is refused", cat: { code: 1, stderr: `cat: /proc/${Deno.pid}/stat: Permission denied\n` } },
    { why: "cat dies without a word", cat: { code: null, signal: "SIGKILL" } },
    { why: "cat prints nothing", cat: {} },
    { why: "cat prints something else", cat: { stdout: "hello\n" } },
  ] satisfies { why: string; cat: Answer }[]
) {
  Deno.test(`inspect() says unknown, never gone, when ${why}`, async () => {
    const seen = (await readerWith({ cat }).inspect([Deno.pid])).get(Deno.pid);
    assertEquals(seen?.kind, "unknown");
  });
}

Deno.test({
  name: "inspect() says unknown, and list() throws, when /proc is another PID namespace's",
  ignore: !onLinux,
  async fn() {
    const readBytes: typeof directAccess.readBytes = (path, limitBytes) =>
      path === "/proc/self/status"
        ? new TextEncoder().encode("Name:\tfoster\nPid:\t4711\nNSpid:\t4711\t2\n")
        : directAccess.readBytes(path, limitBytes);
    const reader = createLinuxReader({ ...common, direct: { ...directAccess, readBytes } });
    assertEquals((await reader.inspect([Deno.pid])).get(Deno.pid), {
      kind: "unknown",
      why: "/proc shows the processes of another PID namespace",
    });
    await assertRejects(() => reader.list(), HostError, "another PID namespace");
  },
});

Deno.test({
  name:
    "inspect() sees foster's own process as others see it, where an emulator makes up its /proc/self/stat",
  ignore: !onLinux,
  async fn() {
    const own = `/proc/${Deno.pid}/stat`;
    const truth = Deno.readTextFileSync(own);
    const ticks = truth.slice(truth.lastIndexOf(")") + 2).split(" ")[19];
    assertExists(ticks);
    // As qemu 10 writes it: a tick too late, nothing in most fields.
    const madeUp = `${Deno.pid} (foster) R ${Deno.ppid} 0 ${"0 ".repeat(16)}${Number(ticks) + 1} ${
      "0 ".repeat(30)
    }`;
    const readBytes: typeof directAccess.readBytes = (path, limitBytes) =>
      path === own || path === "/proc/self/stat"
        ? new TextEncoder().encode(madeUp)
        : directAccess.readBytes(path, limitBytes);
    const emulated = createLinuxReader({ ...common, direct: { ...directAccess, readBytes } });
    const plain = createLinuxReader({ ...common, direct: directAccess });
    const seen = factsOf((await emulated.inspect([Deno.pid])).get(Deno.pid));
    assertEquals(seen, factsOf((await plain.inspect([Deno.pid])).get(Deno.pid)));
    assert(seen.startTime.endsWith(`:${ticks}`));
    const listed = (await emulated.list()).filter(({ pid }) => pid === Deno.pid);
    assertEquals(listed, [seen]);
  },
});

Deno.test("inspect() says unknown when /proc refuses to be read", async () => {
  const refusing = () => {
    throw new Deno.errors.PermissionDenied("Permission denied (os error 13)");
  };
  const direct = { ...directAccess, readBytes: refusing };
  const seen = (await createLinuxReader({ ...common, direct }).inspect([Deno.pid])).get(Deno.pid);
  assertEquals(seen?.kind, "unknown");
});

for (
  const { why, answers } of [
    { why: "ss is missing", answers: { ss: missing } },
    { why: "ss fails", answers: { ss: { code: 255, stderr: "Cannot open netlink socket" } } },
    { why: "the output of ss is not to be trusted", answers: { ss: { stdout: recorded("ss_quote") } } },
    { why: "ss and find are missing", answers: { ss: missing, find: missing } },
    {
      why: "find does not know the question",
      answers: { ss: missing, find: { code: 1, stderr: "find: -lname?" } },
    },
  ] satisfies { why: string; answers: Record<string, Answer> }[]
) {
  Deno.test({
    name: `listeners() still finds the process when ${why}`,
    ignore: !onLinux,
    async fn() {
      using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const seen = await readerWith(answers).listeners(listener.addr.port);
      assert(seen.kind === "known");
      assertEquals([seen.listeners.map((each) => each.pid), seen.unnamed], [[Deno.pid], 0]);
    },
  });
}

Deno.test({
  name: "listeners() says unknown when no helper can tell, but knows a free port all the same",
  ignore: !onLinux,
  async fn() {
    const reader = readerWith({ ss: missing, find: missing, lsof: missing });
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    assertEquals((await reader.listeners(port)).kind, "unknown");
    listener.close();
    assertEquals(await reader.listeners(port), { kind: "known", listeners: [], unnamed: 0 });
  },
});

Deno.test(unless(notLinux, "a silent helper has not said that there is nothing"), async () => {
  const mute: Answer = {};
  const listeners = await readerWith({ cat: mute }).listeners(8000);
  assertEquals(listeners, { kind: "unknown", why: "/proc/net/tcp is no table of sockets" });
  await assertRejects(() => readerWith({ ls: mute }).list(), HostError, "shows none");
  await assertRejects(
    () => readerWith({ ls: { stdout: "1\n2\n" } }).list(),
    HostError,
    "foster's own process",
  );
  await assertRejects(() => readerWith({ grep: mute }).carrying("A=b", [Deno.pid]), HostError);
});

Deno.test({
  name: "listeners() counts a socket whose owner no tool names",
  ignore: !onLinux,
  async fn() {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const seen = await readerWith({ ss: {} }).listeners(listener.addr.port);
    assertEquals(seen, { kind: "known", listeners: [], unnamed: 1 });
  },
});

Deno.test({
  name: "listeners() counts a socket that no process can be found for",
  ignore: !onLinux,
  async fn() {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const seen = await readerWith({ ss: { stdout: recorded("ss") } }).listeners(listener.addr.port);
    assertEquals(seen, { kind: "known", listeners: [], unnamed: 1 });
  },
});

Deno.test("carrying() throws, rather than finding nothing, when grep can't be run", async () => {
  await assertRejects(() => readerWith({ grep: missing }).carrying("A=b", [Deno.pid]), HostError);
  const confused = readerWith({ grep: { code: 2, stderr: "grep: unrecognized option: z" } });
  await assertRejects(() => confused.carrying("A=b", [Deno.pid]), HostError, "unrecognized option");
});

Deno.test(
  unless(notLinux, "foreignConnections() counts what others have open to a port, and nothing of its own"),
  async () => {
    const reader = createLinuxReader({ ...common, direct: directAccess });
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    assertEquals(await reader.foreignConnections(port), 0);
    const own = await Deno.connect({ hostname: "127.0.0.1", port });
    const accepted = [await listener.accept()];
    assertEquals(await reader.foreignConnections(port), 0);
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "eval",
        `await Deno.connect({ port: ${port} }); await new Promise((r) => setTimeout(r, 600_000));`,
      ],
      stdout: "null",
      stderr: "null",
    }).spawn();
    accepted.push(await listener.accept());
    assertEquals(await reader.foreignConnections(port), 1);
    child.kill("SIGKILL");
    await child.status;
    assertEquals(await createLinuxReader({ ...common, direct: null }).foreignConnections(port), null);
    for (const each of [own, listener, ...accepted]) each.close();
  },
);
