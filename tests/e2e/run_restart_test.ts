import { assert, assertEquals, assertMatch } from "@std/assert";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { join } from "@std/path";
import {
  ENDED_BY_FORCE,
  endServer,
  faulty,
  fileOf,
  Kept,
  RESTART,
  setFault,
  untilGone,
} from "../fixtures/run_kit.ts";
import { Foster, isAlive, until } from "./harness.ts";
import { noInterrupt, unless } from "../skip.ts";
import { tiny } from "./tiny.ts";

Deno.test("run restarts a server that was killed: same endpoint, and the same client's next call works", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: { extends: "demo", port: "auto", restart: RESTART } });
  const kept = await Kept.ready(foster);
  const first = await kept.row();
  const client = new Client({ name: "e2e", version: "1" }, { versionNegotiation: { mode: "auto" } });
  await client.connect(new StreamableHTTPClientTransport(new URL(first.endpoint)));
  try {
    const sum = async () => (await client.callTool({ name: "add", arguments: { a: 2, b: 40 } })).content;
    assertEquals(await sum(), [{ type: "text", text: "42" }]);
    endServer(first.pid);
    const again = await kept.row(2);
    assertEquals([again.endpoint, again.port], [first.endpoint, first.port]);
    assert(again.pid !== first.pid);
    assertEquals(await sum(), [{ type: "text", text: "42" }]);
  } finally {
    await client.close();
  }
  assertEquals(kept.lines("restarting").map(({ reason, attempt, delay_ms }) => [reason, attempt, delay_ms]), [
    [`exited: ${ENDED_BY_FORCE}`, 1, 0],
  ]);
  const status = await kept.status();
  assertEquals([status.state, status.restarts, status.supervised], ["ready", 1, true]);
  const { code, signal } = status.last_exit as { code: number | null; signal: string | null };
  assertEquals(signal ?? code, Deno.build.os === "windows" ? 1 : "SIGKILL");
  assertEquals(await kept.stop(), 0);
  assertEquals(await foster.servers(), []);
});

Deno.test(unless(noInterrupt, "run speaks to people with one line for each event"), async () => {
  await using foster = await Foster.create();
  await foster.define({ t: faulty() });
  const running = foster.start(["run", "t"]);
  const pid = Number(
    /pid (\d+)/.exec(await running.stdoutLine(/^t \| ready: http.* pid \d+ \(spawned\)$/))?.[1],
  );
  endServer(pid);
  await running.stdoutLine(/^t \| ended: signal SIGKILL$/);
  await running.stdoutLine(/^t \| restarting \(1\): exited: signal SIGKILL$/);
  await until("it being ready again", () => running.stdout.split("| ready: ").length === 3);
  running.kill("SIGINT");
  const { code, stderr } = await running.finish();
  assertEquals([code, stderr], [0, ""]);
  await running.stdoutLine(/^t \| stopped: interrupted$/);
});

Deno.test("run gives up a server that ends at once for ever: 17, with reason, budget, count and last words", async () => {
  await using foster = await Foster.create();
  await foster.define({
    t: tiny("auto", {
      options: ["--say=the disk is on fire", "--exit=3"],
      restart: { ...RESTART, max: 2, backoff: "20ms" },
    }),
  });
  const kept = Kept.launch(foster);
  const ended = await kept.running.finish();
  assertEquals(ended.code, 17, ended.stderr);
  assertEquals(kept.lines("restarting").map(({ attempt }) => attempt), [1, 2]);
  const waits = kept.lines("restarting").map(({ delay_ms }) => Number(delay_ms));
  assert(waits.every((wait, index) => wait >= 15 * 2 ** index && wait <= 20 * 2 ** index), `${waits}`);
  const { message = "", reason, restarts, max } = await kept.event("exhausted");
  assertMatch(
    message,
    /^"t" .*exited before it was ready: .*exit code 3.* budget of 2 .*after 2 restart\(s\)/,
  );
  assertMatch(String(reason), /^exited/);
  assertEquals([restarts, max], [2, 2]);
  const [outcome] = kept.lines("outcome");
  assertEquals([outcome?.kind, outcome?.row?.state, outcome?.row?.message], [
    "exhausted",
    "crashed",
    message,
  ]);

  const key = outcome?.row?.key ?? "";
  const record = await foster.record(key);
  assertEquals([record?.state, record?.supervisor, record?.pid, record?.restarts], [
    "crashed",
    null,
    null,
    2,
  ]);
  assertMatch(await fileOf(foster, key, "crash.log"), /the disk is on fire/);
  assertMatch((await foster.expect(0, ["logs", "t", "--crash"])).stdout, /the disk is on fire/);
  assertEquals(await foster.servers(), []);
});

Deno.test("run counts starts that fail and starts that do not against one budget", async () => {
  await using foster = await Foster.create();
  await foster.define({
    t: faulty({
      options: [`--starts=${join(foster.folder, "starts")}`, "--tools=echo,add", "--later-tools=echo"],
      requiredTools: ["add"],
      restart: { max: 2 },
    }),
  });
  const kept = await Kept.ready(foster);
  endServer((await kept.row()).pid);
  const ended = await kept.running.finish();
  assertEquals(ended.code, 17, ended.stderr);
  // The first start, the restart after the crash, and one more after that came up without its tool.
  assertEquals((await Deno.readTextFile(join(foster.folder, "starts"))).trim().split("\n").length, 3);
  assertMatch((await kept.event("exhausted")).message ?? "", /probe failed: .*missing tools: add/);
  assertEquals(await foster.servers(), []);
});

for (const fault of ["silent", "error", "slow", "cut"]) {
  const probeTimeout = fault === "error" || fault === "cut" ? "1s" : "300ms";
  Deno.test(`run restarts a server that lives but does not answer well (${fault}) after the third miss`, async () => {
    await using foster = await Foster.create();
    await foster.define({ t: faulty({ ready: { timeout: "15s", probeTimeout } }) });
    const kept = await Kept.ready(foster);
    const first = await kept.row();
    await setFault(first, fault);
    const again = await kept.row(2);
    assert(again.pid !== first.pid);
    await untilGone(first.pid);
    const misses = kept.lines("probe_failed").map((line) => line.misses);
    assertEquals(misses.slice(-3), [1, 2, 3]);
    assertMatch(kept.lines("restarting")[0]?.reason ?? "", /^probe failed: /);
    assertEquals(kept.lines("exited"), []);
  });
}

Deno.test("run leaves a server alone that misses a probe now and then", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: faulty() });
  const kept = await Kept.ready(foster);
  const row = await kept.row();
  for (let turn = 0; turn < 3; turn++) {
    const misses = kept.lines("probe_failed").length;
    await setFault(row, "error");
    await kept.event("probe_failed", misses + 1);
    await setFault(row, "none");
    const answers = await answersSeen(foster, row.key);
    await until("a probe that succeeded", async () => await answersSeen(foster, row.key) > answers);
  }
  assertEquals(kept.lines("restarting"), []);
  assertEquals((await kept.status()).pid, row.pid);
});

Deno.test("run with no budget gives a live server its free misses, then gives it up and ends it", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: faulty({ restart: { max: 0 } }) });
  const kept = await Kept.ready(foster);
  const row = await kept.row();
  await setFault(row, "error");
  const ended = await kept.running.finish();
  assertEquals(ended.code, 17, ended.stderr);
  assertEquals(kept.lines("probe_failed").length, 3);
  assertEquals(kept.lines("restarting"), []);
  assertMatch(
    (await kept.event("exhausted")).message ?? "",
    /probe failed: .*budget of 0 .*after 0 restart\(s\)/,
  );
  assertEquals(await isAlive(row.pid), false);
  assertEquals(await foster.servers(), []);
});

Deno.test("run ends a child that a killed server left on its port before it starts a new one", async () => {
  await using foster = await Foster.create();
  const childFile = join(foster.folder, "child");
  await foster.define({ t: faulty({ options: [`--with-child=${childFile}`] }) });
  const kept = await Kept.ready(foster);
  const first = await kept.row();
  const child = Number(await Deno.readTextFile(childFile));
  const parent = child === first.pid ? Number((await foster.record(first.key))?.launcher_pid) : first.pid;
  assertEquals(await isAlive(child), true);
  // foster may have found either of the two to be the listener.
  endServer(parent);
  if (child === first.pid) endServer(child);
  const again = await kept.row(2);
  assertEquals(again.endpoint, first.endpoint);
  await untilGone(child);
  await untilGone(parent);
});

Deno.test("run ends a hung server by force when it ignores SIGTERM", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: faulty({ options: ["--stubborn"], stop: { grace: "200ms" } }) });
  const kept = await Kept.ready(foster);
  const first = await kept.row();
  await setFault(first, "error");
  const again = await kept.row(2);
  assert(again.pid !== first.pid);
  await untilGone(first.pid);
  assertEquals(await kept.stop(), 0);
  assertEquals(await foster.servers(), []);
});

Deno.test("status shows when the next attempt of a server is due that does not get ready", async () => {
  await using foster = await Foster.create();
  await foster.define({
    t: tiny("auto", {
      options: ["--exit=4"],
      restart: { ...RESTART, backoff: "20s", backoffMax: "20s" },
    }),
  });
  const kept = Kept.launch(foster);
  await kept.event("restarting");
  const status = await until("the next attempt", async () => {
    const row = await kept.status();
    return row.next_attempt !== null && row;
  });
  const leftMs = Date.parse(String(status.next_attempt)) - Date.now();
  assert(leftMs > 5000 && leftMs <= 20_000, `${leftMs}`);
  assertEquals([status.state, status.supervised], ["crashed", true]);
  assertEquals((status.last_exit as { code: number }).code, 4);
  // A wait does not keep it from ending.
  assertEquals(await kept.stop("SIGINT"), 0);
});

/** How often the server answered well, by its own log. */
async function answersSeen(foster: Foster, key: string): Promise<number> {
  return (await fileOf(foster, key, "server.log")).split("answered").length;
}
