import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { endServer, faulty, fileOf, Kept, RESTART, untilGone } from "../fixtures/run_kit.ts";
import { exists, Foster, until } from "./harness.ts";
import { tiny } from "./tiny.ts";

const MIB = 1024 * 1024;

Deno.test("a server has its own session and appends to its log itself: a killed supervisor takes no line away", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { options: ["--tick=20"], restart: RESTART }) });
  const kept = await Kept.ready(foster);
  const { pid, log, key } = await kept.row();
  for (const descriptor of [1, 2]) assertEquals(await Deno.readLink(`/proc/${pid}/fd/${descriptor}`), log);
  assertEquals(await Deno.readLink(`/proc/${pid}/fd/0`), "/dev/null");
  const flags = /flags:\t(\d+)/.exec(await Deno.readTextFile(`/proc/${pid}/fdinfo/1`))?.[1] ?? "0";
  const append = 0o2000;
  assertEquals(parseInt(flags, 8) & append, append);
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  const [, , group, session] = stat.slice(stat.lastIndexOf(")") + 2).split(" ").map(Number);
  assertEquals([group, session], [pid, pid]);
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
    // Over once the log has room again, emptied or with a hole in it: where it is emptied, what comes before that is lost.
    await until(
      "the rotation",
      async () =>
        (await firstLine(`${log}.1`).catch(() => "")).endsWith(`turn ${turn}`) &&
        ((await Deno.stat(log)).blocks ?? 0) * 512 < 10 * MIB,
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
  await until("the rotation", () => exists(`${log}.1`));
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
