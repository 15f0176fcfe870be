import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import {
  permissionFlags,
  runnablePrograms,
  scopedFlags,
  withoutLoaderVariables,
} from "../../src/host/engine/deno/permissions.ts";
import { nextPiece } from "../../src/host/engine/deno/stdio.ts";
import { type Host, HostError } from "../../src/host/host.ts";
import { freePort } from "../fixtures/free_port.ts";
import { missing, unless } from "../skip.ts";

const here = fromFileUrl(import.meta.url);
const posix = Deno.build.os !== "windows";
const onLinux = Deno.build.os === "linux";
const everything = ["-A"];

// ------------------------------------------------------------------------------- this file as its own test program

/** What the tests below start under other permissions, outputs and surroundings. */
const programs: Record<string, (host: Host, args: readonly string[]) => Promise<void>> = {
  async look(host, [pid = "", port = "", entry = ""]) {
    host.terminal.out(JSON.stringify(await lookAt(host, { pid: Number(pid), port: Number(port), entry })));
  },
  async end(host, [pid = ""]) {
    host.terminal.out(await host.processes.signal(Number(pid), "SIGTERM"));
  },
  async spawn(host, [command = "", log = ""]) {
    const env = { LD_LIBRARY_PATH: "/x", DYLD_INSERT_LIBRARIES: "y", KEPT: "1" };
    try {
      const child = await host.processes.spawnDetached({ command, args: [], cwd: "/", env, logFile: log });
      host.terminal.out(JSON.stringify(await child.exited));
    } catch (error) {
      assert(error instanceof HostError);
      host.terminal.out(`${error.code}: ${error.message}`);
    }
  },
  async self(host) {
    const { fullAccess, selfCommand } = host.engine;
    host.terminal.out(JSON.stringify({ fullAccess, selfCommand }));
    await Promise.resolve();
  },
  async out(host, [how, end]) {
    const text = longText();
    const parts = text.match(/[^]{1,50000}/g) ?? [];
    const writer = how === "stream" ? host.terminal.stdout.getWriter() : null;
    for (const part of parts) {
      if (writer !== null) await writer.write(new TextEncoder().encode(part));
      else if (how === "err") host.terminal.err(part);
      else host.terminal.out(part);
    }
    if (end !== undefined) host.terminal.err(end);
  },
  async interrupt(host) {
    const stop = host.terminal.onInterrupt(["SIGTERM", "SIGINT", "SIGHUP"], (signal) => {
      // Before it says so: the test's next signal must meet nobody.
      if (signal === "SIGINT") stop();
      host.terminal.out(`${signal}\n`);
    });
    host.terminal.out("ready\n");
    for await (const _ of host.terminal.stdin);
  },
  async leave(host, [log = ""]) {
    host.clock.every(10, () => {});
    host.clock.deadline(60_000);
    host.terminal.onInterrupt(["SIGTERM"], () => {});
    const { pid } = await host.processes.spawnDetached({
      command: Deno.realPathSync("/bin/sh"),
      args: ["-c", "exec sleep 60"],
      cwd: "/",
      env: host.env.all(),
      logFile: log,
    });
    host.terminal.out(String(pid));
  },
};

const program = programs[Deno.args[0] ?? ""];
if (program !== undefined) await program(await createDenoHost(), Deno.args.slice(1));

async function lookAt(host: Host, at: { pid: number; port: number; entry: string }) {
  const { processes } = host;
  return {
    seen: [...await processes.inspect([at.pid, 1, 2 ** 22 + 1])],
    listed: (await processes.list()).find((each) => each.pid === at.pid),
    argv: await processes.argv(at.pid),
    paths: await processes.paths(at.pid),
    resident: (await processes.usage([at.pid])).get(at.pid)?.residentBytes,
    listeners: await processes.listeners(at.port),
    carrying: await processes.carrying(at.entry),
    among: await processes.carrying(at.entry, [at.pid, 1]),
    prefix: await processes.carryingPrefix(at.entry.slice(0, -2)),
  };
}

/** Lines of every length from none to longer than any buffer, without a newline at the end. */
function longText(): string {
  let text = "";
  for (let at = 0; text.length < 500_000; at += 1) {
    text += `${at} ${"é".repeat((at * at * 37) % 1500)}\n${at % 3 === 0 ? "\n\n" : ""}`;
  }
  return `${text}the end`;
}

function denoArgs(flags: readonly string[], args: readonly string[]): string[] {
  return ["run", "-q", "--no-prompt", ...flags, here, ...args];
}

async function outputOf(flags: readonly string[], args: readonly string[], env?: Record<string, string>) {
  const child = new Deno.Command("deno", {
    args: denoArgs(flags, args),
    env,
    stdin: "null",
    stderr: "inherit",
  });
  return new TextDecoder().decode((await child.output()).stdout);
}

function endIfAlive(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "foster-deno-" });
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

// ----------------------------------------------------------------------------------------------------- permissions

Deno.test({
  name: "the scoped host sees a process exactly as the one with all permissions does, and can end it",
  ignore: !onLinux,
  async fn() {
    const entry = `FOSTER_TEST_${crypto.randomUUID().replaceAll("-", "")}=a:b`;
    const [name = "", value = ""] = entry.split("=");
    const port = await freePort((await createDenoHost()).net, "::1");
    const source = `Deno.listen({ hostname: "::1", port: ${port} });
      console.log("ready"); await new Promise((resolve) => setTimeout(resolve, 60_000));`;
    const child = new Deno.Command("deno", {
      args: ["eval", source],
      env: { [name]: value },
      stdout: "piped",
    }).spawn();
    const out = child.stdout.getReader();
    try {
      await out.read();
      const at = { pid: child.pid, port, entry };
      const { resident, ...direct } = await lookAt(await createDenoHost(), at);
      const args = ["look", String(child.pid), String(port), entry];
      const { resident: scopedResident, ...scoped } = JSON.parse(await outputOf(scopedFlags, args));
      assertEquals(scoped, direct);
      assert(Math.abs(scopedResident - (resident ?? 0)) < 50_000_000);
      assertEquals(direct.listeners, {
        kind: "known",
        listeners: [{ pid: child.pid, address: "::1" }],
        unnamed: 0,
      });
      assertEquals([direct.carrying, direct.among], [[child.pid], [child.pid]]);
      assertEquals(await outputOf(scopedFlags, ["end", String(child.pid)]), "sent");
      assertEquals((await child.status).signal, "SIGTERM");
      assertEquals(await outputOf(scopedFlags, ["end", String(child.pid)]), "gone");
    } finally {
      await out.cancel();
      endIfAlive(child);
      await child.status;
    }
  },
});

Deno.test({
  name: "spawnDetached() keeps the loader's variables from children only where Deno would refuse them",
  ignore: !onLinux,
  async fn() {
    const { processes } = await createDenoHost();
    const { stdout } = await processes.run("sh", ["-c", "command -v ls"], { timeoutMs: 5000 });
    const command = stdout.trim();
    await withFolder(async (folder) => {
      for (const flags of [scopedFlags, everything]) {
        assertEquals(
          await outputOf(flags, ["spawn", command, join(folder, "log")]),
          `{"code":0,"signal":null}`,
        );
      }
    });
  },
});

Deno.test({
  name: "spawnDetached() and mayRun() name the flag that is missing",
  ignore: !posix,
  async fn() {
    await withFolder(async (folder) => {
      const command = join(folder, "server");
      const said = await outputOf(scopedFlags, ["spawn", command, join(folder, "log")]);
      assertEquals(
        said,
        `no_permission: Cannot start ${command}: ` +
          `Deno does not let foster run ${command}: add it to --allow-run (--allow-run=…,${command})`,
      );
    });
    assertEquals(await (await createDenoHost()).processes.mayRun("/any/program"), null);
  },
});

const ownFolder = fromFileUrl(new URL("../../", import.meta.url));
const extended = scopedFlags.map((flag) => flag.startsWith("--allow-run=") ? `${flag},/opt/my server` : flag);

for (
  const { what, flags, args, access, repeated } of [
    { what: "all permissions", flags: ["--allow-all"], args: [], access: true, repeated: everything },
    {
      what: "the usual permissions",
      flags: scopedFlags,
      args: ["-A", "--allow-ffi"],
      access: false,
      repeated: scopedFlags,
    },
    { what: "a program of the user's", flags: extended, args: ["x y"], access: false, repeated: extended },
  ]
) {
  Deno.test({
    name: `selfCommand repeats what this foster was given: ${what}`,
    ignore: !posix,
    async fn() {
      const { fullAccess, selfCommand } = JSON.parse(await outputOf(flags, ["self", ...args]));
      assertEquals(fullAccess, access);
      const [deno, ...rest] = selfCommand;
      assertEquals(await Deno.realPath(deno), await Deno.realPath(Deno.execPath()));
      const config = join(ownFolder, "deno.json");
      assertEquals(rest, [
        "run",
        "-q",
        "--no-prompt",
        "--config",
        config,
        ...repeated,
        join(ownFolder, "main.ts"),
      ]);
      // The same again for what it starts: with the other program in the place of main.ts.
      const again = new Deno.Command(deno, { args: [...rest.slice(0, -1), here, "self"], stderr: "inherit" });
      assertEquals(JSON.parse(new TextDecoder().decode((await again.output()).stdout)), {
        fullAccess,
        selfCommand,
      });
    },
  });
}

Deno.test("permissionFlags() takes the permissions and leaves everything else", () => {
  const flags = [
    "-A",
    "-R",
    "-W=/a",
    "-N=127.0.0.1",
    "-E",
    "-S",
    "-P=ci",
    "--allow-run=a,b",
    "--deny-ffi",
    "--allow-all",
  ];
  const others = [
    "/usr/bin/deno",
    "run",
    "-q",
    "--no-prompt",
    "--config",
    "/a/deno.json",
    "--no-check",
    "-r",
    "main.ts",
  ];
  assertEquals(permissionFlags([...others, ...flags]), flags);
  assertEquals(permissionFlags(others), []);
});

Deno.test("scopedFlags allow only loopback and only named programs", () => {
  assert(scopedFlags.includes("--allow-net=127.0.0.1,localhost,[::1]"));
  assert(scopedFlags.includes(`--allow-run=${runnablePrograms.join(",")}`));
  assert(
    !scopedFlags.some((flag) =>
      ["-A", "--allow-all", "--allow-run", "--allow-net", "--allow-ffi"].includes(flag)
    ),
  );
});

Deno.test("withoutLoaderVariables() drops LD_ and DYLD_ and nothing else", () => {
  const env = {
    LD_PRELOAD: "a",
    LD_LIBRARY_PATH: "b",
    DYLD_FRAMEWORK_PATH: "c",
    PATH: "d",
    OLD_LD_X: "e",
    LDFLAGS: "f",
  };
  assertEquals(withoutLoaderVariables(env), { PATH: "d", OLD_LD_X: "e", LDFLAGS: "f" });
});

// ---------------------------------------------------------------------------------------------------------- errors

Deno.test({
  name: "errors of the system keep their meaning",
  ignore: !onLinux,
  async fn() {
    const { files, net } = await createDenoHost();
    const codeOf = async (action: () => Promise<unknown>) => (await assertRejects(action, HostError)).code;
    assertEquals(await codeOf(() => files.append("/dev/full", "x", 0o600)), "no_space");
    assertEquals(await codeOf(() => files.readText("/")), "failed");
    assertEquals(await codeOf(() => files.writeNew("/dev/null", "x", 0o600)), "exists");
    assertEquals(await files.readText("/dev/null/below"), null);
    const server = await net.serve({ hostname: "127.0.0.1", port: 0, handle: () => new Response() });
    try {
      const again = { hostname: "127.0.0.1", port: server.port, handle: () => new Response() };
      assertEquals(await codeOf(() => net.serve(again)), "busy");
    } finally {
      await server.close();
    }
    assertEquals(
      await codeOf(() => net.serve({ hostname: "0.0.0.0", port: 0, handle: () => new Response() })),
      "unsupported",
    );
  },
});

// -------------------------------------------------------------------------------------------------------- terminal

/** Starts argv[2:] with a non-blocking file as its output, reads only once that is full, and prints what came. */
const slowReader = `
import os, pty, select, socket, subprocess, sys, time, tty
if sys.argv[1] == "pipe": read, write = os.pipe()
elif sys.argv[1] == "socket": read, write = (end.detach() for end in socket.socketpair())
else: read, write = pty.openpty(); tty.setraw(write)
os.set_blocking(write, False)
child = subprocess.Popen(sys.argv[3:], stdin=subprocess.DEVNULL, **{sys.argv[2]: write})
while child.poll() is None and select.select([], [write], [], 0)[1]: time.sleep(0.005)
os.close(write)
while True:
    try: some = os.read(read, 3001)
    except OSError: break
    if not some: break
    os.write(1, some)
sys.exit(child.wait())
`;

const python = posix &&
  (await new Deno.Command("sh", { args: ["-c", "command -v python3"] }).output()).success;

for (const kind of ["pipe", "socket", "terminal"]) {
  for (const how of ["out", "stream", "err"]) {
    Deno.test({
      name: `terminal writes all of a long text once (${how}) to a non-blocking ${kind} that is full`,
      ignore: !python,
      async fn() {
        const file = how === "err" ? "stderr" : "stdout";
        const command = ["deno", ...denoArgs(everything, ["out", how])];
        const { code, stdout } = await new Deno.Command("python3", {
          args: ["-c", slowReader, kind, file, ...command],
          stderr: "inherit",
        }).output();
        assertEquals(code, 0);
        assert(new TextDecoder().decode(stdout) === longText(), "the output differs from what was written");
      },
    });
  }
}

Deno.test({
  name: "terminal takes a closed pipe for no error",
  ignore: !posix,
  async fn() {
    const child = new Deno.Command("deno", {
      args: denoArgs(everything, ["out", "out", "still here"]),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    await child.stdout.cancel();
    assertEquals(await new Response(child.stderr).text(), "still here");
    assertEquals((await child.status).code, 0);
  },
});

for (
  const { what, text, terminal, length, buffered } of [
    {
      what: "whole lines that a pipe takes at once",
      text: "a\nb\nc",
      terminal: false,
      length: 4,
      buffered: false,
    },
    {
      what: "no more lines than a pipe takes at once",
      text: `${"x".repeat(300)}\n`.repeat(3),
      terminal: false,
      length: 301,
      buffered: false,
    },
    {
      what: "the beginning of a line",
      text: `${"x".repeat(600)}\n`,
      terminal: false,
      length: 600,
      buffered: true,
    },
    {
      what: "all of a long line",
      text: `${"x".repeat(5000)}\n`,
      terminal: false,
      length: 5000,
      buffered: false,
    },
    { what: "a text without newline", text: "abc", terminal: false, length: 3, buffered: true },
    { what: "a newline", text: "\n\n", terminal: false, length: 2, buffered: false },
    {
      what: "a line without its end, on a terminal",
      text: "a\nb\n",
      terminal: true,
      length: 1,
      buffered: true,
    },
    { what: "one newline, on a terminal", text: "\n\n", terminal: true, length: 1, buffered: false },
  ]
) {
  Deno.test(`nextPiece() cuts ${what}`, () => {
    const piece = nextPiece(new TextEncoder().encode(text), terminal);
    assertEquals([piece.bytes.length, piece.buffered], [length, buffered]);
  });
}

Deno.test({
  name: "onInterrupt() hears each signal until it is ended",
  ignore: !posix,
  async fn() {
    const child = new Deno.Command("deno", {
      args: denoArgs(everything, ["interrupt"]),
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const out = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const line = async () => (await out.read()).value;
    assertEquals(await line(), "ready\n");
    for (const signal of ["SIGTERM", "SIGHUP", "SIGTERM", "SIGINT"] as const) {
      child.kill(signal);
      assertEquals(await line(), `${signal}\n`);
    }
    child.kill("SIGTERM");
    assertEquals((await child.status).signal, "SIGTERM");
    await out.cancel();
    await child.stdin.close().catch(() => {});
  },
});

Deno.test({
  name:
    "neither timers, signal handlers nor a detached child keep foster from ending, and the child lives on",
  ignore: !posix,
  async fn() {
    const host = await createDenoHost();
    await withFolder(async (folder) => {
      const pid = Number(await outputOf(everything, ["leave", join(folder, "log")]));
      assertEquals((await host.processes.inspect([pid])).get(pid)?.kind, "seen");
      assertEquals(await host.processes.signal(-pid, "SIGKILL"), "sent");
    });
  },
});

const noDevice = Deno.build.os === "linux" && Deno.uid() === 0
  ? await missing("mknod")
  : "only root makes devices";
Deno.test(unless(noDevice, "a log leaves a device alone that stands in its place"), async () => {
  const folder = await Deno.makeTempDir();
  const logFile = join(folder, "null");
  const { success } = await new Deno.Command("mknod", { args: [logFile, "c", "1", "3"] }).output();
  assert(success);
  const { processes } = await createDenoHost();
  const options = { command: "/bin/true", args: [], cwd: folder, env: {}, logFile };
  const error = await assertRejects(() => processes.spawnDetached(options), HostError);
  assertStringIncludes(error.message, "it is no file");
  assert((await Deno.lstat(logFile)).isCharDevice);
  await Deno.remove(folder, { recursive: true });
});
