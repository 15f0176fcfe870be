/**
 * Starts and ends on a real Windows, or under Wine.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import { type Host, HostError, type ProcessFacts } from "../../src/host/host.ts";
import { unless } from "../skip.ts";

const notWindows = Deno.build.os === "windows" ? null : "it asks Windows";
const child = fromFileUrl(new URL("../fixtures/windows_child.ts", import.meta.url));
const childArgs = (...args: string[]) => ["run", "-A", "-q", "--no-check", child, ...args];

interface World {
  host: Host;
  folder: string;
  log: string;
}

/** Whatever carries the world's mark is ended with it. */
function test(name: string, body: (world: World) => Promise<void>): void {
  Deno.test({
    ...unless(notWindows, name),
    // The host polls for the end of its children.
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "foster-windows-" }));
      const host = await createDenoHost();
      const marked = {
        ...host,
        env: { ...host.env, all: () => ({ ...host.env.all(), WINDOWS_MARK: folder }) },
      };
      // Children do not keep the program alive.
      const alive = setInterval(() => {}, 60_000);
      try {
        await body({ host: marked, folder, log: join(folder, "log") });
      } finally {
        for (const pid of await host.processes.carrying(`WINDOWS_MARK=${folder}`)) {
          await host.processes.signal(pid, "SIGKILL");
        }
        await retried(() => Deno.remove(folder, { recursive: true }));
        clearInterval(alive);
      }
    },
  });
}

function start({ host, folder, log }: World, ...args: string[]) {
  return host.processes.spawnDetached({
    command: Deno.execPath(),
    args: childArgs(...args),
    cwd: folder,
    env: host.env.all(),
    logFile: log,
  });
}

async function factsOf({ host }: Pick<World, "host">, pid: number): Promise<ProcessFacts | null> {
  const seen = (await host.processes.inspect([pid])).get(pid);
  return seen?.kind === "seen" ? seen.facts : null;
}

async function until<T>(ask: () => Promise<T | null | false>): Promise<T> {
  const endsAt = performance.now() + 20_000;
  while (performance.now() < endsAt) {
    const answer = await ask();
    if (answer !== null && answer !== false) return answer;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`no answer to ${ask}`);
}

/** Windows keeps a folder busy for a moment after what used it has ended. */
function retried(action: () => Promise<void>): Promise<true> {
  return until(() => action().then(() => true as const, () => false as const));
}

/** The pids that the log says are waiting, once there are so many. */
function waiting({ log }: World, count: number): Promise<number[]> {
  return until(async () => {
    const text = await Deno.readTextFile(log).catch(() => "");
    const pids = [...text.matchAll(/^waiting (\d+)/gm)].map(([, pid]) => Number(pid));
    return pids.length >= count && pids;
  });
}

const awkward = ["", "a b", `say "hi"`, "ends \\", "%PATH%", "^&|<>()", "wörk 😀", "C:\\Program Files\\"];

test("spawnDetached() hands on arguments, folder, exactly its environment, an empty input and the log", async (world) => {
  const { host, folder, log } = world;
  const cwd = join(folder, "wörk mit leer");
  await Deno.mkdir(cwd);
  const env: Record<string, string> = {
    NAME: "välue = ü",
    EMPTY: "",
    SystemRoot: host.env.get("SystemRoot") ?? "",
  };
  for (const name of ["TEMP", "USERPROFILE", "DENO_DIR", "LOCALAPPDATA"]) {
    const value = host.env.get(name);
    if (value !== undefined) env[name] = value;
  }
  await Deno.writeTextFile(log, "earlier\n");
  const started = await host.processes.spawnDetached({
    command: Deno.execPath(),
    args: childArgs("tell", ...awkward),
    cwd,
    env,
    logFile: log,
  });
  assertEquals(await started.exited, { code: 7, signal: null });
  const [first, ...lines] = (await Deno.readTextFile(log)).trimEnd().split("\n");
  assertEquals([first, lines.at(-1)], ["earlier", "to stderr"]);
  const told = JSON.parse(lines[0] ?? "");
  assertEquals(told.args, awkward);
  assertEquals(await Deno.realPath(told.cwd), await Deno.realPath(cwd));
  assertEquals([told.env.NAME, told.env.WINDOWS_MARK, told.input], [env["NAME"], undefined, ""]);
});

test("what a process was started with can be read, and its token proves it", async (world) => {
  const { host, folder } = world;
  const { pid, groupId } = await start(world, "wait");
  await waiting(world, 1);
  assertEquals(groupId, pid);
  assertEquals((await host.processes.argv(pid))?.slice(1), childArgs("wait"));
  const { executable, cwd } = await host.processes.paths(pid);
  assertEquals(executable?.toLowerCase(), Deno.execPath().toLowerCase());
  assertEquals(await Deno.realPath(cwd ?? ""), folder);
  const entry = `WINDOWS_MARK=${folder}`;
  // The console's own process may have inherited it.
  assert((await host.processes.carrying(entry)).includes(pid));
  assertEquals(await host.processes.carrying(entry, [pid]), [pid]);
  assertEquals(await host.processes.carrying(entry, [host.processes.selfPid]), []);
  assertEquals(await host.processes.carrying(entry.slice(0, -1)), []);
  assertEquals(await host.processes.carryingPrefix(entry.slice(0, -1), [pid]), [{ pid, entry }]);
  const usage = (await host.processes.usage([pid])).get(pid);
  assert((usage?.residentBytes ?? 0) > 1_000_000, JSON.stringify(usage));
  const facts = await factsOf(world, pid);
  assertEquals([facts?.parentPid, facts?.groupId], [host.processes.selfPid, pid]);
  assertEquals((await host.processes.list()).find((each) => each.pid === pid), facts);
});

test("a group is asked to end with all in it, and each ends in its own way", async (world) => {
  const { host, log } = world;
  const started = await start(world, "tree");
  const pids = await waiting(world, 2);
  const facts = await factsOf(world, started.pid);
  for (const pid of pids) assertEquals((await factsOf(world, pid))?.groupId, started.pid);
  assertEquals(await host.processes.signal(-started.pid, "SIGTERM", facts?.startTime), "sent");
  assertEquals(await started.exited, { code: 5, signal: null });
  await until(async () =>
    (await Promise.all(pids.map((pid) => factsOf(world, pid)))).every((each) => each === null)
  );
  const text = await Deno.readTextFile(log);
  // Wine loses one of two lines that are appended in the same moment.
  assert(pids.some((pid) => text.includes(`SIGINT ${pid}`)), text);
});

test("a group is ended by force with all in it", async (world) => {
  const started = await start(world, "tree");
  const pids = await waiting(world, 2);
  const facts = await factsOf(world, started.pid);
  assertEquals(await world.host.processes.signal(-started.pid, "SIGKILL", facts?.startTime), "sent");
  assertEquals(await started.exited, { code: 1, signal: null });
  for (const pid of pids) await until(async () => await factsOf(world, pid) === null);
  assertEquals(await world.host.processes.signal(-started.pid, "SIGKILL", facts?.startTime), "gone");
  assertEquals((await world.host.processes.inspect(pids)).get(started.pid), { kind: "gone" });
});

test("a signal that means another process than the one with the pid reaches nobody", async (world) => {
  const { processes } = world.host;
  const { pid } = await start(world, "wait");
  await waiting(world, 1);
  const other = "cim:2020-01-01T00:00:00.000Z";
  for (const target of [pid, -pid]) {
    for (const signal of ["SIGKILL", "SIGTERM"] as const) {
      assertEquals(await processes.signal(target, signal, other), "gone", `${signal} ${target}`);
    }
  }
  assertEquals(await processes.watchExit(pid, other), null);
  const facts = await factsOf(world, pid);
  assert(facts !== null);
  const watch = await processes.watchExit(pid, facts.startTime);
  assertEquals(watch?.ended(), false);
  assertEquals(await processes.signal(pid, "SIGKILL", facts.startTime), "sent");
  await until(() => Promise.resolve(watch?.ended() === true));
  watch?.close();
});

test("a handle that is held keeps the pid of a process that ended from being anybody's", async (world) => {
  const { processes } = world.host;
  const started = await start(world, "wait");
  await waiting(world, 1);
  const facts = await factsOf(world, started.pid);
  assert(facts !== null);
  const held = await processes.watchExit(started.pid, facts.startTime);
  assertEquals(await processes.signal(started.pid, "SIGKILL", facts.startTime), "sent");
  await started.exited;
  // Its number can be opened still, and is recognised as that of a process that ended.
  assertEquals((await processes.inspect([started.pid])).get(started.pid), { kind: "gone" });
  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    assertEquals(await processes.signal(started.pid, signal, facts.startTime), "gone");
  }
  held?.close();
});

test("a tree outlives the foster that started it, and the next one ends it by its job", async (world) => {
  const { host, folder, log } = world;
  const out = await new Deno.Command(Deno.execPath(), {
    args: childArgs("start", log),
    cwd: folder,
    env: host.env.all(),
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
  }).output();
  const leader = Number(/started (\d+)/.exec(new TextDecoder().decode(out.stdout))?.[1]);
  const pids = await waiting(world, 2);
  const facts = await factsOf(world, leader);
  assertEquals(facts?.groupId, leader);
  for (const pid of pids) assertEquals((await factsOf(world, pid))?.groupId, leader);
  assertEquals(await host.processes.signal(-leader, "SIGKILL", facts?.startTime), "sent");
  for (const pid of pids) await until(async () => await factsOf(world, pid) === null);
});

test("a console that others are on is not asked on", async (world) => {
  const { host, folder, log } = world;
  // Both are on one console, and neither is the other's child.
  const started = await start(world, "tree");
  const [first = 0, second = 0] = await waiting(world, 2);
  const inner = first === started.pid ? second : first;
  const single = await factsOf(world, inner);
  assert(single !== null && single.parentPid === started.pid);
  // Outside of any job, a process has its own children only: the parent is then somebody else.
  const shared = new Deno.Command(Deno.execPath(), {
    args: childArgs("wait"),
    cwd: folder,
    env: host.env.all(),
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = shared.stdout.getReader();
  assertMatch(new TextDecoder().decode((await reader.read()).value), /waiting/);
  const facts = await factsOf(world, shared.pid);
  assertEquals(await host.processes.signal(shared.pid, "SIGTERM", facts?.startTime), "sent");
  // Neither the test, which would have ended by it, nor the group heard of it.
  assert(await factsOf(world, started.pid) !== null && await factsOf(world, inner) !== null);
  assert(!(await Deno.readTextFile(log)).includes("SIGINT"));
  shared.kill();
  await shared.status;
  await reader.cancel();
});

test("a batch file gets its arguments as they are, and is part of the group", async (world) => {
  const { host, folder, log } = world;
  const file = join(folder, "has space & more.cmd");
  await Deno.writeTextFile(file, `@"${Deno.execPath()}" run -A -q --no-check "${child}" %*\r\n`);
  // Wine's shell knows no %cd:~,%: percent signs are for a real one.
  const args = ["a b", "c&d", "^x", "(y)", "<z>", "ü", "plain", "a=b", "semi;colon", "com,ma"];
  const options = { command: file, cwd: folder, env: host.env.all(), logFile: log };
  const told = await host.processes.spawnDetached({ ...options, args: ["tell", ...args] });
  const { code } = await told.exited;
  const text = await Deno.readTextFile(log);
  assertEquals(code, 7, text);
  assertEquals(JSON.parse(text.split("\n").find((line) => line.startsWith("{")) ?? "").args, args);
  const started = await host.processes.spawnDetached({ ...options, args: ["wait"] });
  const [pid = 0] = await waiting(world, 1);
  assertEquals((await factsOf(world, pid))?.groupId, started.pid);
  const facts = await factsOf(world, started.pid);
  assertEquals(await host.processes.signal(-started.pid, "SIGKILL", facts?.startTime), "sent");
  await until(async () => await factsOf(world, pid) === null);
});

test("run() and spawnPiped() run a batch file, too", async ({ host, folder }) => {
  const file = join(folder, "echo it.cmd");
  await Deno.writeTextFile(file, `@"${Deno.execPath()}" run -A -q --no-check "${child}" %*\r\n`);
  const options = { timeoutMs: 20_000, env: host.env.all() };
  const { stdout, code } = await host.processes.run(file, ["tell", "a b", "c&d"], options);
  assertEquals([code, JSON.parse(stdout).args], [7, ["a b", "c&d"]]);
  await assertRejects(() => host.processes.run(file, ["a\nb"], options), HostError, "line break");
});

test("spawnPiped() puts the child into a job of its own, with what it has started by then", async (world) => {
  const { host, folder, log } = world;
  const piped = await host.processes.spawnPiped({
    command: Deno.execPath(),
    args: childArgs("echo"),
    cwd: folder,
    env: host.env.all(),
    detached: true,
    stderr: { kind: "log", file: log },
  });
  const reader = piped.stdout.getReader();
  assertMatch(new TextDecoder().decode((await reader.read()).value), /ready/);
  const writer = piped.stdin.getWriter();
  await writer.write(new TextEncoder().encode("ünd\n"));
  assertEquals(new TextDecoder().decode((await reader.read()).value).trim(), "ünd");
  const facts = await factsOf(world, piped.pid);
  assertEquals([piped.groupId, facts?.groupId], [piped.pid, piped.pid]);
  assertEquals(await host.processes.signal(-piped.pid, "SIGKILL", facts?.startTime), "sent");
  await piped.exited;
  await reader.cancel();
  await writer.abort().catch(() => {});
});

test("what has pipes to a foster ends with it, with all that it started", async (world) => {
  const { host, folder, log } = world;
  const foster = new Deno.Command(Deno.execPath(), {
    args: childArgs("pipe", log),
    cwd: folder,
    env: host.env.all(),
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const pids: number[] = [];
  const lines = foster.stdout.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; pids.length < 2;) {
    const { done, value } = await lines.read();
    if (done) throw new Error(`it ended after ${text}`);
    text += value;
    pids.splice(0, 2, ...[...text.matchAll(/^waiting (\d+)\s/gm)].map(([, pid]) => Number(pid)));
  }
  for (const pid of pids) assert(await factsOf(world, pid) !== null);
  foster.kill("SIGKILL");
  await foster.status;
  for (const pid of pids) await until(async () => await factsOf(world, pid) === null);
  await lines.cancel();
});

test("what can't be started says why", async ({ host, folder, log }) => {
  const options = { args: [], cwd: folder, env: host.env.all(), logFile: log };
  const start = (more: { command: string; cwd?: string }) =>
    assertRejects(() => host.processes.spawnDetached({ ...options, ...more }), HostError);
  const none = await start({ command: join(folder, "none.exe") });
  assertEquals(none.code, "not_found");
  assertStringIncludes(none.message, "none.exe");
  const cwd = join(folder, "no folder");
  const lost = await start({ command: Deno.execPath(), cwd });
  assertEquals(lost.code, "not_found");
  assertStringIncludes(lost.message, cwd);
  const text = join(folder, "text.exe");
  await Deno.writeTextFile(text, "no program");
  const wrong = await start({ command: text });
  assertStringIncludes(wrong.message, "text.exe");
  assertEquals((await host.processes.list()).every((each) => each.parentPid !== 0 || each.pid > 0), true);
});

test("a port that nobody listens on refuses at once", async ({ host }) => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  assertEquals(await host.net.dial("127.0.0.1", port, 2000), "open");
  assertEquals(await host.processes.listeners(port), {
    kind: "known",
    listeners: [{ pid: Deno.pid, address: "127.0.0.1" }],
    unnamed: 0,
  });
  listener.close();
  const before = performance.now();
  assertEquals(await host.net.dial("127.0.0.1", port, 2000), "refused");
  await assertRejects(() => host.net.fetch(`http://127.0.0.1:${port}/`));
  assert(performance.now() - before < 500);
});

test("what others have open to a port is counted, and nothing of foster's own", async ({ host }) => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  assertEquals(await host.processes.foreignConnections(port), 0);
  const connections = [await Deno.connect({ hostname: "127.0.0.1", port }), await listener.accept()];
  assertEquals(await host.processes.foreignConnections(port), 0);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      `await Deno.connect({ hostname: "127.0.0.1", port: ${port} }); await new Promise((r) => setTimeout(r, 600_000));`,
    ],
    stdout: "null",
    stderr: "null",
  }).spawn();
  connections.push(await listener.accept());
  assertEquals(await host.processes.foreignConnections(port), 1);
  child.kill("SIGKILL");
  await child.status;
  for (const each of [listener, ...connections]) each.close();
});

test("no helper program is run to look, and nothing that ends is waited for in vain", async (world) => {
  const { host } = world;
  const helpers: string[] = [];
  const stop = host.processes.onHelper((command) => void helpers.push(command));
  const { pid } = await start(world, "wait");
  await waiting(world, 1);
  await host.processes.inspect([pid, host.processes.selfPid]);
  await host.processes.list();
  await host.processes.listeners(1);
  await host.net.reservedRanges([pid + 20_000]);
  const facts = await factsOf(world, pid);
  await host.processes.signal(-pid, "SIGKILL", facts?.startTime);
  stop();
  assertEquals(helpers, []);
});

test("what asks on a console ends by itself, whatever it waits for", async () => {
  const source = `
    import { denoFfi } from ${JSON.stringify(new URL("../../src/host/engine/deno/ffi.ts", import.meta.url))};
    import { Native } from ${
    JSON.stringify(new URL("../../src/host/system/windows/native.ts", import.meta.url))
  };
    const native = new Native(denoFfi());
    native.endSelfAfter(200, 4);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  `;
  const script = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(script, source);
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "-q", "--no-check", script],
    stderr: "inherit",
  }).output();
  assertEquals(code, 4);
  await Deno.remove(script);
});
