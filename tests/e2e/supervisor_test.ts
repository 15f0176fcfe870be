/**
 * The one supervisor of a state folder, as real processes: it comes when it is needed, goes when it is not, and whoever
 * ends it loses no server.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { controlOf, enrolForClients } from "../fixtures/enrol.ts";
import { endServer, faulty, Kept, RESTART, untilGone } from "../fixtures/run_kit.ts";
import { binary, commandOf, exists, Foster, isAlive, type Row, until } from "./harness.ts";
import { sessionOf } from "../fixtures/machine.ts";
import { tiny } from "./tiny.ts";
import { unless } from "../skip.ts";

const STDIO = fromFileUrl(new URL("../fixtures/stdio_server.ts", import.meta.url));

interface SupervisorFile {
  pid: number;
  start_token: string;
  version: string;
  endpoint: string;
  since: string;
}

async function supervisorOf(foster: Foster): Promise<SupervisorFile> {
  return await until("supervisor.json", () => supervisorNow(foster));
}

async function supervisorNow(foster: Foster): Promise<SupervisorFile | null> {
  const text = await Deno.readTextFile(join(foster.stateDir, "supervisor.json")).catch(() => null);
  return text === null ? null : JSON.parse(text);
}

async function statusOf(
  foster: Foster,
  name: string,
): Promise<Row & { supervised: boolean; restarts: number }> {
  return (await foster.run(["status", name, "--json"])).row() as Row & {
    supervised: boolean;
    restarts: number;
  };
}

/** Waits until the server is ready as another process than `not`. */
async function againReady(foster: Foster, name: string, not: number): Promise<Row> {
  return await until(`${name} again`, async () => {
    const row = await statusOf(foster, name);
    return row.state === "ready" && row.pid !== not && row;
  });
}

function many(count: number, options: Record<string, unknown> = {}): Record<string, unknown> {
  return Object.fromEntries(
    Array.from(
      { length: count },
      (_, index) => [`s${index}`, tiny("auto", { restart: RESTART, ...options })],
    ),
  );
}

Deno.test("twenty verbs at once start one supervisor, which keeps all their servers", async () => {
  await using foster = await Foster.create();
  await foster.define(many(5));
  const names = Array.from({ length: 20 }, (_, index) => `s${index % 5}`);
  const ups = await Promise.all(
    names.map((name) => foster.run(["up", name, "--supervise"], { timeoutMs: 120_000 })),
  );
  assertEquals(ups.map(({ code }) => code), names.map(() => 0), ups.map(({ stderr }) => stderr).join(""));
  const { pid } = await supervisorOf(foster);
  const log = await Deno.readTextFile(join(foster.stateDir, "supervisor.log"));
  assertEquals(log.split('"type":"started"').length, 2, log);
  for (const name of new Set(names)) {
    const row = await statusOf(foster, name);
    assertEquals([row.state, row.supervised], ["ready", true]);
    assertEquals((await foster.record(row.key))?.supervisor, {
      pid,
      start_token: (await supervisorOf(foster)).start_token,
    });
  }
  const shown = (await foster.expect(0, ["ps", "--json"])).json<
    { supervisor: { pid: number; servers: number } }
  >();
  assertEquals([shown.supervisor.pid, shown.supervisor.servers], [pid, 5]);
  // At once after `down --all`, although it would stay for ten seconds otherwise.
  await foster.expect(0, ["down", "--all"]);
  assertEquals([await isAlive(pid), await supervisorNow(foster)], [false, null]);
});

Deno.test("the supervisor has a session of its own, private files, and ends once nothing is left", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { restart: RESTART }) });
  await foster.expect(0, ["up", "t", "--supervise"]);
  const { pid, endpoint } = await supervisorOf(foster);
  assertEquals(await sessionOf(pid), pid);
  for (
    const name of ["supervisor.json", "supervisor.log", "control.token", "gateway.token", "enrolled.json"]
  ) {
    assertEquals((await Deno.stat(join(foster.stateDir, name))).mode! & 0o777, 0o600, name);
  }
  assertMatch(endpoint, /^http:\/\/127\.0\.0\.1:\d+$/);
  const stoppedAt = performance.now();
  await foster.expect(0, ["down", "t"]);
  assert(await isAlive(pid));
  await until("its end", async () => !await isAlive(pid));
  assert(performance.now() - stoppedAt > 8000);
  assertEquals(await supervisorNow(foster), null);
});

Deno.test("the control channel wants its own token, whatever the gateway's says", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { restart: RESTART }) });
  await foster.expect(0, ["serve", "--detach", "--no-token"]);
  const { endpoint } = await supervisorOf(foster);
  const ask = (path: string, init: RequestInit) =>
    fetch(`${endpoint}${path}`, { method: "POST", body: "{}", ...init });
  const gateway = (await Deno.readTextFile(join(foster.stateDir, "control.token"))).trim();
  const codes = await Promise.all([
    ask("/control/state", {}),
    ask("/control/state", { headers: { authorization: `Bearer ${"0".repeat(64)}` } }),
    ask("/control/state", { headers: { authorization: `Bearer ${gateway}`, origin: endpoint } }),
    ask("/control/state", { headers: { authorization: `Bearer ${gateway}` } }),
    ask("/control/hello", { body: JSON.stringify({ nonce: "x" }) }),
  ].map(async (response) => {
    const { status, body } = await response;
    await body?.cancel();
    return status;
  }));
  assertEquals(codes, [401, 401, 403, 200, 400]);
});

Deno.test("a supervisor that was killed is replaced by the next verb, which adopts what lives and starts what is gone", async () => {
  await using foster = await Foster.create();
  await foster.define({ ...many(2), other: tiny("auto") });
  await foster.expect(0, ["up", "s0", "s1", "--supervise"]);
  const [first, second] = [await statusOf(foster, "s0"), await statusOf(foster, "s1")];
  const killed = await supervisorOf(foster);
  endServer(killed.pid);
  await untilGone(killed.pid);
  endServer(second.pid);
  await untilGone(second.pid);
  assertEquals([(await statusOf(foster, "s0")).supervised, await isAlive(first.pid)], [false, true]);

  await foster.expect(0, ["up", "other"]);
  const next = await supervisorOf(foster);
  assertNotEquals(next.pid, killed.pid);
  assertEquals(next.endpoint, killed.endpoint);
  await againReady(foster, "s1", second.pid);
  const adopted = await until("the first to be kept", async () => {
    const row = await statusOf(foster, "s0");
    return row.supervised && row;
  });
  assertEquals(adopted.pid, first.pid);
  endServer(first.pid);
  assertEquals((await againReady(foster, "s0", first.pid)).endpoint, first.endpoint);
});

Deno.test("a supervisor that stood still for longer than any probe restarts nothing", async () => {
  await using foster = await Foster.create();
  await foster.define(many(3, { ready: { timeout: "15s", probeTimeout: "1s" } }));
  await foster.expect(0, ["up", "--supervise"]);
  const { pid } = await supervisorOf(foster);
  const before = await Promise.all(["s0", "s1", "s2"].map((name) => statusOf(foster, name)));
  Deno.kill(pid, "SIGSTOP");
  try {
    // A verb works without it.
    await foster.expect(0, ["up", "s0"]);
    const doctor = (await foster.run(["doctor", "processes", "--json"])).json<
      { findings: { code: string; fix: string }[] }
    >();
    const finding = doctor.findings.find(({ code }) => code === "supervisor_silent");
    assertMatch(finding?.fix ?? "", new RegExp(`kill -KILL ${pid}`));
  } finally {
    Deno.kill(pid, "SIGCONT");
  }
  await until("an answer", async () => (await foster.run(["serve", "--detach"])).code === 0);
  const after = await Promise.all(["s0", "s1", "s2"].map((name) => statusOf(foster, name)));
  assertEquals(after.map((row) => [row.pid, row.restarts]), before.map((row) => [row.pid, 0]));
});

Deno.test("what somebody removes of its files is there again, and no second supervisor comes", async () => {
  await using foster = await Foster.create();
  await foster.define(many(2));
  await foster.expect(0, ["up", "s0", "--supervise"]);
  const { pid } = await supervisorOf(foster);
  await Deno.remove(join(foster.stateDir, "supervisor.lock"));
  await foster.expect(0, ["up", "s1", "--supervise"]);
  assertEquals((await supervisorOf(foster)).pid, pid);
  await Deno.remove(join(foster.stateDir, "supervisor.json"));
  await until("supervisor.json", async () => (await supervisorNow(foster))?.pid === pid);
  await until("the lock file", () => exists(join(foster.stateDir, "supervisor.lock")));
});

Deno.test("a state folder that was removed is made again by who supervises there: no server is lost", async () => {
  await using foster = await Foster.create();
  await foster.define(many(2));
  await foster.expect(0, ["up", "--supervise"]);
  const { pid } = await supervisorOf(foster);
  const before = await Promise.all(["s0", "s1"].map((name) => statusOf(foster, name)));
  // Whoever supervises there may write while the folder is taken away.
  await until(
    "the removal",
    () => Deno.remove(foster.stateDir, { recursive: true }).then(() => true, () => false),
  );
  await until("its file", async () => (await supervisorNow(foster))?.pid === pid);
  for (const { key, pid: own } of before) {
    await until("the record", async () => (await foster.record(key))?.pid === own);
  }
  for (const { name, pid: own } of before) assertEquals((await statusOf(foster, name)).pid, own);
});

Deno.test("serve says 14 where its port is somebody else's, and supervision works all the same", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { restart: RESTART }) });
  await foster.expect(0, ["serve", "--detach"]);
  const { endpoint } = await supervisorOf(foster);
  await foster.expect(0, ["serve", "--stop"]);
  const holder = Deno.listen({ hostname: "127.0.0.1", port: Number(new URL(endpoint).port) });
  try {
    const refused = await foster.expect(14, ["serve", "--detach"]);
    assertMatch(refused.stderr, /--port auto/);
    await foster.expect(0, ["up", "t", "--supervise"]);
    assertEquals((await statusOf(foster, "t")).supervised, true);
    assertNotEquals((await supervisorOf(foster)).endpoint, endpoint);
  } finally {
    holder.close();
  }
});

Deno.test("serve --port auto leaves a port that is somebody else's for another one, and renews the token", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { restart: RESTART }) });
  await foster.expect(0, ["serve", "--detach"]);
  const { endpoint } = await supervisorOf(foster);
  const token = await Deno.readTextFile(join(foster.stateDir, "gateway.token"));
  assertEquals((await foster.run(["serve", "--port", "auto"])).code, 2, "what runs keeps its address");
  await foster.expect(0, ["serve", "--stop"]);
  const holder = Deno.listen({ hostname: "127.0.0.1", port: Number(new URL(endpoint).port) });
  try {
    await foster.expect(0, ["up", "t", "--supervise"]);
    const before = await statusOf(foster, "t");
    await foster.expect(0, ["serve", "--detach", "--port", "auto"]);
    const chosen = await supervisorOf(foster);
    assertNotEquals(chosen.endpoint, endpoint);
    assertNotEquals(await Deno.readTextFile(join(foster.stateDir, "gateway.token")), token);
    assertEquals((await statusOf(foster, "t")).pid, before.pid);
    await foster.expect(0, ["serve", "--stop"]);
    await foster.expect(0, ["serve", "--detach"]);
    assertEquals((await supervisorOf(foster)).endpoint, chosen.endpoint, "chosen for good");
  } finally {
    holder.close();
  }
});

Deno.test("what serve said of token, address and names lasts until --stop, whoever brings the supervisor back", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { restart: RESTART }) });
  const answer = async (host: string) => {
    const { port } = new URL((await supervisorOf(foster)).endpoint);
    const command = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", `Host: ${host}:${port}`];
    const { stdout } = await new Deno.Command("curl", {
      args: [...command, `http://127.0.0.1:${port}/metrics`],
    }).output();
    return new TextDecoder().decode(stdout);
  };
  await foster.expect(0, ["serve", "--detach", "--no-token", "--host", "devbox"]);
  assertEquals([await answer("devbox"), await answer("other")], ["200", "403"]);
  assertEquals((await foster.run(["serve", "--host", "other"])).code, 2, "not changed under its clients");
  const { pid } = await supervisorOf(foster);
  Deno.kill(pid, "SIGKILL");
  await untilGone(pid);
  await foster.expect(0, ["up", "t", "--supervise"]);
  assertEquals([await answer("devbox"), await answer("other")], ["200", "403"]);
  await foster.expect(0, ["serve", "--replace", "--detach"]);
  assertEquals(await answer("devbox"), "200");
  await foster.expect(0, ["serve", "--stop"]);
  await foster.expect(0, ["serve", "--detach"]);
  assertEquals([await answer("devbox"), await answer("localhost")], ["403", "401"]);
});

Deno.test("a gateway on one other address is reached by verbs all the same", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { restart: RESTART }) });
  // Deno's scoped permissions name three addresses, and not this one.
  const runner = binary === null ? "all" : "default";
  await foster.expect(0, ["serve", "--detach", "--listen", "127.0.0.2"], { runner });
  const { endpoint } = await supervisorOf(foster);
  const { port, hostname } = new URL(endpoint);
  assertEquals(hostname, "127.0.0.1");
  await foster.expect(0, ["up", "t", "--supervise"]);
  assertEquals((await statusOf(foster, "t")).supervised, true);
  const other = await fetch(`http://127.0.0.2:${port}/healthz`);
  await other.body?.cancel();
  assertEquals(other.status, 403, "another Host");
});

Deno.test("a serve in the foreground that is interrupted is not brought back by the next verb", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { restart: RESTART }) });
  const running = foster.start(["serve"]);
  await running.stdoutLine(/serves http/);
  running.kill("SIGINT");
  await running.finish();
  await foster.expect(0, ["up", "t"]);
  assertEquals(await supervisorNow(foster), null);
});

Deno.test("a second serve prints the same address, another port is refused", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto") });
  type Served = { supervisor: { pid: number; endpoint: string; token_file: string }; servers: Row[] };
  const first = (await foster.expect(0, ["serve", "--detach", "--json"])).json<Served>();
  const second = (await foster.expect(0, ["serve", "--json"])).json<Served>();
  assertEquals(second.supervisor, first.supervisor);
  assertEquals(await exists(first.supervisor.token_file), true);
  assertEquals(second.servers.map(({ name, state }) => [name, state]), [["t", "stopped"]]);
  assertEquals((await foster.run(["serve", "--port", "1999"])).code, 2);
  const port = new URL(first.supervisor.endpoint).port;
  await foster.expect(0, ["serve", "--stop"]);
  const again = (await foster.expect(0, ["serve", "--detach", "--json"])).json<Served>();
  assertEquals(new URL(again.supervisor.endpoint).port, port);
});

Deno.test("run in a project shows every server's lines, and enrols where a supervisor runs", async () => {
  await using foster = await Foster.create();
  await foster.define({ one: tiny("auto", { restart: RESTART }), two: faulty() });
  const alone = foster.start(["run"]);
  await alone.stdoutLine(/^one \| ready: /);
  await alone.stdoutLine(/^two \| ready: /);
  await alone.stdoutLine(/^two \| listening$/);
  assertEquals((await supervisorOf(foster)).pid, alone.pid);
  alone.kill("SIGINT");
  assertEquals((await alone.finish()).code, 0);
  assertEquals([await foster.servers(), await supervisorNow(foster)], [[], null]);

  await foster.expect(0, ["serve", "--detach"]);
  const { pid } = await supervisorOf(foster);
  const beside = foster.start(["run", "one"]);
  const line = await beside.stdoutLine(/^one \| ready: .* pid \d+/);
  const server = Number(/pid (\d+)/.exec(line)?.[1]);
  assertEquals(
    ((await foster.record((await statusOf(foster, "one")).key))?.supervisor as { pid: number }).pid,
    pid,
  );
  endServer(server);
  await beside.stdoutLine(/^one \| restarting/);
  await againReady(foster, "one", server);
  beside.kill("SIGINT");
  assertEquals((await beside.finish()).code, 0);
  assertEquals([await foster.servers(), await isAlive(pid)], [[], true]);
});

Deno.test("run beside a supervisor that is killed goes on with the next one", async () => {
  await using foster = await Foster.create();
  await foster.define({ one: tiny("auto", { restart: RESTART }) });
  await foster.expect(0, ["serve", "--detach"]);
  const running = foster.start(["run", "--json"]);
  await running.stdoutLine(/"type":"ready"/);
  const { pid: server } = await statusOf(foster, "one");
  const { pid } = await supervisorOf(foster);
  endServer(pid);
  await untilGone(pid);
  await until("the next supervisor", async () => {
    const found = await supervisorNow(foster);
    return found !== null && found.pid !== pid && (await statusOf(foster, "one")).supervised;
  });
  assertEquals((await statusOf(foster, "one")).pid, server);
  endServer(server);
  await againReady(foster, "one", server);
  running.kill("SIGINT");
  assertEquals((await running.finish()).code, 0);
  assertEquals(await foster.servers(), []);
});

Deno.test("run starts servers side by side in the order of the file, and ends with the first one's failure", async () => {
  await using foster = await Foster.create();
  await foster.define({
    slow: tiny("auto", { restart: RESTART, options: ["--delay=1500"] }),
    ended: { command: "sh", args: ["-c", "sleep 1; exit 3"], port: "auto", restart: { ...RESTART, max: 0 } },
    missing: { command: "there-is-no-such-program", port: "auto" },
  });
  const running = foster.start(["run", "--json"]);
  await running.stdoutLine(/"type":"ready".*"slow"/);
  const begun = async (name: string) => {
    const { key } = await statusOf(foster, name);
    const events = await foster.events(key);
    return [events.find(({ event }) => event === "spawning"), events.find(({ event }) => event === "ready")];
  };
  const [[slow, ready], [other]] = await Promise.all([begun("slow"), begun("ended")]);
  assert(slow !== undefined && ready !== undefined && other !== undefined);
  assert(other.at < ready.at, "the second is not made to wait for the first");
  await running.stdoutLine(/"type":"outcome".*"no_command"/);
  await running.stdoutLine(/"type":"outcome".*"(?:exhausted|crashed)"/);
  running.kill("SIGINT");
  // Of the order given, not of the order in which they failed: the program that is missing failed first.
  const { code } = await running.finish();
  assert(code === 10 || code === 17, String(code));
});

Deno.test("a second Ctrl-C ends what run keeps by force", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: { ...faulty({ options: ["--stubborn"] }), stop: { grace: "60s" } } });
  const running = foster.start(["run"]);
  await running.stdoutLine(/^t \| ready/);
  const { key } = await statusOf(foster, "t");
  running.kill("SIGINT");
  await until("it stops", async () => (await foster.record(key))?.state === "stopping");
  running.kill("SIGINT");
  await running.finish();
  assertEquals(await foster.servers(), []);
});

Deno.test("run --watch starts what comes and stops what goes, whatever it speaks", async () => {
  await using foster = await Foster.create();
  const docs = { command: "deno", args: ["run", "-q", "--no-lock", "-A", STDIO, "older"] };
  await foster.define({ t: tiny("auto", { restart: RESTART }), docs });
  const running = foster.start(["run", "--watch", "--json"]);
  for (const name of ["t", "docs"]) await running.stdoutLine(new RegExp(`"type":"ready".*"${name}"`));
  const { pid } = await statusOf(foster, "docs");
  const { key: gone } = await statusOf(foster, "t");
  await foster.define({ docs, more: { ...docs, env: { X: "1" } }, u: tiny("auto", { restart: RESTART }) });
  const changed = await running.stdoutLine(/config_changed/, 3000);
  assertMatch(changed, /\\"more\\", \\"u\\" came, \\"t\\" went/);
  for (const name of ["u", "more"]) await running.stdoutLine(new RegExp(`"type":"ready".*"${name}"`));
  assertEquals((await statusOf(foster, "docs")).pid, pid);
  await until("the record is gone", async () => await foster.record(gone) === null);
  running.kill("SIGINT");
  await running.finish();
  assertEquals(await foster.servers(), []);
});

Deno.test("run says what changed in its definition file, and applies it with --watch", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { restart: RESTART }) });
  const kept = await Kept.ready(foster, "t", { args: ["--watch"] });
  const { pid } = await kept.row();
  await foster.define({ t: tiny("auto", { restart: RESTART, options: ["--version=2.0.0"] }) });
  assertMatch(String((await kept.event("config_changed", 1, 5000)).message), /"t" changed/);
  const again = await againReady(foster, "t", pid);
  assertEquals(again.server.version, "2.0.0");
  assertEquals(await kept.stop(), 0);
});

Deno.test("connect hears of variables that are not set, and of a server that runs with other ones, never a value", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { restart: RESTART, env: { KEY: "${env:API_KEY}" } }) });
  const call = async (env: Record<string, string>) => {
    const running = foster.start(["connect", "t"], { stdin: true, env });
    const params = {
      protocolVersion: "2025-06-18",
      capabilities: {},
      clientInfo: { name: "c", version: "1" },
    };
    await running.write(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params }) + "\n");
    await running.write(JSON.stringify({ jsonrpc: "2.0", id: 2, method: "tools/list", params: {} }) + "\n");
    await running.stdoutLine(/"id":2/);
    return running;
  };
  const first = await call({});
  assertMatch(first.stderr, /"t": \$\{env:API_KEY\} is not set here/);
  const second = await call({ API_KEY: "a-secret-value" });
  assertMatch(second.stderr, /"t" runs with another \$\{env:API_KEY\} than is set here/);
  assert(!(second.stderr + second.stdout).includes("a-secret-value"));
  for (const running of [first, second]) running.kill("SIGTERM");
});

Deno.test("a restart has the environment of the last up, not of who started the supervisor", async () => {
  await using foster = await Foster.create();
  const given = join(foster.folder, "given");
  await foster.define({ t: faulty({ options: [`--given=${given}`] }), first: tiny("auto") });
  await foster.expect(0, ["up", "first", "--supervise"], { env: { SAID: "by the first" } });
  await foster.expect(0, ["up", "t", "--supervise"], { env: { SAID: "by up" } });
  const environments = async () =>
    (await Deno.readTextFile(given)).trim().split("\n").map((line) => JSON.parse(line).SAID);
  endServer((await statusOf(foster, "t")).pid);
  await until("the second start", async () => (await environments()).length === 2);
  assertEquals(await environments(), ["by up", "by up"]);
  const { pid } = await until("it being ready", async () => {
    const row = await statusOf(foster, "t");
    return row.state === "ready" && row;
  });
  await foster.expect(0, ["restart", "t"], { env: { SAID: "by restart" } });
  assertNotEquals((await statusOf(foster, "t")).pid, pid);
  endServer((await statusOf(foster, "t")).pid);
  await until("the fourth start", async () => (await environments()).length === 4);
  assertEquals((await environments()).slice(2), ["by restart", "by restart"]);
});

Deno.test("a server that is restarted after its supervisor was killed has the environment that it ran with", async () => {
  await using foster = await Foster.create();
  const given = join(foster.folder, "given");
  await foster.define({ t: faulty({ options: [`--given=${given}`] }), other: tiny("auto") });
  await foster.expect(0, ["up", "t", "--supervise"], { env: { SAID: "by up" } });
  const { pid } = await statusOf(foster, "t");
  const killed = await supervisorOf(foster);
  endServer(killed.pid);
  await untilGone(killed.pid);
  await foster.expect(0, ["up", "other"], { env: { SAID: "by another" } });
  await until("it being kept again", async () => (await statusOf(foster, "t")).supervised);
  endServer(pid);
  await againReady(foster, "t", pid);
  const said = (await Deno.readTextFile(given)).trim().split("\n").map((line) => JSON.parse(line).SAID);
  assertEquals(said, ["by up", "by up"]);
});

Deno.test("a server that was started for clients ends with the supervisor, one that up started stays", async () => {
  await using foster = await Foster.create();
  await foster.define(many(2));
  await foster.expect(0, ["serve", "--detach"]);
  const forClients = await enrolForClients(foster, "s0", 60_000);
  await foster.expect(0, ["up", "s1", "--supervise"]);
  const pinned = await statusOf(foster, "s1");
  await foster.expect(0, ["serve", "--stop"]);
  assertEquals([await isAlive(forClients.pid), await isAlive(pinned.pid)], [false, true]);
  await foster.expect(0, ["up", "s1"]);
  await until("it being kept again", async () => (await statusOf(foster, "s1")).supervised);
  assertEquals((await statusOf(foster, "s1")).pid, pinned.pid);
});

Deno.test("an older supervisor makes room for a higher version, and hands its environments on", async () => {
  await using foster = await Foster.create();
  const given = join(foster.folder, "given");
  await foster.define({ t: faulty({ options: [`--given=${given}`] }) });
  await foster.expect(0, ["up", "t", "--supervise"], { env: { SAID: "before" } });
  const { pid } = await statusOf(foster, "t");
  const older = await supervisorOf(foster);
  await Deno.writeTextFile(
    join(foster.stateDir, "supervisor.json"),
    JSON.stringify({ ...older, version: "0.0.9" }),
    { mode: 0o600 },
  );
  await foster.expect(0, ["serve", "--detach"]);
  const newer = await supervisorOf(foster);
  assertNotEquals(newer.pid, older.pid);
  await untilGone(older.pid);
  await until("it being kept", async () => (await statusOf(foster, "t")).supervised);
  assertEquals((await statusOf(foster, "t")).pid, pid);
  endServer(pid);
  await againReady(foster, "t", pid);
  const last = (await Deno.readTextFile(given)).trim().split("\n").map((line) => JSON.parse(line).SAID);
  assertEquals(last, ["before", "before"]);
  // The same version, or a lower one, uses what runs.
  const higher = { ...newer, version: "99.0.0" };
  await Deno.writeTextFile(join(foster.stateDir, "supervisor.json"), JSON.stringify(higher), { mode: 0o600 });
  await foster.expect(0, ["serve", "--detach"]);
  assertEquals(await isAlive(newer.pid), true);
});

const GROUPS = "/sys/fs/cgroup/systemd";

function whyNoUnits(): string | null {
  const probe = join(GROUPS, `probe-${crypto.randomUUID()}.service`);
  try {
    Deno.mkdirSync(probe);
    Deno.removeSync(probe);
    return null;
  } catch {
    return `no unit can be made in ${GROUPS}`;
  }
}

Deno.test(
  unless(whyNoUnits(), "the supervisor leaves the service it was started from, or says what it ends with"),
  async () => {
    await using foster = await Foster.create();
    await foster.define({ t: tiny("auto", { restart: RESTART }) });
    const unit = `client-${crypto.randomUUID()}.service`;
    const group = join(GROUPS, unit);
    await Deno.mkdir(group);
    const tools = join(foster.folder, "tools");
    await Deno.mkdir(tools);
    const command = commandOf(Deno.env.get("FOSTER_BIN") === undefined ? "all" : "default");
    const env = { XDG_RUNTIME_DIR: foster.folder, PATH: `${tools}:${Deno.env.get("PATH")}` };
    const inUnit = async (args: string[]) => {
      const script = ["-c", 'echo $$ > "$0"/cgroup.procs && exec "$@"', group];
      const running = foster.startProgram("sh", [...script, ...command, ...args], { env });
      assertEquals((await running.finish()).code, 0, running.stderr);
    };
    const endsWith = async () => {
      const { supervisor } = (await foster.run(["status", "t", "--json"])).json<
        { supervisor: { ends_with: string | null } }
      >();
      return supervisor.ends_with;
    };
    try {
      // One that fails: nobody is there to ask.
      const tool = join(tools, "systemd-run");
      await Deno.writeTextFile(tool, "#!/bin/sh\necho no bus >&2\nexit 1\n", { mode: 0o755 });
      await inUnit(["up", "t", "--supervise"]);
      assertEquals(await endsWith(), unit);
      assertMatch((await foster.run(["status", "t"])).stderr, new RegExp(`ends it with ${unit}`));
      await foster.expect(0, ["down", "--all"]);
      await foster.expect(0, ["serve", "--stop"]);
      await Deno.writeTextFile(
        tool,
        `#!/bin/sh\n[ "$1 $2" = "--user --scope" ] || exit 2\necho $$ > ${GROUPS}/cgroup.procs\n` +
          'while [ "$1" != "--" ]; do shift; done\nshift\nexec "$@"\n',
      );
      await inUnit(["up", "t", "--supervise"]);
      assertEquals(await endsWith(), null);
      const { pid } = await supervisorOf(foster);
      assert(!(await Deno.readTextFile(`/proc/${pid}/cgroup`)).includes(unit));
      await foster.expect(0, ["down", "--all"]);
    } finally {
      await foster.run(["serve", "--stop"]);
      await foster.run(["down", "--all"]);
      await until("the unit is empty", () => Deno.remove(group).then(() => true, () => false));
    }
  },
);

Deno.test("control tells who is kept", async () => {
  await using foster = await Foster.create();
  await foster.define({ t: tiny("auto", { restart: RESTART }) });
  await foster.expect(0, ["up", "t", "--supervise"]);
  const state = await (await controlOf(foster)).state();
  assertEquals(state.servers.map(({ name, by }) => [name, by]), [["t", "up"]]);
  assertEquals(state.pid, (await supervisorOf(foster)).pid);
});
