import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { exists, Foster, freePort, isAlive, type Result, until } from "./harness.ts";
import { tiny } from "./tiny.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));
const HOUR_S = 3600;

interface Finding {
  level: string;
  section: string;
  code: string;
  message: string;
  fix: string;
}

interface Doctor {
  findings: Finding[];
  processes: Record<string, unknown>[];
}

/** What a row of `processes` must have. */
const FIELDS = [
  ..."pid alive executable_match transport bind http_path cwd started_unix_millis parent_pid_at_start".split(
    " ",
  ),
  ..."current_parent_pid parent_alive_at_start process_group_id current_process_group_id".split(" "),
  ..."stale_client record server verdict child_pids".split(" "),
];

/** A doctor who may neither write nor reach the network, and runs nothing but what reads. */
const READ_ONLY = [
  "--allow-read",
  "--allow-env",
  "--allow-sys",
  "--allow-run=cat,ls,find,grep,readlink,ps,lsof,ss,uv",
];

async function readOnly(foster: Foster, args: readonly string[], env: Record<string, string> = {}) {
  const before = ["run", "-q", "--no-prompt", "--config", join(ROOT, "deno.json"), ...READ_ONLY];
  const command = [...before, join(ROOT, "main.ts"), ...args];
  return await foster.startProgram(Deno.execPath(), command, { env }).finish();
}

function worth(result: Pick<Result, "stdout">): Finding[] {
  const { findings }: Doctor = JSON.parse(result.stdout);
  return findings.filter(({ level }) => level !== "info");
}

/** Every file of the state folder with its text. */
async function snapshot(folder: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory) Object.assign(files, await snapshot(path));
    else files[path] = await Deno.readTextFile(path);
  }
  return files;
}

async function killServer(pid: number): Promise<void> {
  Deno.kill(pid, "SIGKILL");
  await until("its end", async () => !await isAlive(pid));
}

Deno.test("doctor names leftovers of every kind; typing what it says removes them and nothing else", async (t) => {
  await using foster = await Foster.create();
  const cache = join(foster.folder, "uv");
  const env = { UV_CACHE_DIR: cache };
  await foster.define({ alive: tiny(freePort()), dead: tiny(freePort()) });
  const alive = (await foster.expect(0, ["up", "alive", "--json"])).row();
  const dead = (await foster.expect(0, ["up", "dead", "--json"])).row();
  await foster.expect(0, ["doctor", "processes"], { env });

  // A record of the dead, a lease of the dead, an orphan, and what an interrupted build leaves.
  const deadRecord = await foster.record(dead.key);
  await killServer(dead.pid);
  const leases = join(foster.stateDir, "servers", alive.key, "leases");
  await Deno.mkdir(leases, { mode: 0o700 });
  const lease = { pid: dead.pid, start_token: deadRecord?.start_token, since: new Date().toISOString() };
  await Deno.writeTextFile(join(leases, `${dead.pid}.json`), JSON.stringify(lease), { mode: 0o600 });
  const id = (await Deno.readTextFile(join(foster.stateDir, "id"))).trim();
  const orphan = foster.startProgram("sh", ["-c", "echo up; exec sleep 60"], {
    env: { FOSTER_TOKEN: `${id}:lost:0123` },
  });
  await orphan.stdoutLine(/^up/);
  const stale = join(cache, "builds-v0", ".tmpAbC123");
  await Deno.mkdir(stale, { recursive: true });
  await Deno.writeTextFile(join(stale, "half.whl"), "x".repeat(2000));
  await Deno.utime(stale, Date.now() / 1000 - 2 * HOUR_S, Date.now() / 1000 - 2 * HOUR_S);

  const before = await snapshot(foster.stateDir);
  const named = await foster.expect(1, ["doctor", "--json"], { env });
  await t.step("it names all four and what to type, and touches nothing", async () => {
    const findings = worth(named);
    assertEquals(findings.map(({ section, code }) => `${section} ${code}`).sort(), [
      "cache stale_builds",
      "processes dead_lease",
      "processes orphan",
      "processes stale_record",
    ]);
    assertMatch(
      findings.find(({ code }) => code === "stale_builds")?.message ?? "",
      /^1 build folder .* 2000 bytes$/,
    );
    for (const row of named.json<Doctor>().processes) {
      assertEquals(Object.keys(row).sort(), [...FIELDS].sort());
    }
    assertEquals(await snapshot(foster.stateDir), before);
    assertEquals(await isAlive(orphan.pid), true);
  });

  await t.step("people are told the same", async () => {
    const { stdout } = await foster.expect(1, ["doctor"], { env });
    for (const { message, fix } of worth(named)) {
      assert(stdout.includes(message) && stdout.includes(fix), stdout);
    }
  });

  await t.step("typing it leaves everything clean", async () => {
    for (const fix of new Set(worth(named).map((finding) => finding.fix))) {
      const [command, ...args] = fix.split(" ");
      if (command === "foster") await foster.run(args, { env });
      else assertEquals((await new Deno.Command("sh", { args: ["-c", fix] }).output()).code, 0, fix);
    }
    await until("the orphan's end", async () => !await isAlive(orphan.pid));
    const after = await foster.expect(0, ["doctor", "--json"], { env });
    assertEquals(worth(after), []);
    assertEquals([await exists(stale), await exists(cache)], [false, true]);
    assertEquals([await foster.record(dead.key), await exists(join(leases, `${dead.pid}.json`))], [
      null,
      false,
    ]);
  });

  await t.step("what lives is as it was", async () => {
    const row = (await foster.expect(0, ["status", "alive", "--json"])).row();
    assertEquals([row.pid, row.state], [alive.pid, "ready"]);
  });
});

Deno.test("doctor and ps run with permission to read alone, and find the same", async () => {
  await using foster = await Foster.create();
  const env = { UV_CACHE_DIR: join(foster.folder, "uv") };
  const stale = join(env.UV_CACHE_DIR, "builds-v0", ".tmpAbC123");
  await Deno.mkdir(stale, { recursive: true });
  await Deno.utime(stale, Date.now() / 1000 - 2 * HOUR_S, Date.now() / 1000 - 2 * HOUR_S);
  const port = freePort();
  await foster.define({ alive: tiny(freePort()), dead: tiny(freePort()), blocked: tiny(port) });
  const alive = (await foster.expect(0, ["up", "alive", "--json"])).row();
  const dead = (await foster.expect(0, ["up", "dead", "--json"])).row();
  await killServer(dead.pid);
  using listener = Deno.listen({ hostname: "127.0.0.1", port });

  const ps = await readOnly(foster, ["ps", "--json"]);
  assertEquals([ps.code, ps.stderr], [0, ""]);
  const rows: { name: string; process: string }[] = JSON.parse(ps.stdout).servers;
  assertEquals(rows.map((row) => [row.name, row.process]), [["alive", "ours"], ["dead", "gone"]]);

  const doctor = await readOnly(foster, ["doctor", "--json"], env);
  assertEquals([doctor.code, doctor.stderr], [1, ""]);
  const { processes, findings }: Doctor = JSON.parse(doctor.stdout);
  assertEquals(
    processes.map(({ pid, verdict }) => [pid, verdict]).sort(),
    [[alive.pid, "ours"], [dead.pid, "gone"]].sort(),
  );
  assertEquals(worth(doctor).map(({ code }) => code), ["stale_record", "foreign_holder", "stale_builds"]);
  const held = findings.find(({ code }) => code === "foreign_holder");
  assertMatch(
    held?.message ?? "",
    new RegExp(`port ${port} of "blocked" is held by pid ${Deno.pid} deno \\(proc:`),
  );
  assertMatch(held?.fix ?? "", /^foster up blocked --port \d+$/);
  assertEquals(findings.some(({ code }) => code === "slow_path"), true);
  assertEquals(listener.addr.port, port);

  // Whether a uv holds its lock can't be tried without permission to write.
  await Deno.writeTextFile(join(env.UV_CACHE_DIR, ".lock"), "");
  const cache = await readOnly(foster, ["doctor", "cache", "--json"], env);
  assertEquals([cache.code, cache.stderr], [0, ""]);
  const guess: Doctor = JSON.parse(cache.stdout);
  assertEquals(guess.findings.map(({ level, code }) => `${level} ${code}`), ["info unknown_builds"]);
});

Deno.test("doctor suggests a port that up takes", async () => {
  await using foster = await Foster.create();
  const port = freePort();
  await foster.define({ blocked: tiny(port) });
  using _listener = Deno.listen({ hostname: "127.0.0.1", port });
  const [finding] = worth(await foster.expect(1, ["doctor", "ports", "--json"]));
  const [command, ...args] = finding?.fix.split(" ") ?? [];
  assertEquals(command, "foster");
  assertEquals((await foster.expect(0, [...args, "--json"])).row().state, "ready");
  // Kept until down, so nothing stands in its way any more.
  assertEquals(worth(await foster.expect(0, ["doctor", "ports", "--json"])), []);
});

Deno.test("doctor finds nothing to remove behind bad files, and one bad file hides no other", async () => {
  await using foster = await Foster.create();
  const servers = join(foster.stateDir, "servers");
  const dead = (await foster.expect(0, ["up", "demo", "--json"])).row();
  await killServer(dead.pid);
  await Deno.mkdir(join(servers, "huge"));
  await Deno.writeTextFile(join(servers, "huge", "record.json"), "{".repeat(10_000_000));
  await Deno.mkdir(join(servers, "a\n\u001b[31mb"));
  await Deno.writeTextFile(join(servers, "a\n\u001b[31mb", "record.json"), "{}");
  await Deno.mkdir(join(servers, "linked"));
  await Deno.symlink(join(servers, "demo", "record.json"), join(servers, "linked", "record.json"));
  await Deno.mkdir(join(foster.stateDir, "processes"));
  await Deno.writeTextFile(join(foster.stateDir, "processes", "77.json"), '{"pid":77,');

  const { stdout, stderr } = await foster.expect(1, ["doctor", "processes", "--cleanup-stale-records"]);
  // deno-lint-ignore no-control-regex
  assertMatch(stdout, /^[^\u0000-\u0009\u000b-\u001f]*$/);
  for (const name of ["huge", "a\\\\n\\\\u001b\\[31mb", "linked", "77\\.json"]) {
    assertMatch(stdout, new RegExp(name));
  }
  assertMatch(stderr, /^removed ".*\/servers\/demo\/record\.json"\n$/);
  assertEquals(await foster.record("demo"), null);
  assertEquals(await exists(join(servers, "linked", "record.json")), true);
  assertEquals(await exists(join(foster.stateDir, "processes", "77.json")), true);
});

Deno.test("doctor knows its sections, and cleans up none but processes", async () => {
  await using foster = await Foster.create();
  assertMatch((await foster.expect(2, ["doctor", "weather"])).stderr, /processes, ports, cache, tools/);
  await foster.expect(2, ["doctor", "ports", "--cleanup-stale-records"]);
  assertEquals(await exists(foster.stateDir), false);
});

Deno.test("doctor goes on when the definition file is broken", async () => {
  await using foster = await Foster.create();
  await foster.write("foster.json", "{");
  const [finding] = worth(
    await foster.expect(1, ["doctor", "--json"], { env: { UV_CACHE_DIR: foster.home } }),
  );
  assertEquals([finding?.level, finding?.code], ["error", "definition"]);
  assertMatch(finding?.message ?? "", /foster\.json/);
});
