import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import type { DetachedChild, Host, PipedChild, ProcessFacts } from "../../src/host/host.ts";
import { freePort } from "../fixtures/free_port.ts";
import type { ContractCase, Place } from "./contract.ts";
import { assertCode } from "./contract_files.ts";

/** Prints its port once it listens. With a third argument it then stops itself. */
const listenerSource = `
const [hostname, stopped] = Deno.args;
const listener = Deno.listen({ hostname, port: 0 });
console.log("port " + listener.addr.port);
if (stopped === "stopped") Deno.kill(Deno.pid, "SIGSTOP");
for await (const connection of listener) connection.close();
`;

export const processCases: readonly ContractCase[] = [
  {
    name: "inspect() sees foster itself, and always as the same one",
    async run({ processes }) {
      const first = await factsOf({ processes }, processes.selfPid);
      const second = await factsOf({ processes }, processes.selfPid);
      assertEquals(first.pid, processes.selfPid);
      assertEquals(first.startTime, second.startTime);
      assertMatch(first.startTime, /^(proc:[0-9a-f-]{36}:\d+|ps:.+|cim:.+)$/);
      assertEquals(first.zombie, false);
      // What Wine starts first has no parent.
      if (first.parentPid !== 0) {
        assertEquals((await factsOf({ processes }, first.parentPid)).pid, first.parentPid);
      }
    },
  },
  {
    name: "inspect() answers for every pid that was asked, and says gone of one that does not exist",
    async run({ processes }) {
      const seen = await processes.inspect([processes.selfPid, 99_999_999]);
      assertEquals([...seen.keys()].sort(), [processes.selfPid, 99_999_999].sort());
      assertEquals(seen.get(99_999_999), { kind: "gone" });
      assertEquals(await processes.inspect([]), new Map());
    },
  },
  {
    name: "argv(), paths() and usage() know nothing of a process that does not exist",
    async run({ processes }) {
      assertEquals(await processes.argv(99_999_999), null);
      assertEquals(await processes.paths(99_999_999), { executable: null, cwd: null });
      assertEquals(await processes.usage([99_999_999]), new Map());
    },
  },
  {
    name: "list() has foster and its parent",
    async run(host) {
      const own = await factsOf(host, host.processes.selfPid);
      const all = await host.processes.list();
      assertEquals(all.find((each) => each.pid === own.pid), own);
      assert(own.parentPid === 0 || all.some((each) => each.pid === own.parentPid));
    },
  },
  {
    name: "signal() says gone of a process and of a group that do not exist",
    async run({ processes }) {
      assertEquals(await processes.signal(99_999_999, "SIGTERM"), "gone");
      assertEquals(await processes.signal(-99_999_999, "SIGKILL"), "gone");
    },
  },
  {
    name: "listeners() is an empty list when nobody listens",
    async run({ processes, net }) {
      const port = await freePort(net);
      assertEquals(await processes.listeners(port), { kind: "known", listeners: [], unnamed: 0 });
    },
  },
  {
    name: "spawnDetached() throws not_found when the program does not exist",
    async run({ processes }, { folder }) {
      const error = await assertCode(
        processes.spawnDetached({
          command: join(folder, "none"),
          args: [],
          cwd: folder,
          env: {},
          logFile: join(folder, "log"),
        }),
      );
      // A runtime with permissions refuses a program before it looks for it.
      assert(error.code === "not_found" || error.code === "no_permission", error.message);
      assertStringIncludes(error.message, join(folder, "none"));
    },
  },
  {
    name: "spawnDetached() throws not_found and names the folder when the working folder does not exist",
    real: true,
    only: "posix",
    async run({ processes }, { folder, shell }) {
      const cwd = join(folder, "none");
      const error = await assertCode(
        processes.spawnDetached({
          command: shell,
          args: ["-c", ":"],
          cwd,
          env: {},
          logFile: join(folder, "log"),
        }),
        "not_found",
      );
      assertStringIncludes(error.message, cwd);
    },
  },
  {
    name: "spawnDetached() without a log drops what the child prints",
    real: true,
    only: "posix",
    async run({ processes }, { folder, shell }) {
      const { exited } = await processes.spawnDetached({
        command: shell,
        args: ["-c", "echo gone; echo gone >&2; exit 7"],
        cwd: folder,
        env: {},
        logFile: null,
      });
      assertEquals(await exited, { code: 7, signal: null });
    },
  },
  {
    name: "spawnDetached() throws not_found when the folder of the log does not exist",
    real: true,
    only: "posix",
    async run({ processes }, { folder, shell }) {
      const logFile = join(folder, "none", "log");
      await assertCode(
        processes.spawnDetached({ command: shell, args: ["-c", ":"], cwd: folder, env: {}, logFile }),
        "not_found",
      );
    },
  },
  {
    name: "spawnDetached() gives the child its folder, exactly its environment and a log to append to",
    real: true,
    only: "posix",
    async run(host, place) {
      const logFile = join(place.folder, "log");
      const child = await shellChild(host, place, {
        script: 'pwd; echo err >&2; echo "$NAME=$FOREIGN"; readlink /proc/$$/fd/0; exit 7',
        env: { PATH: host.env.get("PATH") ?? "", NAME: "välue with space" },
      });
      assertEquals(await child.exited, { code: 7, signal: null });
      const again = await shellChild(host, place, { script: "echo again" });
      assertEquals(await again.exited, { code: 0, signal: null });
      const lines = (await host.files.readText(logFile) ?? "").split("\n");
      assertEquals(lines[0], await host.files.realPath(place.folder));
      assertEquals(lines.slice(1, 3), ["err", "välue with space="]);
      assertEquals(lines.slice(-2), ["again", ""]);
      if (host.system === "linux") assertEquals(lines[3], "/dev/null");
      assertEquals((await host.files.stat(logFile))?.mode, 0o600);
    },
  },
  {
    name: "mayHaveMembers() is true of a group for as long as somebody is in it",
    real: true,
    only: "posix",
    async run(host, { folder, shell }) {
      const { processes } = host;
      const child = await processes.spawnDetached({
        command: shell,
        args: ["-c", "exec sleep 30"],
        cwd: folder,
        env: { PATH: host.env.get("PATH") ?? "" },
        logFile: null,
      });
      const { startTime } = await factsOf(host, child.pid);
      assertEquals(processes.mayHaveMembers(child.pid), true);
      await processes.signal(child.pid, "SIGKILL", startTime);
      await child.exited;
      // Without the permission to ask nobody can tell.
      assertEquals(typeof processes.mayHaveMembers(child.pid), "boolean");
    },
  },
  {
    name: "spawnDetached() starts a group of its own, with the child's pid for its number",
    real: true,
    only: "posix",
    run: (host, place) =>
      withShellChild(host, place, { script: "exec sleep 60" }, async (child) => {
        const facts = await factsOf(host, child.pid);
        assertEquals([facts.groupId, facts.parentPid, facts.zombie], [
          child.pid,
          host.processes.selfPid,
          false,
        ]);
        assertEquals((await factsOf(host, child.pid)).startTime, facts.startTime);
        assert((await host.processes.list()).some((each) => each.startTime === facts.startTime));
        assert(facts.groupId !== (await factsOf(host, host.processes.selfPid)).groupId);
      }),
  },
  {
    name: "argv(), paths() and usage() tell what a child runs",
    real: true,
    only: "posix",
    run: (host, place) =>
      withShellChild(
        host,
        place,
        { script: "echo ready; sleep 60; :", args: ["", "zwei ü", "a b"] },
        async (child) => {
          await logLine(host, place, /^ready$/m);
          const script = "echo ready; sleep 60; :";
          const read = await host.processes.argv(child.pid);
          assertEquals(read?.slice(1), ["-c", script, "", "zwei ü", "a b"]);
          const paths = await host.processes.paths(child.pid);
          assertEquals(paths.cwd, await host.files.realPath(place.folder));
          assertEquals(paths.executable, await host.files.realPath(place.shell));
          const usage = (await host.processes.usage([child.pid])).get(child.pid);
          assert((usage?.residentBytes ?? 0) > 10_000);
          assert((usage?.cpuMs ?? -1) >= 0);
        },
      ),
  },
  {
    name: "carrying() finds exactly the processes with the entry",
    real: true,
    only: "linux",
    async run(host, place) {
      const token = host.random.hex(8);
      const env = { ...host.env.all(), CONTRACT_TOKEN: token };
      await withShellChild(host, place, { script: "exec sleep 60", env }, async (child) => {
        const { processes, clock } = host;
        // In the moment in which it becomes another program the system shows no environment of it.
        for (let tries = 0; (await processes.argv(child.pid))?.[0] !== "sleep" && tries < 500; tries++) {
          await clock.sleep(10);
        }
        assertEquals(await processes.carrying(`CONTRACT_TOKEN=${token}`), [child.pid]);
        assertEquals(await processes.carrying(`CONTRACT_TOKEN=${token}`, [processes.selfPid]), []);
        assertEquals(await processes.carrying(`CONTRACT_TOKEN=${token}`, [processes.selfPid, child.pid]), [
          child.pid,
        ]);
        assertEquals(await processes.carrying(`CONTRACT_TOKEN=${token.slice(1)}`), []);
        assertEquals(await processes.carrying(`CONTRACT_TOKEN=${token.slice(0, -1)}`), []);
        assertEquals(await processes.carryingPrefix(`CONTRACT_TOKEN=${token.slice(0, -1)}`), [
          { pid: child.pid, entry: `CONTRACT_TOKEN=${token}` },
        ]);
      });
    },
  },
  {
    name: "a child that was killed is gone, and its status says by which signal",
    real: true,
    only: "posix",
    async run(host, place) {
      const child = await shellChild(host, place, { script: "exec sleep 60" });
      assertEquals(await host.processes.signal(child.pid, "SIGKILL"), "sent");
      assertEquals(await child.exited, { code: null, signal: "SIGKILL" });
      assertEquals((await host.processes.inspect([child.pid])).get(child.pid), { kind: "gone" });
      assertEquals(await host.processes.signal(child.pid, "SIGKILL"), "gone");
    },
  },
  {
    name: "signal() to a negative number reaches the whole group",
    real: true,
    only: "posix",
    async run(host, place) {
      const child = await shellChild(host, place, { script: "sleep 60 & echo grandchild $!; wait" });
      const grandchild = Number((await logLine(host, place, /^grandchild (\d+)$/m))[1]);
      assertEquals((await factsOf(host, grandchild)).groupId, child.pid);
      assertEquals(await host.processes.signal(-child.pid, "SIGTERM"), "sent");
      assertEquals(await child.exited, { code: null, signal: "SIGTERM" });
      await until(host, async () => {
        const seen = (await host.processes.inspect([grandchild])).get(grandchild);
        return seen?.kind === "gone" || (seen?.kind === "seen" && seen.facts.zombie);
      });
    },
  },
  {
    name: "where an exit can be watched, no signal reaches a process that is not the one that was meant",
    real: true,
    only: "posix",
    async run(host, place) {
      const { processes } = host;
      const child = await shellChild(host, place, { script: "exec sleep 60" });
      await ending(host, child, async () => {
        const { startTime } = await factsOf(host, child.pid);
        const watch = await processes.watchExit(child.pid, startTime);
        if (watch === null) return;
        assertEquals(watch.ended(), false);
        assertEquals(await processes.watchExit(child.pid, "proc:x:1"), null);
        assertEquals(await processes.signal(child.pid, "SIGKILL", "proc:x:1"), "gone");
        assertEquals(await processes.signal(-child.pid, "SIGKILL", "proc:x:1"), "gone");
        assertEquals(watch.ended(), false);
        assertEquals(await processes.signal(-child.pid, "SIGTERM", startTime), "sent");
        assertEquals(await child.exited, { code: null, signal: "SIGTERM" });
        assertEquals(watch.ended(), true);
        watch.close();
      });
    },
  },
  {
    name: "inspect() sees a zombie for what it is",
    real: true,
    only: "posix",
    run: (host, place) =>
      // The shell's child ends when its parent has become a program that never reaps it.
      withShellChild(host, place, { script: "sleep 0.1 & echo zombie $!; exec sleep 60" }, async (child) => {
        const pid = Number((await logLine(host, place, /^zombie (\d+)$/m))[1]);
        const facts = await until(host, async () => {
          const found = await factsOf(host, pid);
          return found.zombie && found;
        });
        assertEquals([facts.parentPid, facts.groupId], [child.pid, child.pid]);
      }),
  },
  {
    name: "listeners() names a child that listens on the loopback",
    real: true,
    run: (host, place) =>
      listeningChild(host, place, {
        hostname: "127.0.0.1",
        use: async ({ pid, port }) => {
          const seen = await host.processes.listeners(port);
          assertEquals(seen, { kind: "known", listeners: [{ pid, address: "127.0.0.1" }], unnamed: 0 });
          for (const likely of [pid, host.processes.selfPid]) {
            assertEquals(await host.processes.listeners(port, likely), seen);
          }
          assertEquals(await host.net.dial("127.0.0.1", port, 2000), "open");
        },
      }),
  },
  {
    name: "listeners() names a child that listens on the IPv6 wildcard",
    real: true,
    run: (host, place) =>
      listeningChild(host, place, {
        hostname: "::",
        use: async ({ pid, port }) => {
          const seen = await host.processes.listeners(port);
          assert(seen.kind === "known");
          assertEquals(seen.listeners.map((each) => each.pid), [pid]);
          assertMatch(seen.listeners[0]?.address ?? "", /^(::|\[::\]|\*)$/);
          assertEquals(await host.net.dial("::1", port, 2000), "open");
        },
      }),
  },
  {
    name: "spawnPiped() gives both pipes, and its stderr goes to the log",
    real: true,
    only: "posix",
    async run(host, place) {
      const file = join(place.folder, "log");
      const child = await pipedShell(host, place, {
        script: "echo talk >&2; exec cat",
        stderr: { kind: "log", file },
      });
      const big = "0123456789abcde\n".repeat(40_000);
      const reading = new Response(child.stdout).text();
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode("first ü\n"));
      await writer.write(new TextEncoder().encode(big));
      await writer.close();
      assertEquals(await child.exited, { code: 0, signal: null });
      const text = await reading;
      assertEquals(text.length, "first ü\n".length + big.length);
      assert(text === `first ü\n${big}`);
      assertEquals(await host.files.readText(file), "talk\n");
    },
  },
  {
    name: "spawnPiped() shows each line when it comes, and a write rejects when the child is gone",
    real: true,
    only: "posix",
    async run(host, place) {
      const child = await pipedShell(host, place, { script: 'read a; echo "got $a"; read b; exit 3' });
      const [reader, writer] = [child.stdout.getReader(), child.stdin.getWriter()];
      await writer.write(new TextEncoder().encode("one\n"));
      assertEquals(new TextDecoder().decode((await reader.read()).value), "got one\n");
      await writer.write(new TextEncoder().encode("two\n"));
      assertEquals(await child.exited, { code: 3, signal: null });
      assertEquals((await reader.read()).done, true);
      // The first one, and a small one: what a child that is gone was sent may be sent to the next.
      await assertRejects(() => writer.write(new TextEncoder().encode("three\n")));
      await writer.closed.catch(() => {});
    },
  },
  {
    name: "spawnPiped() puts the child in a group of its own only when it is detached",
    real: true,
    only: "posix",
    async run(host, place) {
      const own = await factsOf(host, host.processes.selfPid);
      for (const detached of [true, false]) {
        const child = await pipedShell(host, place, { script: "read line", detached });
        assertEquals((await factsOf(host, child.pid)).groupId, detached ? child.pid : own.groupId);
        await child.stdin.close();
        await child.stdout.cancel();
        await child.exited;
      }
    },
  },
  {
    name: "spawnInherited() tells how the child ended",
    real: true,
    only: "posix",
    async run({ processes, env }, { folder, shell }) {
      const child = await processes.spawnInherited({
        command: shell,
        args: ["-c", "exit 4"],
        cwd: folder,
        env: env.all(),
      });
      assertEquals(await child.exited, { code: 4, signal: null });
    },
  },
  {
    name: "run() gives both outputs, the exit code and what was fed in",
    real: true,
    only: "posix",
    async run({ processes }) {
      const result = await processes.run("sh", ["-c", "cat; echo err >&2; exit 5"], {
        timeoutMs: 20_000,
        input: "in ü\n",
      });
      assertEquals(result, { code: 5, signal: null, stdout: "in ü\n", stderr: "err\n" });
      const ignoring = await processes.run("sh", ["-c", "exit 0"], {
        timeoutMs: 20_000,
        input: "x".repeat(200_000),
      });
      assertEquals(ignoring.code, 0);
    },
  },
  {
    name: "run() hands the helper an environment of PATH, LC_ALL and TZ, and what is added",
    real: true,
    only: "posix",
    async run({ processes, env }, { folder, shell }) {
      const { stdout } = await processes.run("sh", ["-c", "export -p; pwd -P"], {
        timeoutMs: 20_000,
        env: { ADDED: "yes" },
        cwd: folder,
      });
      const names = [...stdout.matchAll(/^(?:export|declare -x) ([A-Za-z_]+)/gm)].map((match) => match[1]);
      const own = ["OLDPWD", "PWD", "SHLVL", "_"];
      assertEquals(names.filter((name) => !own.includes(name ?? "")).sort(), [
        "ADDED",
        "LC_ALL",
        "PATH",
        "TZ",
      ]);
      assertMatch(stdout, /LC_ALL=["']?C\b/);
      assertMatch(stdout, /TZ=["']?UTC\b/);
      assertStringIncludes(stdout, env.get("PATH") ?? "no PATH");
      assert(shell !== "");
    },
  },
  {
    name: "run() throws timeout when the helper does not end, and kills it",
    real: true,
    only: "posix",
    async run(host, { folder }) {
      const file = join(folder, "pid");
      const script = `echo $$ > "${file}"; exec sleep 60`;
      await assertTimeout(host.processes.run("sh", ["-c", script], { timeoutMs: 300 }));
      const pid = Number(await host.files.readText(file));
      await until(host, async () => (await host.processes.inspect([pid])).get(pid)?.kind === "gone");
    },
  },
  {
    name: "run() comes back at the timeout even if a grandchild holds the pipes open",
    real: true,
    only: "posix",
    async run(host, { folder }) {
      const file = join(folder, "pid");
      const script = `sleep 60 & echo $! > "${file}"; wait`;
      await assertTimeout(host.processes.run("sh", ["-c", script], { timeoutMs: 300 }));
      await host.processes.signal(Number(await host.files.readText(file)), "SIGKILL");
    },
  },
  {
    name: "run() throws not_found or no_permission when the program does not exist",
    async run({ processes }, { folder }) {
      const error = await assertCode(processes.run(join(folder, "none"), [], { timeoutMs: 5000 }));
      assert(error.code === "not_found" || error.code === "no_permission", error.message);
    },
  },
  {
    name: "mayRun() is null of a program that may be run",
    async run({ processes }, { deno }) {
      assertEquals(await processes.mayRun(deno), null);
    },
  },
];

interface Listening {
  hostname: string;
  /** Stops itself, so that it takes no connection. */
  stopped?: true;
  use(child: { pid: number; port: number }): Promise<void>;
}

/** Starts a child that listens on a free port, and ends it again. */
export async function listeningChild(host: Host, place: Place, options: Listening): Promise<void> {
  const script = join(place.folder, "listener.js");
  const logFile = join(place.folder, "log");
  await host.files.writeAtomic(script, listenerSource, 0o600);
  const child = await host.processes.spawnDetached({
    command: place.deno,
    args: [
      "run",
      "-A",
      "--no-config",
      "--no-lock",
      script,
      options.hostname,
      options.stopped ? "stopped" : "running",
    ],
    cwd: place.folder,
    env: { ...host.env.all(), NO_COLOR: "1" },
    logFile,
  });
  await ending(host, child, async () => {
    const [, port] = await logLine(host, place, /^port (\d+)$/m);
    await options.use({ pid: child.pid, port: Number(port) });
  });
}

interface ShellOptions {
  script: string;
  args?: readonly string[];
  env?: Record<string, string>;
}

function shellChild(host: Host, place: Place, options: ShellOptions): Promise<DetachedChild> {
  return host.processes.spawnDetached({
    command: place.shell,
    args: ["-c", options.script, ...options.args ?? []],
    cwd: place.folder,
    env: options.env ?? host.env.all(),
    logFile: join(place.folder, "log"),
  });
}

async function withShellChild(
  host: Host,
  place: Place,
  options: ShellOptions,
  use: (child: DetachedChild) => Promise<void>,
): Promise<void> {
  const child = await shellChild(host, place, options);
  await ending(host, child, () => use(child));
}

function pipedShell(
  { processes, env }: Host,
  { folder, shell }: Place,
  options: { script: string; detached?: boolean; stderr?: { kind: "log"; file: string } },
): Promise<PipedChild> {
  return processes.spawnPiped({
    command: shell,
    args: ["-c", options.script],
    cwd: folder,
    env: env.all(),
    detached: options.detached ?? false,
    stderr: options.stderr ?? { kind: "inherit" },
  });
}

/** Ends the child with its group, whatever happened. */
async function ending(host: Host, child: DetachedChild, use: () => Promise<void>): Promise<void> {
  try {
    await use();
  } finally {
    await host.processes.signal(host.system === "windows" ? child.pid : -child.pid, "SIGKILL");
    await child.exited;
  }
}

async function factsOf({ processes }: Pick<Host, "processes">, pid: number): Promise<ProcessFacts> {
  const seen = (await processes.inspect([pid])).get(pid);
  assert(seen?.kind === "seen", `process ${pid} is ${JSON.stringify(seen)}`);
  return seen.facts;
}

/** What the child's log says, once it does. */
function logLine({ files, clock }: Host, { folder }: Place, wanted: RegExp): Promise<RegExpExecArray> {
  return until({ clock }, async () => wanted.exec(await files.readText(join(folder, "log")) ?? ""));
}

/** Asks until the answer is something. */
async function until<T>(
  { clock }: Pick<Host, "clock">,
  ask: () => Promise<T>,
): Promise<NonNullable<Exclude<T, false>>> {
  const end = clock.monotonic() + 20_000;
  while (clock.monotonic() < end) {
    const answer = await ask();
    if (answer) return answer as NonNullable<Exclude<T, false>>;
    await clock.sleep(10);
  }
  throw new Error(`No answer to ${ask}`);
}

async function assertTimeout(work: Promise<unknown>): Promise<void> {
  const error: unknown = await work.then(() => null, (thrown: unknown) => thrown);
  assert(error instanceof Error && "code" in error);
  assertEquals(error.code, "timeout");
}
