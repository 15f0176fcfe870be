import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { endServer, faulty, fileOf, Kept, RESTART, untilGone } from "../fixtures/run_kit.ts";
import { unless } from "../skip.ts";
import { binary, commandOf, exists, Foster, isAlive, until } from "./harness.ts";
import { sessionOf } from "../fixtures/machine.ts";
import { tiny } from "./tiny.ts";

const CHATTER = fromFileUrl(new URL("../fixtures/chatter.py", import.meta.url));
const MIB = 1024 * 1024;

Deno.test("a server has its own session and appends to its log itself: a killed supervisor takes no line away", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { options: ["--tick=20"], restart: RESTART }) });
  const kept = await Kept.ready(foster);
  const { pid, log, key } = await kept.row();
  // Only Linux shows what a file of another process was opened for.
  if (Deno.build.os === "linux") {
    for (const descriptor of [1, 2]) assertEquals(await Deno.readLink(`/proc/${pid}/fd/${descriptor}`), log);
    assertEquals(await Deno.readLink(`/proc/${pid}/fd/0`), "/dev/null");
    const flags = /flags:\t(\d+)/.exec(await Deno.readTextFile(`/proc/${pid}/fdinfo/1`))?.[1] ?? "0";
    const append = 0o2000;
    assertEquals(parseInt(flags, 8) & append, append);
  }
  // Who leads a session leads a group, too.
  assertEquals(await sessionOf(pid), pid);
  endServer(kept.pid);
  await untilGone(kept.pid);
  const size = (await fileOf(foster, key, "server.log")).length;
  await until("more lines", async () => (await fileOf(foster, key, "server.log")).length > size);
});

Deno.test("run rotates a log of 10 MiB while the server has it open, and keeps five", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: faulty() });
  const kept = await Kept.ready(foster);
  const { log, endpoint, pid } = await kept.row();
  for (let turn = 1; turn <= 7; turn++) {
    await say(endpoint, `turn ${turn}\n${"x".repeat(10 * MIB)}\n`);
    await until(
      "the rotation",
      async () =>
        (await firstLine(`${log}.1`).catch(() => "")).endsWith(`turn ${turn}`) && await isRotated(log),
    );
  }
  assertEquals((await kept.status()).pid, pid);
  for (let n = 1; n <= 5; n++) {
    const stat = await Deno.stat(`${log}.${n}`);
    assert(stat.size >= 10 * MIB, `${log}.${n} has ${stat.size} bytes`);
    assertEquals((stat.mode ?? 0) & 0o777, 0o600);
  }
  assertEquals(await exists(`${log}.6`), false);
  assertMatch(await firstLine(`${log}.1`), /turn 7$/);
  assertMatch(await firstLine(`${log}.5`), /turn 3$/);
});

Deno.test("logs -f goes on across a rotation and a crash", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: faulty() });
  const kept = await Kept.ready(foster);
  const { endpoint, log, pid } = await kept.row();
  const following = foster.start(["logs", "t", "-f", "-n", "1"]);
  await following.stdoutLine(/./);
  await say(endpoint, "before\n");
  await following.stdoutLine(/^before$/);
  // First nearly up to the limit, and then over it: what follows is far behind the end of the old log.
  await say(endpoint, `${"y".repeat(1023)}\n`.repeat(10 * 1024 - 1) + "nearly full\n");
  await following.stdoutLine(/^nearly full$/);
  await say(endpoint, `${"y".repeat(1023)}\n`.repeat(2));
  await until("the rotation", () => isRotated(log));
  await say(endpoint, "after the rotation\n");
  await following.stdoutLine(/^after the rotation$/);
  endServer(pid);
  await kept.event("ready", 2);
  await say(endpoint, "after the crash\n");
  await following.stdoutLine(/^after the crash$/);
});

Deno.test("the end of a crashed server's log is kept across its restart", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: faulty() });
  const kept = await Kept.ready(foster);
  const { endpoint, pid, key } = await kept.row();
  await say(endpoint, "famous last words\n");
  endServer(pid);
  await kept.event("ready", 2);
  assertMatch(await fileOf(foster, key, "crash.log"), /famous last words\n$/);
  assertMatch((await foster.expect(0, ["logs", "t", "--crash"])).stdout, /famous last words/);
  const events = (await foster.events(key)).map(({ event }) => event);
  const expected = ["spawning", "spawned", "ready", "supervising", "crashed", "restarting"];
  assertEquals(events.slice(0, 6), expected);
  assertEquals(events.slice(6), ["spawning", "spawned", "ready", "supervising"]);
});

Deno.test("the supervisor writes what happens into its log", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { restart: RESTART }) });
  const { pid } = (await foster.expect(0, ["up", "t", "--supervise", "--json"])).row();
  endServer(pid);
  const log = join(foster.stateDir, "supervisor.log");
  await until("the restart", async () => (await Deno.readTextFile(log)).includes('"type":"restarting"'));
  assertEquals(((await Deno.stat(log)).mode ?? 0) & 0o777, 0o600);
});

const NODE_CHATTER = `
require("net").createServer((c) => c.destroy()).listen(Number(process.argv.at(-1)), "127.0.0.1");
let n = 0;
setInterval(() => console.log("line", n++), 20);
`;
const PYTHON_CHATTER = `
import itertools, socketserver, sys, threading, time
def write():
    for number in itertools.count():
        print("line", number, flush=True)
        time.sleep(0.02)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
threading.Thread(target=write, daemon=True).start()
Server(("127.0.0.1", int(sys.argv[1])), socketserver.BaseRequestHandler).serve_forever()
`;
const GO_CHATTER = `package main

import ("fmt"; "net"; "os"; "time")

func main() {
  l, _ := net.Listen("tcp", "127.0.0.1:" + os.Args[1])
  go func() { for { c, e := l.Accept(); if e != nil { return }; c.Close() } }()
  for i := 0; ; i++ { fmt.Println("line", i); time.Sleep(20 * time.Millisecond) }
}
`;
const LINES = 200_000;
const LINE_BYTES = "line 000000 ".length + 501;

Deno.test(
  unless(
    await whyNoHoles(),
    "200,000 numbered lines over ten rotations are complete, in the files and in logs -f",
  ),
  async () => {
    await using foster = await Foster.create();
    const [go, out] = [join(foster.folder, "go"), join(foster.folder, "followed")];
    await foster.define({
      t: {
        command: "python3",
        args: [CHATTER, "${port}", String(LINES), go, out],
        port: "auto",
        ready: { check: "tcp", timeout: "15s" },
        restart: RESTART,
      },
    });
    // Deno's scoped permissions let no hole be made: there a rotation may lose what is written meanwhile.
    const runner = binary === null ? "all" : "default";
    const { log } = (await foster.expect(0, ["up", "t", "--supervise", "--json"], { runner })).row();
    const follow = [...commandOf(runner), "logs", "t", "-f", "-n", "1"];
    foster.startProgram("sh", ["-c", 'exec "$@" > "$0"', out, ...follow]);
    await until("it follows", async () => (await Deno.readTextFile(out).catch(() => "")) === "begin\n");
    await Deno.writeTextFile(go, "");
    await untilWhole(out, "begin\n".length + LINES * LINE_BYTES);
    const numbers = (text: string) =>
      [...text.matchAll(/^line (\d{6}) x{500}$/gm)].map(([, digits]) => Number(digits));
    const followed = numbers(await Deno.readTextFile(out));
    assertEquals(gapsIn(followed), []);
    assertEquals([followed[0], followed.at(-1)], [0, LINES - 1]);
    // The files keep five rotations and what came since: no line in between is missing or there twice.
    const kept = await Promise.all([5, 4, 3, 2, 1].map((n) => Deno.readTextFile(`${log}.${n}`)));
    const inFiles = numbers([...kept, (await Deno.readTextFile(log)).replaceAll("\0", "")].join(""));
    const [first = -1] = inFiles;
    assertEquals(gapsIn(inFiles), []);
    assertEquals(inFiles.at(-1), LINES - 1);
    assert(first > 0, "more was written than is kept");
  },
);

/** Waits until the file has so many bytes, or has not grown for so long that it never will: what is missing says why. */
async function untilWhole(path: string, wholeBytes: number): Promise<void> {
  const quietMs = 60_000;
  let [size, grewAt] = [0, performance.now()];
  await until("the last line", async () => {
    const before = size;
    size = (await Deno.stat(path)).size;
    if (size > before) grewAt = performance.now();
    return size >= wholeBytes || performance.now() - grewAt > quietMs;
  }, 480_000);
}

/** Where a number does not follow the one before it. */
function gapsIn(numbers: readonly number[]): string[] {
  return numbers.flatMap((number, at) => {
    const before = numbers[at - 1];
    return before === undefined || number === before + 1 ? [] : [`${number} after ${before}`];
  });
}

/** Programs that print all the time, by what runs them: what follows their command is a port. */
const chatters: readonly { program: string; make(folder: string): Promise<[string, ...string[]]> }[] = [
  {
    program: "node",
    make: () => Promise.resolve(["node", "-e", NODE_CHATTER, "--", "${port}"]),
  },
  {
    program: "python3",
    make: () => Promise.resolve(["python3", "-c", PYTHON_CHATTER, "${port}"]),
  },
  {
    program: "go",
    make: async (folder) => {
      const [source, program] = [join(folder, "main.go"), join(folder, "chatter")];
      await Deno.writeTextFile(source, GO_CHATTER);
      const { success, stderr } = await new Deno.Command("go", {
        args: ["build", "-o", program, source],
      }).output();
      assert(success, new TextDecoder().decode(stderr));
      return [program, "${port}"];
    },
  },
];

for (const { program, make } of chatters) {
  const name = `a server of ${program} that prints goes on once its supervisor was killed`;
  Deno.test(unless(await whyNo(program), name), async () => {
    await using foster = await Foster.create();
    const [command, ...args] = await make(foster.folder);
    const ready = { check: "tcp", timeout: "15s" };
    await foster.define({ t: { command, args, port: "auto", ready, restart: RESTART } });
    // A program of its own is none of those that Deno's scoped permissions name.
    const runner = binary === null ? "all" : "default";
    const { pid, log } = (await foster.expect(0, ["up", "t", "--supervise", "--json"], { runner })).row();
    // Its own child, not one that it adopted.
    endServer(pid);
    const own = await until("another process", async () => {
      const row = (await foster.run(["status", "t", "--json"], { runner })).row();
      return row.state === "ready" && row.pid !== pid && row.pid;
    });
    const supervisor = JSON.parse(await Deno.readTextFile(join(foster.stateDir, "supervisor.json"))).pid;
    endServer(supervisor);
    await untilGone(supervisor);
    const { size } = await Deno.stat(log);
    await until("more lines", async () => (await Deno.stat(log)).size > size + 100);
    assert(await isAlive(own));
  });
}

async function whyNo(program: string): Promise<string | null> {
  const found = await new Deno.Command("sh", { args: ["-c", `command -v ${program}`] }).output();
  return found.success ? null : `${program} is not there`;
}

/** Without holes a rotation copies and empties the log, which may lose what is written in between. */
async function whyNoHoles(): Promise<string | null> {
  const file = await Deno.makeTempFile();
  const script = 'head -c 65536 /dev/zero > "$1" && fallocate --punch-hole --offset 0 --length 4096 "$1"';
  const { success } = await new Deno.Command("sh", { args: ["-c", script, "sh", file] }).output();
  await Deno.remove(file);
  return success ? await whyNo("python3") : "no hole can be made in files here";
}

/**
 * Whether the rotation is over: the log has room again, emptied or with a hole in it. Where it is emptied, what comes
 * before that is lost.
 */
async function isRotated(log: string): Promise<boolean> {
  return await exists(`${log}.1`) && ((await Deno.stat(log)).blocks ?? 0) * 512 < 10 * MIB;
}

/** Lets the server print something. */
async function say(endpoint: string, text: string): Promise<void> {
  const response = await fetch(new URL("/say", endpoint), { method: "POST", body: text });
  assertEquals(await response.text(), "said");
}

async function firstLine(path: string): Promise<string> {
  using file = await Deno.open(path);
  const bytes = new Uint8Array(4096);
  const read = await file.read(bytes) ?? 0;
  const lines = new TextDecoder().decode(bytes.subarray(0, read)).split("\n");
  return lines.find((line) => line.startsWith("turn")) ?? "";
}
