/**
 * Whatever foster is told, it ends nothing that is not provably its own; and afterwards there is a way on.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import {
  ForeignProcess,
  listening,
  rewriteRecord,
  served,
  SLEEPER,
  startTicks,
  startTime,
  webServer,
} from "../fixtures/wk_support.ts";
import { argvOf, environmentOf } from "../fixtures/machine.ts";
import { notAsked, unless } from "../skip.ts";
import { binary, Foster, freePort, isAlive, type Row, until } from "./harness.ts";

const windows = Deno.build.os === "windows";

function proves(
  name: string,
  body: (foster: Foster) => Promise<void>,
  { only = null }: { only?: string | null } = {},
): void {
  Deno.test(unless(notAsked ?? only, name), async () => {
    await using foster = await Foster.create();
    await body(foster);
  });
}

/** Defines the one server of a test and starts it. */
async function upWith(foster: Foster, definition: Record<string, unknown>): Promise<Row> {
  await foster.define({ wk: definition });
  return (await foster.expect(0, ["up", "wk", "--json"])).row();
}

/** Ends the server behind foster's back, as a crash or another user would. */
async function crash(pid: number): Promise<void> {
  Deno.kill(pid, "SIGKILL");
  await until(`pid ${pid} is gone`, async () => await startTicks(pid) === null);
}

async function killedIn(foster: Foster, code: number, args: string[]): Promise<number[]> {
  const { stdout } = await foster.expect(code, [...args, "--json"]);
  const rows: Row[] = JSON.parse(stdout).servers ?? [];
  return rows.flatMap((row) => row.recovered?.killed ?? []);
}

/** The foreign process is gone, so the next up has nothing in its way. */
async function assertWayOut(foster: Foster, foreign: ForeignProcess): Promise<void> {
  await foreign.end();
  assertEquals((await foster.expect(0, ["up", "wk", "--json"])).row().state, "ready");
}

// ---------------------------------------------------------------------------------------- whatever foster is told

const VERBS: { args: string[]; named: number; nameless: number }[] = [
  { args: ["up", "wk"], named: 13, nameless: 14 },
  { args: ["up", "wk", "--recover"], named: 13, nameless: 14 },
  { args: ["recover", "wk"], named: 16, nameless: 16 },
  { args: ["restart", "wk"], named: 13, nameless: 14 },
  { args: ["restart", "wk", "--force"], named: 16, nameless: 16 },
  { args: ["handoff", "wk"], named: 0, nameless: 0 },
  { args: ["handoff", "wk", "--up"], named: 13, nameless: 14 },
  { args: ["down", "wk"], named: 0, nameless: 0 },
  { args: ["down", "--all"], named: 0, nameless: 0 },
  { args: ["up", "--all"], named: 13, nameless: 14 },
];

/** Without a name to expect, and without a status to ask for it. */
const NAMELESS = { identity: {}, ready: { check: "tcp", timeout: "10s" } };

for (const kind of ["named", "nameless"] as const) {
  proves(`no verb harms a plain web server on the port of a ${kind} server`, async (foster) => {
    const port = freePort();
    const [command, ...args] = await webServer(port);
    const foreign = await ForeignProcess.start(foster, command, args, port);
    await foster.define({ wk: served(port, kind === "named" ? {} : NAMELESS) });
    for (const verb of VERBS) {
      const { stderr, stdout } = await foster.expect(verb[kind], verb.args);
      await foreign.assertUnharmed(verb.args.join(" "));
      if (verb[kind] !== 0) {
        assertMatch(stdout + stderr, new RegExp(`pid ${foreign.pid}`), verb.args.join(" "));
      }
    }
    await assertWayOut(foster, foreign);
  });

  proves(`no verb harms a web server that took the port of a ${kind} server that crashed`, async (foster) => {
    const port = freePort();
    const { pid, key } = await upWith(foster, served(port, kind === "named" ? {} : NAMELESS));
    await crash(pid);
    const record = await foster.record(key);
    const [command, ...args] = await webServer(port);
    const foreign = await ForeignProcess.start(foster, command, args, port);
    for (const verb of VERBS) {
      // What an earlier verb did to the dead record must not matter.
      await Deno.writeTextFile(
        join(foster.stateDir, "servers", key, "record.json"),
        JSON.stringify(record),
      );
      await foster.expect(verb[kind], verb.args);
      await foreign.assertUnharmed(verb.args.join(" "));
    }
    await assertWayOut(foster, foreign);
  });
}

for (const kind of ["named", "nameless", "nameless, and refused by the foreign one,"] as const) {
  proves(
    `a foreign process that takes the port while a ${kind} server starts is left alone`,
    async (foster) => {
      const port = freePort();
      const sleeper = { ...SLEEPER, ...(kind === "named" ? {} : NAMELESS) };
      await foster.define({ wk: served(port, sleeper) });
      const starting = foster.start(["up", "wk", "--json"]);
      const [ours = 0] = await until("our server", async () => {
        const found = await foster.servers();
        return found.length > 0 ? found : null;
      });
      const [command, ...args] = await webServer(port);
      const foreign = kind === "named" || kind === "nameless"
        ? await ForeignProcess.server(foster, port)
        : await ForeignProcess.start(foster, command, args, port);
      const { code, stdout } = await starting.finish();
      const { key, adoption, message, state } = JSON.parse(stdout).servers[0];
      // One that claims the name may be used; without a name it is a foreign process.
      const expected = kind === "named" ? [0, "ready", "external"] : [14, "foreign_port", null];
      assertEquals([code, state, adoption], expected);
      assertMatch(message, new RegExp(`pid ${foreign.pid}`));
      await foreign.assertUnharmed("up");
      assertEquals(await isAlive(ours), false);
      const said = (await foster.events(key)).find(({ event }) => event === "not_ready");
      assertMatch(said?.message ?? "", new RegExp(`^port ${port} was taken by pid ${foreign.pid} `));
      await foreign.end();
    },
  );
}

// ------------------------------------------------------------------------------------------- records that mislead

proves(
  "a foreign process under the recorded pid, with the very command line of the server, is left alone",
  async (foster) => {
    const port = freePort();
    const { pid, key } = await upWith(foster, served(port));
    const argv = await argvOf(pid);
    const earlier = await startTime(pid);
    await crash(pid);
    const [command = "", ...args] = argv;
    const foreign = await ForeignProcess.start(foster, command, args, port);
    const misled = {
      pid: foreign.pid,
      start_token: earlier,
      pgid: foreign.pid,
      launcher_pid: foreign.pid,
      launcher_start_token: earlier,
    };
    const record = { ...await foster.record(key), ...misled };
    const put = () =>
      Deno.writeTextFile(join(foster.stateDir, "servers", key, "record.json"), JSON.stringify(record));

    await put();
    const [listed] = (await foster.expect(0, ["ps", "--json"])).json().servers;
    assertEquals([listed?.state, listed?.process], ["crashed", "recycled"]);
    await put();
    await foster.expect(16, ["restart", "wk", "--force"]);
    await foreign.assertUnharmed("restart --force");
    await put();
    assertEquals(await killedIn(foster, 0, ["handoff", "wk"]), []);
    await foreign.assertUnharmed("handoff");
    await put();
    assertEquals(await killedIn(foster, 0, ["down", "wk"]), []);
    await foreign.assertUnharmed("down");
    await put();
    const adopted = (await foster.expect(0, ["up", "wk", "--json"])).row();
    assertEquals([adopted.adoption, adopted.recovered], ["external", null]);
    assertMatch(adopted.message, new RegExp(`pid ${foreign.pid}`));
    assertEquals(await foster.record(key), null);
    await foreign.assertUnharmed("up");
    await assertWayOut(foster, foreign);
  },
);

proves("a record that names init is a dead record", async (foster) => {
  const { key, pid } = await upWith(foster, served(freePort()));
  await crash(pid);
  const init = await startTicks(1);
  const misled = { pid: 1, pgid: 1, launcher_pid: 1, start_token: await startTime(1) };
  await rewriteRecord(foster, key, { ...misled, launcher_start_token: misled.start_token });
  assertEquals(await killedIn(foster, 0, ["down", "wk"]), []);
  assertEquals(await startTicks(1), init);
  assertEquals((await foster.expect(0, ["up", "wk", "--json"])).row().state, "ready");
}, { only: windows ? "Windows has no init" : null });

proves("a record that names an ancestor of foster gets it no signal, and down says so", async (foster) => {
  const port = freePort();
  const { key, pid } = await upWith(foster, served(port));
  await crash(pid);
  const token = await startTime(Deno.pid);
  const misled = { pid: Deno.pid, pgid: Deno.pid, launcher_pid: Deno.pid, start_token: token };
  await rewriteRecord(foster, key, { ...misled, launcher_start_token: token });
  let told = 0;
  const count = () => void told++;
  const asked = windows ? "SIGINT" : "SIGTERM";
  Deno.addSignalListener(asked, count);
  try {
    const kept = await foster.expect(13, ["restart", "wk", "--force"]);
    assertMatch(kept.stdout + kept.stderr, new RegExp(`pid ${Deno.pid} is never signalled`));
    const refused = await foster.expect(1, ["down", "wk"]);
    assertMatch(refused.stdout + refused.stderr, new RegExp(`pid ${Deno.pid} is never signalled`));
  } finally {
    Deno.removeSignalListener(asked, count);
  }
  assertEquals(told, 0);
  await Deno.remove(join(foster.stateDir, "servers", key, "record.json"));
  assertEquals((await foster.expect(0, ["up", "wk", "--json"])).row().state, "ready");
});

proves("a pid file older than the start names nobody, however branded the process is", async (foster) => {
  const port = freePort();
  const brand = { brand: ["wk_server"], brandFlags: ["--pid-file"], version: "1.0.0" };
  const { key, pid } = await upWith(
    foster,
    served(port, { ...brand, options: ["--pid-file", "${pidFile}"] }),
  );
  await crash(pid);
  const pidFile = join(foster.stateDir, "servers", key, "server.pid");
  const foreign = await ForeignProcess.server(foster, port, ["--pid-file", pidFile, "--version", "0.9.0"]);
  const startedAt = Date.parse(String((await foster.record(key))?.started_at));
  await Deno.utime(pidFile, startedAt / 1000 - 60, startedAt / 1000 - 60);
  for (
    const [code, ...args] of [[13, "up", "wk"], [16, "restart", "wk", "--force"], [0, "down", "wk"]] as const
  ) {
    await foster.expect(code, args);
    await foreign.assertUnharmed(args.join(" "));
  }
  await assertWayOut(foster, foreign);
});

proves("a pid file younger than the start names no process without the brand", async (foster) => {
  const port = freePort();
  const brand = { brand: ["wk_server"], brandFlags: ["--pid-file"] };
  const { key, pid } = await upWith(
    foster,
    served(port, { ...brand, options: ["--pid-file", "${pidFile}"] }),
  );
  await crash(pid);
  const [command, ...args] = await webServer(port);
  const foreign = await ForeignProcess.start(foster, command, args, port);
  await Deno.writeTextFile(join(foster.stateDir, "servers", key, "server.pid"), `${foreign.pid}\n`);
  for (
    const [code, ...verb] of [[13, "up", "wk"], [16, "restart", "wk", "--force"], [0, "down", "wk"]] as const
  ) {
    await foster.expect(code, verb);
    await foreign.assertUnharmed(verb.join(" "));
  }
  await assertWayOut(foster, foreign);
});

// --------------------------------------------------------------------------------------- answers that mislead

proves(
  "a foreign process that claims the name and the version of a dead record is not ended by up",
  async (foster) => {
    const port = freePort();
    const { pid } = await upWith(foster, served(port, { version: "1.0.0" }));
    await crash(pid);
    const foreign = await ForeignProcess.server(foster, port);
    const options = ["--version", "2.0.0"];
    await foster.define({ wk: served(port, { version: "2.0.0", options }) });
    for (
      const [code, ...args] of [[13, "up", "wk"], [13, "restart", "wk"], [
        16,
        "restart",
        "wk",
        "--force",
      ]] as const
    ) {
      assertEquals(await killedIn(foster, code, [...args]), []);
      await foreign.assertUnharmed(args.join(" "));
    }
    const refused = await foster.expect(13, ["up", "wk"]);
    assertMatch(refused.stdout + refused.stderr, /foster recover "wk"/);
    // Only the user's own word makes the server's word enough.
    const recovered = (await foster.expect(0, ["recover", "wk", "--json"])).row();
    assertEquals(recovered.recovered, { proof: "status_name", killed: [foreign.pid] });
    assertEquals(recovered.state, "ready");
  },
);

proves(
  "a server of the same name and version that was started by hand is used and left alone",
  async (foster) => {
    const port = freePort();
    const { pid, key } = await upWith(foster, served(port, { version: "1.0.0" }));
    await crash(pid);
    const foreign = await ForeignProcess.server(foster, port);
    const row = (await foster.expect(0, ["up", "wk", "--json"])).row();
    assertEquals([row.adoption, row.recovered], ["external", null]);
    assertMatch(row.message, new RegExp(`pid ${foreign.pid}`));
    assertEquals(await foster.record(key), null);
    const named = await foster.expect(16, ["down", "wk"]);
    assertMatch(named.stdout + named.stderr, /external, left alone/);
    await foster.expect(0, ["down", "--all"]);
    await foster.expect(16, ["restart", "wk", "--force"]);
    assertEquals((await foster.expect(0, ["recover", "wk", "--json"])).row().adoption, "external");
    await foreign.assertUnharmed("recover");
    await assertWayOut(foster, foreign);
  },
);

for (
  const [status, what] of [
    ["endless", "never ends"],
    ["huge", "sends 100 MB"],
    ["redirect", "leads elsewhere"],
    ["garbage", "is no JSON"],
    ["silent", "never comes"],
  ]
) {
  proves(`an answer that ${what} is refused within its time, and nobody is ended for it`, async (foster) => {
    const port = freePort();
    const foreign = await ForeignProcess.server(foster, port, ["--status", String(status)]);
    await foster.define({ wk: served(port) });
    for (const [code, ...args] of [[13, "up", "wk"], [16, "recover", "wk"], [0, "down", "wk"]] as const) {
      const before = performance.now();
      await foster.expect(code, args);
      const elapsedMs = performance.now() - before;
      assert(elapsedMs < 15_000, `foster ${args.join(" ")} took ${elapsedMs} ms`);
      await foreign.assertUnharmed(args.join(" "));
    }
    await assertWayOut(foster, foreign);
  });
}

proves("another user's process on the port is named and left alone", async (foster) => {
  const port = freePort();
  const foreign = await ForeignProcess.server(foster, port, ["--user", "65534", "--name", "other"]);
  const status = await Deno.readTextFile(`/proc/${foreign.pid}/status`);
  assertMatch(status, /^Uid:\t65534\t65534/m);
  await foster.define({ wk: served(port) });
  for (const verb of VERBS) {
    await foster.expect(verb.named, verb.args);
    await foreign.assertUnharmed(verb.args.join(" "));
  }
  await assertWayOut(foster, foreign);
}, { only: Deno.uid() === 0 ? null : "only root can become somebody else" });

// ------------------------------------------------------------------------------------------------- what is ours

proves(
  "our own server that ignores SIGTERM is ended by force after its grace, and started again",
  async (foster) => {
    const { pid } = await upWith(foster, served(freePort(), { options: ["--manner", "stubborn"] }));
    const before = performance.now();
    const row = (await foster.expect(0, ["restart", "wk", "--json"])).row();
    assert(performance.now() - before >= 300);
    assertEquals(row.recovered?.killed, [pid]);
    assertEquals([row.state, await isAlive(pid)], ["ready", false]);
  },
);

for (
  const [manner, what] of [
    ["leaves-child", "leaves a child behind as it goes"],
    ["breeds", "has ever more children while it is ended"],
  ]
) {
  proves(`down leaves nothing of a server that ${what}`, async (foster) => {
    await upWith(foster, served(freePort(), { options: ["--manner", String(manner)] }));
    await foster.expect(0, ["down", "wk"]);
    assertEquals(await foster.servers(), []);
    assertEquals((await foster.expect(0, ["up", "wk", "--json"])).row().startup_path, "spawned");
    await foster.expect(0, ["down", "wk"]);
    assertEquals(await foster.servers(), []);
  });
}

proves("a reload parent and its worker are replaced together", async (foster) => {
  const { pid } = await upWith(foster, served(freePort(), { options: ["--manner", "reload"] }));
  const both = await foster.servers();
  assertEquals(both.length, 2);
  const row = (await foster.expect(0, ["restart", "wk", "--force", "--json"])).row();
  assertEquals(row.recovered?.killed, both.sort((first, second) => first - second));
  assert(row.recovered?.killed.includes(pid));
  await foster.expect(0, ["down", "wk"]);
  assertEquals(await foster.servers(), []);
});

proves("a server that leaves its group and its parent is still found, kept and ended", async (foster) => {
  const { pid, key } = await upWith(foster, served(freePort(), { options: ["--manner", "daemon"] }));
  const record = await foster.record(key);
  assertEquals(record?.pid, pid);
  assert(record?.launcher_pid !== pid);
  const [listed] = (await foster.expect(0, ["ps", "--json"])).json().servers;
  assertEquals([listed?.state, listed?.process], ["ready", "ours"]);
  const again = (await foster.expect(0, ["up", "wk", "--json"])).row();
  assertEquals([again.adoption, again.pid], ["managed", pid]);
  assertEquals(await killedIn(foster, 0, ["down", "wk"]), [pid]);
  assertEquals(await foster.servers(), []);
});

proves(
  "a process that our server started in a session of its own survives whatever happens to it",
  async (foster) => {
    const outsiderPort = freePort();
    const file = join(foster.folder, "outsider.pid");
    const outside = ["--outsider-port", String(outsiderPort), "--outsider-pid-file", file];
    const { pid } = await upWith(foster, served(freePort(), { options: outside }));
    await listening(outsiderPort);
    const outsider = await ForeignProcess.of(Number(await Deno.readTextFile(file)), outsiderPort);
    try {
      // The next servers start none: the port is taken, which their own start does not care for.
      for (
        const args of [["restart", "wk"], ["restart", "wk", "--force"], ["recover", "wk"], ["down", "wk"]]
      ) {
        await foster.expect(0, args);
        await outsider.assertUnharmed(args.join(" "));
      }
      assertEquals(await isAlive(pid), false);
      assertEquals((await foster.expect(0, ["up", "wk", "--json"])).row().state, "ready");
      const [server] = (await foster.expect(0, ["status", "wk", "--json"])).json().servers;
      await crash(server?.pid ?? 0);
      await foster.expect(0, ["up", "wk"]);
      await outsider.assertUnharmed("up after a crash");
    } finally {
      await foster.expect(0, ["down", "wk"]);
      await outsider.end();
    }
  },
  { only: windows ? "a child of a job can leave it by no session" : null },
);

proves("the time zone of a verb changes nothing in whose a process is", async (foster) => {
  await foster.define({ wk: served(freePort()) });
  const { pid } = (await foster.expect(0, ["up", "wk", "--json"], { env: { TZ: "UTC" } })).row();
  const env = { TZ: "Asia/Kathmandu", LC_ALL: "de_DE.UTF-8" };
  const again = (await foster.expect(0, ["up", "wk", "--json"], { env })).row();
  assertEquals([again.adoption, again.pid], ["managed", pid]);
  const [listed] = (await foster.expect(0, ["ps", "--json"], { env })).json().servers;
  assertEquals(listed?.process, "ours");
  assertEquals((await foster.expect(0, ["down", "wk", "--json"], { env })).row().recovered?.killed, [pid]);
});

proves(
  "a foreign process on the same port of another loopback address survives all that happens to ours",
  async (foster) => {
    const port = freePort();
    const { pid } = await upWith(foster, served(port));
    const [command, ...args] = await webServer(port, "127.0.0.2");
    const running = foster.startProgram(command, args);
    await until("it listens", async () => {
      const connection = await Deno.connect({ hostname: "127.0.0.2", port }).catch(() => null);
      connection?.close();
      return connection !== null;
    });
    const ticks = await startTicks(running.pid);
    for (const verb of [["up", "wk"], ["restart", "wk"], ["down", "wk"]]) {
      const { stdout, stderr, code } = await foster.run(verb);
      assert(code !== 70, `foster ${verb.join(" ")}: ${stdout}${stderr}`);
      assertEquals(await startTicks(running.pid), ticks, verb.join(" "));
    }
    assertEquals(await isAlive(pid), false);
  },
);

proves("a server that another state folder owns is a foreign process", async (foster) => {
  const port = freePort();
  await using other = await Foster.create();
  await other.define({ wk: served(port) });
  const { pid } = (await other.expect(0, ["up", "wk", "--json"])).row();
  const theirs = await ForeignProcess.of(pid, port);
  await foster.define({ wk: served(port, { version: "2.0.0" }) });
  for (const verb of VERBS.filter(({ args }) => !args.includes("--recover") && args[0] !== "recover")) {
    await foster.run(verb.args);
    await theirs.assertUnharmed(verb.args.join(" "));
  }
  assertEquals((await other.expect(0, ["up", "wk", "--json"])).row().adoption, "managed");
  await other.expect(0, ["down", "wk"]);
  await foster.define({ wk: served(port) });
  assertEquals((await foster.expect(0, ["up", "wk", "--json"])).row().state, "ready");
});

proves("a server that was started from within another one is not taken for a part of it", async (foster) => {
  const [outerPort, innerPort] = [freePort(), freePort()];
  await foster.define({ outer: served(outerPort), inner: served(innerPort) });
  const outer = (await foster.expect(0, ["up", "outer", "--json"])).row();
  const instanceToken = String((await foster.record(outer.key))?.token);
  const env = { FOSTER_TOKEN: instanceToken };
  const inner = (await foster.expect(0, ["up", "inner", "--json"], { env })).row();
  const environment = await environmentOf(inner.pid);
  assert(!environment.includes(`FOSTER_TOKEN=${instanceToken}`), "the cookie of the outer one was passed on");
  const kept = await ForeignProcess.of(inner.pid, innerPort);
  for (const verb of [["restart", "outer", "--force"], ["down", "outer"]]) {
    await foster.expect(0, verb, { env });
    await kept.assertUnharmed(verb.join(" "));
  }
  assertEquals((await foster.expect(0, ["up", "inner", "--json"])).row().adoption, "managed");
});

proves("whose a process is does not depend on how much foster may read", async (foster) => {
  await foster.define({ wk: served(freePort()) });
  const { pid } = (await foster.expect(0, ["up", "wk", "--json"], { runner: "all" })).row();
  const again = (await foster.expect(0, ["up", "wk", "--json"], { runner: "scoped" })).row();
  assertEquals([again.adoption, again.pid], ["managed", pid]);
  const replaced = (await foster.expect(0, ["restart", "wk", "--json"], { runner: "scoped" })).row();
  assertEquals(replaced.recovered?.killed, [pid]);
  assertEquals((await foster.expect(0, ["up", "wk", "--json"], { runner: "all" })).row().pid, replaced.pid);
  await foster.expect(0, ["down", "wk"], { runner: "all" });
}, { only: binary === null ? null : "a binary has no scoped permissions" });
