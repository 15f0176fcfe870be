/** Servers that speak stdio, as a user has them: by the verbs, and by HTTP at the gateway's address. */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { fromFileUrl } from "@std/path";
import { binary, Foster, isAlive, type Row, type RunOptions, until } from "./harness.ts";
import { noInterrupt, notLinux, unless } from "../skip.ts";
import { tiny } from "./tiny.ts";

const SERVER = fromFileUrl(new URL("../fixtures/stdio_server.ts", import.meta.url));
const stdio = (mode: string) => ({ command: "deno", args: ["run", "-q", "--no-lock", "-A", SERVER, mode] });

/** Where foster may look into /proc itself. */
const WHOLE = { runner: binary === null ? "all" : "default" } as const;

/** Ends the supervisor, so that the test leaves nothing behind. */
async function ended(foster: Foster): Promise<void> {
  await foster.run(["serve", "--stop"]);
}

const rowOf = (rows: Row[], name: string) =>
  rows.find((row) => row.name === name) as Row & { on_demand?: boolean };

Deno.test("up, ps, status, logs, restart and down treat a stdio server like a server that listens", async () => {
  await using foster = await Foster.create();
  await foster.write(".mcp.json", JSON.stringify({ mcpServers: { docs: stdio("both") } }));
  const up = (await foster.expect(0, ["up", "--json"])).row();
  assertEquals([up.state, up.server.name, up.adoption], ["ready", "stdio-server", "managed"]);
  assertMatch(up.endpoint, /^http:\/\/127\.0\.0\.1:\d+\/mcp\/docs-[0-9a-f]{8}$/);
  const listed = rowOf((await foster.expect(0, ["ps", "--json"])).json().servers, "docs");
  assertEquals([listed.state, listed.pid, listed.endpoint, listed.on_demand], [
    "ready",
    up.pid,
    up.endpoint,
    false,
  ]);
  const status = (await foster.expect(0, ["status", "docs", "--json"])).row();
  assertEquals([status.pid, status.server], [up.pid, up.server]);
  assertEquals(listed.server, up.server);
  assert((status as Row & { uptime_ms: number | null }).uptime_ms !== null);
  assertMatch((await foster.expect(0, ["ps"])).stderr, /keeps 1 server,/);
  const top = (await foster.expect(0, ["top", "--once", "--json"])).json().servers;
  assertEquals(top.map((row) => [row.name, row.state, row.pid]), [["docs", "ready", up.pid]]);
  const served = rowOf((await foster.expect(0, ["serve", "--detach", "--json"])).json().servers, "docs");
  assertEquals([served.state, served.pid, served.endpoint], ["ready", up.pid, up.endpoint]);
  assertMatch((await foster.expect(0, ["logs", "docs"])).stdout, new RegExp(`started as ${up.pid}`));
  assertEquals((await foster.expect(0, ["up", "docs", "--json"])).row().pid, up.pid, "it is there already");
  assertMatch((await foster.expect(0, ["logs", "docs"])).stdout, /^a banner that is no JSON$/m);
  const again = (await foster.expect(0, ["restart", "docs", "--json"])).row();
  assertNotEquals(again.pid, up.pid);
  assertEquals(again.endpoint, up.endpoint);
  assertEquals((await foster.expect(0, ["down", "docs", "--json"])).row().state, "stopped");
  const left = rowOf((await foster.expect(0, ["ps", "--json"])).json().servers, "docs");
  assertEquals([left.state, left.on_demand], ["stopped", true]);
  assertEquals((await foster.expect(0, ["down", "docs"])).stdout, "✓ docs  stopped\n  it was not running\n");
  const pinned = (await foster.expect(0, ["up", "docs", "--json"])).row();
  const stop = (await foster.expect(0, ["serve", "--stop"])).stderr;
  assertMatch(stop, /^The supervisor \(pid \d+\) has ended, and with it: docs\.\n$/);
  assert(!await isAlive(pinned.pid ?? 0));
  assertEquals((await foster.expect(0, ["serve", "--stop"])).stderr, "No supervisor is running.\n");
  assertEquals((await foster.expect(0, ["down", "--all"])).stderr, "No server to stop.\n");
});

Deno.test("a stdio server that up pinned is pinned by the supervisor that takes another's place, too, with its environment", async () => {
  await using foster = await Foster.create();
  await foster.define({ docs: stdio("both") });
  const by = (verb: string) => ({ env: { STARTED_BY: verb } });
  const { pid } = (await foster.expect(0, ["up", "docs", "--json"], by("up"))).row();
  await foster.expect(0, ["serve", "--detach", "--replace"], by("serve"));
  const row = await until("the next supervisor has started it", async () => {
    const found = rowOf((await foster.expect(0, ["ps", "--json"])).json().servers, "docs");
    return found.state === "ready" ? found : null;
  });
  assertNotEquals(row.pid, pid);
  assertEquals(row.on_demand, false);
  if (Deno.build.os === "linux") {
    const environment = (await Deno.readTextFile(`/proc/${row.pid}/environ`)).split("\0");
    assertEquals(environment.filter((entry) => entry.startsWith("STARTED_BY=")), ["STARTED_BY=up"]);
  }
  await ended(foster);
});

Deno.test("a stdio server whose command is not found is no_command, and what to do comes before where foster looked", async () => {
  await using foster = await Foster.create();
  await foster.define({ nowhere: { command: "no-such-program" } });
  const row = (await foster.expect(11, ["up", "--json"])).row();
  assertEquals([row.state, row.hint], [
    "no_command",
    'install no-such-program, or give its full path as "command"',
  ]);
  const { stdout } = await foster.expect(11, ["up"]);
  assertEquals(stdout, "✗ nowhere  no command\n");
  await ended(foster);
});

Deno.test("a stdio server that crashes at its start is told at once, with its last words", async () => {
  await using foster = await Foster.create();
  await foster.define({ broken: stdio("crash"), docs: stdio("older") });
  const { servers } = (await foster.expect(10, ["up", "--json"])).json();
  assertMatch(rowOf(servers, "broken").message, /exit code 3.*no module named nothing/s);
  assertEquals(rowOf(servers, "docs").state, "ready");
  await foster.expect(0, ["down"]);
  await ended(foster);
});

Deno.test("probe of a stdio server starts it for the probe and ends it", async () => {
  await using foster = await Foster.create();
  await foster.define({ docs: stdio("both") });
  const probed = (await foster.expect(0, ["probe", "docs", "--tool", "echo", "--json"])).json<
    Record<string, unknown>
  >();
  assertEquals([probed.ok, probed.missing_tools], [true, []]);
  assertEquals(
    (await foster.expect(1, ["probe", "docs", "--tool", "nothing", "--json"])).json<Record<string, unknown>>()
      .ok,
    false,
  );
  assertEquals((await foster.expect(0, ["ps", "--json"])).json().servers, []);
  await ended(foster);
});

Deno.test("serve --detach: two clients at two addresses, a killed server between two calls, the token needed", async () => {
  await using foster = await Foster.create();
  await foster.define({ one: stdio("older"), two: stdio("newer") });
  const { supervisor, servers } = (await foster.expect(0, ["serve", "--detach", "--json"]))
    .json() as unknown as {
      supervisor: { endpoint: string; token_file: string; pid: number };
      servers: Row[];
    };
  const token = (await Deno.readTextFile(supervisor.token_file)).trim();
  assertEquals((await foster.expect(0, ["status", "one"])).code, 0, "it sleeps, as it should");
  const refused = await fetch(rowOf(servers, "one").endpoint, { method: "POST" });
  assertEquals(refused.status, 401);
  await refused.body?.cancel();
  const clients = await Promise.all(["one", "two"].map(async (name) => {
    const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode: "auto" } });
    const requestInit = { headers: { authorization: `Bearer ${token}` } };
    await client.connect(
      new StreamableHTTPClientTransport(new URL(rowOf(servers, name).endpoint), { requestInit }),
    );
    return client;
  }));
  const pidOf = async (client: Client) => {
    const { content } = await client.callTool({ name: "pid", arguments: {} });
    return Number((content as { text: string }[])[0]?.text);
  };
  for (const client of clients) {
    const pid = await pidOf(client);
    Deno.kill(pid, "SIGKILL");
    // A call that it was sent while it died could have run.
    while (
      (await foster.expect(0, ["ps", "--json"])).json().servers.some((row) => row.pid === pid)
    ) { /* looks again */ }
    assertNotEquals(await pidOf(client), pid);
  }
  const rows = (await foster.expect(0, ["ps", "--json"])).json().servers;
  assert(rows.every(({ state }) => state === "ready"), JSON.stringify(rows));
  await Promise.all(clients.map((client) => client.close()));
  assertMatch(
    (await foster.expect(0, ["down", "--all"])).stderr,
    /^The gateway still runs, and starts servers that are asked for \(pid \d+\): foster serve --stop ends it\.$/m,
  );
  assertMatch((await foster.expect(0, ["ps"])).stdout, /stopped \(on demand\)/);
  await foster.expect(0, ["serve", "--stop"]);
  const unserved = await foster.expect(0, ["ps"]);
  assert(!unserved.stdout.includes("on demand"), unserved.stdout);
  assertMatch(unserved.stderr, /^No supervisor runs: /);
});

Deno.test(
  unless(notLinux, "a server that a request started stays for whoever is connected to its own port"),
  async () => {
    await using foster = await Foster.create();
    await foster.define({ docs: tiny("auto", { idle: "1s" }) });
    const { supervisor, servers } = (await foster.expect(0, ["serve", "--detach", "--json"], WHOLE))
      .json() as unknown as {
        supervisor: { token_file: string; endpoint: string };
        servers: Row[];
      };
    const token = (await Deno.readTextFile(supervisor.token_file)).trim();
    const client = new Client({ name: "test", version: "1" });
    const requestInit = { headers: { authorization: `Bearer ${token}` } };
    const { key } = rowOf(servers, "docs");
    const url = new URL(`${supervisor.endpoint}/mcp/${key}`);
    await client.connect(new StreamableHTTPClientTransport(url, { requestInit }));
    await client.listTools();
    const { port } = await foster.record(key) as { port: number };
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    await client.close();
    // Nothing tells that nothing happens: without the connection it is gone in less than half of this time.
    await new Promise((resolve) => setTimeout(resolve, 4000));
    const stateOf = async () =>
      rowOf((await foster.expect(0, ["ps", "--json"], WHOLE)).json().servers, "docs").state;
    assertEquals(await stateOf(), "ready");
    connection.close();
    while (await stateOf() === "ready") { /* looks again */ }
    await foster.expect(0, ["serve", "--stop"], WHOLE);
  },
);

for (const speaks of ["stdio", "http"]) {
  Deno.test(`down --stay of a server that speaks ${speaks}: requests are refused until up, also by the next supervisor`, async () => {
    await using foster = await Foster.create();
    await foster.define({ docs: speaks === "stdio" ? stdio("both") : tiny("auto"), other: tiny("auto") });
    const serve = async () =>
      (await foster.expect(0, ["serve", "--detach", "--json"])).json() as unknown as {
        supervisor: { pid: number; endpoint: string; token_file: string };
        servers: Row[];
      };
    const { supervisor, servers } = await serve();
    const token = (await Deno.readTextFile(supervisor.token_file)).trim();
    const ask = async () => {
      const response = await fetch(`${supervisor.endpoint}/mcp/${rowOf(servers, "docs").key}`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${token}`,
          accept: "application/json, text/event-stream",
          "content-type": "application/json",
        },
        body: JSON.stringify({
          jsonrpc: "2.0",
          id: 1,
          method: "initialize",
          params: {
            protocolVersion: "2025-11-25",
            capabilities: {},
            clientInfo: { name: "t", version: "1" },
          },
        }),
      });
      return await response.text();
    };
    const refused = /"docs\\" was taken down to stay: foster up \\"docs\\"/;
    await foster.expect(0, ["up", "docs"]);
    await foster.expect(0, ["down", "docs", "--stay"]);
    assertMatch(await ask(), refused);
    // What the supervisor writes down for another reason does not undo it.
    await foster.expect(0, ["up", "other", "--supervise"]);
    await foster.expect(0, ["down", "other"]);
    assertMatch(await ask(), refused);
    // Through connect the same words, at once: nothing was in flight that could have run.
    const connected = foster.start(["connect", "docs"], { stdin: true });
    await connected.write(
      '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},' +
        '"clientInfo":{"name":"t","version":"1"}}}\n',
    );
    assertMatch(await connected.stdoutLine(/"id":1/, 5000), refused);
    await connected.closeInput();
    assertEquals((await connected.finish(5000)).code, 0);
    Deno.kill(supervisor.pid, "SIGKILL");
    const next = await serve();
    assertNotEquals(next.supervisor.pid, supervisor.pid);
    assertEquals(next.supervisor.endpoint, supervisor.endpoint);
    assertMatch(await ask(), refused);
    await foster.expect(0, ["up", "docs"]);
    assertMatch(await ask(), /"serverInfo":\{"name":"(?:stdio-server|tiny)/);
    await foster.expect(0, ["down", "--all"]);
    // Nothing of it runs, and a request would start it.
    await foster.expect(0, ["down", "--all", "--stay"]);
    assertMatch(await ask(), refused);
    await ended(foster);
  });
}

/** The engine's own job ends what it has pipes to. */
const endsWithSupervisor = Deno.build.os === "windows"
  ? "stdio servers end with their supervisor there"
  : null;

Deno.test(
  unless(
    endsWithSupervisor,
    "what outlives a killed supervisor is ended by the next, before its server is started again",
  ),
  async () => {
    await using foster = await Foster.create();
    await foster.define({ docs: stdio("sticky") });
    const { supervisor } = (await foster.expect(0, ["serve", "--detach", "--json"])).json() as unknown as {
      supervisor: { pid: number };
    };
    const up = (await foster.expect(0, ["up", "docs", "--json"])).row();
    Deno.kill(supervisor.pid, "SIGKILL");
    assert(await isAlive(up.pid ?? 0), "it does not end by itself");
    await foster.expect(0, ["serve", "--detach"]);
    const again = (await foster.expect(0, ["up", "docs", "--json"])).row();
    assertNotEquals(again.pid, up.pid);
    assertEquals(await isAlive(up.pid ?? 0), false, "the earlier one is gone before the next is there");
    await ended(foster);
  },
);

Deno.test("a probe of a stdio server takes nothing from a client that comes meanwhile", async () => {
  await using foster = await Foster.create();
  await foster.define({ docs: stdio("older") });
  await foster.expect(0, ["serve", "--detach"]);
  const connected = foster.start(["connect", "docs"], { stdin: true });
  const say = (id: number, method: string, params: unknown) =>
    connected.write(JSON.stringify({ jsonrpc: "2.0", id, method, params }) + "\n");
  const probe = foster.expect(0, ["probe", "docs"]);
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "t", version: "1" } };
  await say(1, "initialize", params);
  await say(2, "tools/call", { name: "slow", arguments: { ms: 4000 } });
  await probe;
  assertMatch(await connected.stdoutLine(/"id":2/), /slept/);
  await connected.closeInput();
  await connected.finish(5000);
  await ended(foster);
});

Deno.test(
  unless(noInterrupt, "run keeps a stdio server in the foreground, and ends it with Ctrl-C"),
  async () => {
    await using foster = await Foster.create();
    await foster.define({ docs: stdio("both") });
    const running = foster.start(["run", "--json"]);
    const ready = await running.stdoutLine(/"type":"ready"/);
    const { row } = JSON.parse(ready) as { row: Row };
    assertEquals((await foster.expect(0, ["status", "docs", "--json"])).row().pid, row.pid);
    running.kill("SIGINT");
    assertEquals((await running.finish()).code, 0);
    assertEquals(
      (await foster.expect(0, ["ps", "--json"])).json().servers.filter(({ state }) => state === "ready"),
      [],
    );
    await ended(foster);
  },
);

Deno.test("a start of a stdio server without a variable that the one before had is refused, for a request as well", async () => {
  await using foster = await Foster.create();
  await foster.define({ docs: { ...stdio("older"), env: { KEY: "${env:KEY}" } } });
  const set = { env: { KEY: "s3cret" } };
  const { pid } = (await foster.expect(0, ["up", "docs", "--json"], set)).row();
  const refused = await foster.expect(2, ["restart", "docs", "--json"]);
  assertMatch(refused.row().message, /\$\{env:KEY\} is not set here, and the server that ran last had it/);
  assertEquals(rowOf((await foster.expect(0, ["ps", "--json"])).json().servers, "docs").pid, pid);
  await foster.expect(0, ["down", "docs"]);
  await ended(foster);
  await foster.expect(0, ["serve", "--detach"]);
  const probed = (await foster.expect(1, ["probe", "docs", "--json"])).json<{ message: string }>();
  assertMatch(probed.message, /\$\{env:KEY\} is not set here/);
  await foster.expect(2, ["up", "docs"]);
  const { state, recovered, message } =
    (await foster.expect(0, ["restart", "docs", "--allow-unset", "--json"])).row();
  assertEquals([state, recovered, message], ["ready", null, ""]);
  await foster.expect(0, ["up", "docs"]);
  await ended(foster);
});

Deno.test("a stdio server that is not the one that its definition wants is incompatible, and does not stay", async () => {
  await using foster = await Foster.create();
  await foster.define({
    name: { ...stdio("older"), identity: { name: "another" } },
    version: { ...stdio("older"), version: "^99" },
    tools: { ...stdio("older"), requiredTools: ["nothing"] },
  });
  const { servers } = (await foster.expect(13, ["up", "--json"])).json();
  const shown = (name: string) => rowOf(servers, name);
  const three = ["name", "version", "tools"].map(shown);
  assertEquals(three.map(({ state }) => state), ["incompatible", "incompatible", "spawning"]);
  assert(three.every(({ pid }) => pid === null));
  assertMatch(shown("name").message, /turned out to be stdio-server .*, not another \(name_mismatch\)/);
  assertEquals(shown("version").expected_version, "^99");
  const left = (await foster.expect(0, ["ps", "--json"])).json().servers;
  assertEquals(left.map(({ state, pid }) => [state, pid]), Array(3).fill(["stopped", null]));
  await ended(foster);
});

Deno.test("up --owner-pid ends a stdio server with its owner", async () => {
  await using foster = await Foster.create();
  await foster.define({ docs: stdio("older") });
  const owner = foster.startProgram("sleep", ["600"]);
  const { pid, startup_path } =
    (await foster.expect(0, ["up", "docs", "--owner-pid", String(owner.pid), "--json"])).row();
  assertEquals(startup_path, "spawned");
  owner.kill("SIGKILL");
  await until("it is gone", async () => !await isAlive(pid ?? 0) || null, 30_000);
  await ended(foster);
});

Deno.test("recover, handoff and the verbs in other folders know stdio servers", async () => {
  await using foster = await Foster.create();
  await foster.define({ docs: stdio("older") });
  const elsewhere = { cwd: foster.home };
  const up = (await foster.expect(0, ["recover", "docs", "--json"])).row();
  assertEquals([up.state, up.startup_path], ["ready", "spawned"]);
  const again = (await foster.expect(0, ["handoff", "docs", "--up", "--json"], elsewhere)).row();
  assertEquals([again.state, again.recovered?.killed], ["ready", [up.pid]]);
  assertEquals((await foster.expect(0, ["status", "docs", "--json"], elsewhere)).row().pid, again.pid);
  const next = (await foster.expect(0, ["restart", "docs", "--json"], elsewhere)).row();
  assertEquals([next.message, next.recovered?.killed], ["restarted", [again.pid]]);
  assertMatch((await foster.expect(0, ["logs", "docs"], elsewhere)).stdout, new RegExp(`as ${next.pid}`));
  await foster.expect(0, ["probe", "docs"], elsewhere);
  const stopped = (await foster.expect(0, ["down", "docs", "--json"], elsewhere)).row();
  assertEquals(stopped.recovered?.killed, [next.pid]);
  assertMatch((await foster.expect(0, ["down", "docs"], elsewhere)).stdout, /it was not running/);
  await foster.expect(0, ["down", "docs", "--stay"]);
  const kept = (await foster.expect(1, ["probe", "docs", "--json"])).json<{ message: string }>();
  assertMatch(kept.message, /was taken down to stay/);
  await foster.expect(0, ["up", "docs"], elsewhere);
  await ended(foster);
});

Deno.test("a server of another project is restarted by its definition, whose stop.command runs, from any folder", async () => {
  await using foster = await Foster.create();
  const mark = await foster.write("mark", "");
  await foster.define({ web: tiny("auto", { stop: { command: `rm ${mark}` } }) });
  // A program of its own is none of those that Deno's scoped permissions name.
  const elsewhere: RunOptions = { cwd: foster.home, runner: binary === null ? "all" : "default" };
  const { pid } = (await foster.expect(0, ["up", "web", "--json"])).row();
  const next = (await foster.expect(0, ["restart", "web", "--json"], elsewhere)).row();
  assertNotEquals(next.pid, pid);
  await Deno.writeTextFile(mark, "");
  await foster.expect(0, ["down", "--all"], elsewhere);
  assertEquals(await Deno.stat(mark).catch(() => null), null, "stop.command ran");
  assertMatch((await foster.expect(0, ["logs", "web", "--events"], elsewhere)).stdout, /stopped/);
});

Deno.test("restarts of a stdio server at once come one after the other, and each ends with a server that is ready", async () => {
  await using foster = await Foster.create();
  await foster.define({ docs: stdio("older") });
  await foster.expect(0, ["up", "docs"]);
  const rows = await Promise.all(
    [1, 2, 3].map(async () => (await foster.expect(0, ["restart", "docs", "--json"])).row()),
  );
  assertEquals(new Set(rows.map(({ pid }) => pid)).size, 3);
  const left = rowOf((await foster.expect(0, ["ps", "--json"])).json().servers, "docs");
  assert(rows.some(({ pid }) => pid === left.pid), "the last one's process stays");
  await ended(foster);
});
