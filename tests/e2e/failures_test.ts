import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { exists, Foster, freePort, isAlive, isFree, until } from "./harness.ts";
import { tiny, tinyArgs } from "./tiny.ts";

// deno-lint-ignore no-control-regex
const RAW = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/;
const LAUNCHER = fromFileUrl(new URL("../fixtures/stubborn_launcher.ts", import.meta.url));
/** Whichever of the two it was doing when its time was over. */
const UNANSWERED = /no answer within \d+ ms;|it took a connection and had not answered yet;/;

Deno.test("up ends with 11 when there is no command, and says where it looked and what to install", async () => {
  await using foster = await Foster.create();
  await foster.define({
    odd: { command: "no-such-program-here", port: "auto" },
    python: { command: "uvx", args: ["x"], port: "auto" },
    script: { command: "npx", args: ["x"], port: "auto" },
    relative: { command: "./start.sh", port: "auto" },
  });
  const odd = await foster.expect(11, ["up", "odd", "--json"]);
  assertEquals([odd.row().state, odd.row().startup_path], ["no_command", "no_command"]);
  assertMatch(
    odd.row().message,
    /^Cannot start "odd": .*no-such-program-here: not in .*(?:\/usr\/bin|system32).*\.local[\\/]bin/,
  );
  assertMatch(odd.row().hint, /no-such-program-here/);

  const relative = (await foster.expect(11, ["up", "relative", "--json"])).row();
  assert(relative.message.includes(join(foster.cwd, "start.sh")), relative.message);

  // A PATH with foster's own helpers and without launchers.
  const bin = join(foster.folder, "bin");
  await Deno.mkdir(bin);
  for (const name of ["deno", "cat", "ls", "find", "grep", "readlink", "kill", "ps", "lsof", "ss", "sh"]) {
    const found = await firstExisting([`/usr/bin/${name}`, `/bin/${name}`, `/usr/sbin/${name}`]);
    if (found !== null) await Deno.symlink(found, join(bin, name));
  }
  for (
    const [server, command, hint] of [["python", "uvx", /install uv/], [
      "script",
      "npx",
      /install Node/,
    ]] as const
  ) {
    const result = await foster.run(["up", server, "--json"], { env: { PATH: bin } });
    if (result.code !== 11 && await exists(`/usr/local/bin/${command}`)) continue;
    assertEquals(result.code, 11, result.stdout);
    const [, places = ""] = result.row().message.split(`${command}: not in `);
    assert(places.includes(bin), result.row().message);
    assertMatch(result.row().hint, hint);
  }
});

Deno.test("up ends with 10 when the server exits at once, and quotes its last words", async () => {
  await using foster = await Foster.create();
  await foster.define({
    dies: tiny("auto", { options: ["--say=one|two|three|four|five|six|the end", "--exit=7"] }),
    module: tiny("auto", { options: ["--say=ModuleNotFoundError: No module named 'x'", "--exit=1"] }),
    taken: tiny("auto", { options: ["--say=OSError: [Errno 98] address already in use", "--exit=1"] }),
    mute: { command: "sh", args: ["-c", "kill -s KILL $$"], port: "auto" },
  });
  const row = (await foster.expect(10, ["up", "dies", "--json"])).row();
  assertEquals([row.state, row.state_code, row.startup_path, row.pid], ["crashed", 5, "crashed", null]);
  assertMatch(row.message, /"dies" ended with exit code 7/);
  assertMatch(row.message, /three\nfour\nfive\nsix\nthe end$/);
  assertMatch(row.hint, /foster logs/);
  assertMatch((await foster.expect(0, ["logs", "dies", "--crash"])).stdout, /^one\n[^]*the end\n$/);

  assertMatch((await foster.expect(10, ["up", "module", "--json"])).row().hint, /uv cache clean/);
  assertMatch((await foster.expect(10, ["up", "taken", "--json"])).row().hint, /foster doctor ports/);
  if (Deno.build.os !== "windows") {
    assertMatch((await foster.expect(10, ["up", "mute"])).stderr, /signal SIGKILL/);
  }
  const status = (await foster.expect(1, ["status", "dies", "--json"])).row();
  assertEquals(status.state, "crashed");
  assertEquals((status.last_exit as { code: number }).code, 7);
});

Deno.test("up ends with 15 when servers never answer, and stops them again", async () => {
  await using foster = await Foster.create();
  const countOf = (name: string) => join(foster.folder, `${name}.count`);
  const quiet = (name: string, ...options: string[]) => [...options, `--count-file=${countOf(name)}`];
  await foster.define({
    silent: tiny("auto", { options: quiet("silent", "--silent"), ready: { probeTimeout: "300ms" } }),
    deaf: tiny("auto", { options: quiet("deaf", "--delay=60000") }),
    stubborn: tiny("auto", {
      options: quiet("stubborn", "--silent", "--stubborn"),
      stop: { grace: "300ms" },
    }),
  });
  const { servers } = (await foster.expect(15, ["up", "--timeout", "4s", "--json"])).json();
  for (const last of [UNANSWERED, /nothing listened/, UNANSWERED]) {
    const row = servers.shift();
    assert(row !== undefined);
    assertMatch(row.message, /not ready after 4\.0 s: .*; it was stopped again/);
    assertMatch(row.message, last);
    assertMatch(row.hint, /--timeout/);
    assertEquals(await isAlive(Number(await Deno.readTextFile(countOf(row.name)))), false);
    assertEquals(isFree(row.port), true);
  }
  assertEquals(await foster.servers(), []);
});

Deno.test("up waits through the answers of a server that is not done yet", async () => {
  await using foster = await Foster.create();
  const statuses = [404, 502, 503];
  await foster.define(Object.fromEntries(
    statuses.map((
      status,
    ) => [`s${status}`, tiny("auto", { options: [`--status=${status}`, "--refusals=6"] })]),
  ));
  const { servers } = (await foster.expect(0, ["up", "--json"])).json();
  assertEquals(servers.map((row) => row.state), ["ready", "ready", "ready"]);
});

Deno.test("up ends with 15 and names the answer when a server answers 500 for good", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { options: ["--status=500"] }) });
  const row = (await foster.expect(15, ["up", "t", "--timeout", "5s", "--json"])).row();
  assertMatch(row.message, /HTTP 500/);
  assertEquals(await foster.servers(), []);
});

Deno.test("nothing raw of what a server says reaches the terminal", async () => {
  await using foster = await Foster.create();
  const name = "\u001b[31mred\u001b[0m\u009b2J";
  await foster.define({
    dies: tiny("auto", { options: ["--escapes", "--exit=3"] }),
    lives: tiny("auto", { options: ["--escapes", `--name=${name}`, `--version=1\u001b[5m`] }),
    other: tiny("auto", { options: [`--name=${name}`], identity: { name: "plain" } }),
  });
  const runs = [
    await foster.expect(10, ["up", "dies"]),
    await foster.expect(0, ["up", "lives"]),
    await foster.expect(13, ["up", "other"]),
    await foster.expect(0, ["status", "lives"]),
    await foster.expect(0, ["ps"]),
    await foster.expect(0, ["probe", "lives"]),
    await foster.expect(0, ["logs", "lives"]),
    await foster.expect(0, ["logs", "lives", "--json"]),
    await foster.expect(0, ["logs", "dies", "--crash"]),
    await foster.expect(0, ["logs", "dies", "--events"]),
    await foster.expect(0, ["status", "lives", "--json"]),
    await foster.expect(0, ["down", "lives"]),
  ];
  for (const { stdout, stderr } of runs) assertEquals((stdout + stderr).match(RAW), null, stdout + stderr);
});

Deno.test("up leaves a foreign process on its port alone, with 14 or 13, and so does down", async () => {
  await using foster = await Foster.create();
  const port = freePort();
  const foreign = foster.startProgram("deno", tinyArgs(`--port=${port}`, "--name=foreign"));
  await foreign.stdoutLine(/listening/);
  await foster.define({ nameless: tiny(port) });
  const refused = (await foster.expect(14, ["up", "nameless", "--json"])).row();
  assertEquals([refused.state, refused.state_code], ["foreign_port", 8]);
  assert(refused.message.includes(`port ${port} is held by pid ${foreign.pid}`), refused.message);
  assertMatch(refused.hint, /--port/);
  await foster.expect(0, ["down", "nameless"]);
  await foster.expect(16, ["restart", "nameless", "--force"]);

  await foster.define({ named: tiny(port, { identity: { name: "mine" } }) });
  const incompatible = (await foster.expect(13, ["up", "named", "--json"])).row();
  assertEquals([incompatible.state, incompatible.startup_path], ["incompatible", "incompatible"]);
  assertEquals(incompatible.can_recover_incompatible, false);
  assertEquals(incompatible.connection_blocked, true);
  await foster.expect(16, ["recover", "named"]);
  await foster.expect(0, ["down", "named"]);

  await foster.define({ same: tiny(port, { identity: { name: "foreign" } }) });
  const external = (await foster.expect(0, ["up", "same", "--json"])).row();
  assertEquals([external.adoption, external.startup_path], ["external", "adopted"]);
  assertEquals(await foster.record(external.key), null);
  assertEquals((await foster.expect(0, ["status", "same", "--json"])).row().adoption, "external");
  assertMatch((await foster.expect(16, ["down", "same"])).stderr, /external, left alone/);
  await foster.expect(0, ["down", "--all"]);
  await foster.expect(16, ["restart", "same", "--force"]);
  assertEquals(await isAlive(foreign.pid), true);

  // Of another version it is in the way, and its own word is proof enough for who asks by name.
  await foster.define({
    same: tiny(port, {
      options: ["--name=foreign", "--version=2.0.0"],
      version: "^2",
      identity: { name: "foreign" },
    }),
  });
  const older = (await foster.expect(13, ["up", "same", "--json"])).row();
  assertEquals([older.can_recover_incompatible, older.recovered], [true, null]);
  assertMatch(older.hint, /foster recover "same"/);
  assertEquals(await isAlive(foreign.pid), true);
  const recovered = (await foster.expect(0, ["recover", "same", "--json"])).row();
  assertEquals(recovered.recovered, { proof: "status_name", killed: [foreign.pid] });
  assertEquals([recovered.state, recovered.server.version], ["ready", "2.0.0"]);
  assertEquals((await foster.expect(0, ["up", "same", "--json"])).row().adoption, "managed");
});

Deno.test("a state folder that can't be written ends up with a message that names it and a hint", async () => {
  await using foster = await Foster.create();
  const file = join(foster.folder, "a-file");
  await Deno.writeTextFile(file, "not a folder");
  for (const folder of [file, join(foster.folder, "x".repeat(300)), join(file, "below")]) {
    for (const args of [["up", "demo"], ["up", "demo", "--json"]]) {
      const result = await foster.run(args, { env: { FOSTER_STATE_DIR: folder } });
      // What is there and is no folder is refused before anything is tried.
      const code = folder === file ? 2 : 1;
      assertEquals(result.code, code, result.stderr);
      assert(result.stderr.includes(folder), result.stderr);
      assertMatch(result.stderr, /--state-dir|FOSTER_STATE_DIR/);
      if (args.includes("--json")) assertEquals(result.json().error?.exit_code, code);
    }
  }
  assertEquals(await Deno.readTextFile(file), "not a folder");
});

Deno.test("down ends a server that ignores SIGTERM, with its children, after its grace", async () => {
  await using foster = await Foster.create();
  await foster.define({
    t: {
      command: "deno",
      args: ["run", "-A", "-q", "--no-config", LAUNCHER, ...tinyArgs("--port=${port}", "--stubborn")],
      port: "auto",
      stop: { grace: "400ms" },
    },
  });
  const up = (await foster.expect(0, ["up", "t", "--json"])).row();
  const record = await foster.record(up.key);
  assert(record !== null && record.launcher_pid !== up.pid);
  const down = (await foster.expect(0, ["down", "t", "--json"])).row();
  assertEquals([...down.recovered?.killed ?? []].sort(), [up.pid, Number(record.launcher_pid)].sort());
  await until("their end", async () => (await foster.servers()).length === 0);
});

function firstExisting(paths: string[]): Promise<string | null> {
  return paths.reduce(
    async (found: Promise<string | null>, path) => await found ?? (await exists(path) ? path : null),
    Promise.resolve(null),
  );
}
