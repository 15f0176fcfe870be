import { assert, assertEquals, assertMatch } from "@std/assert";
import { startTime } from "../fixtures/wk_support.ts";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { join } from "@std/path";
import { exists, Foster, freePort, isAlive, isFree, type Row } from "./harness.ts";

type Kind = "string" | "number" | "boolean" | "null" | "object";

/** Every documented field of a row, with the types that it may have. */
const ROW: Record<string, readonly Kind[]> = {
  name: ["string"],
  key: ["string"],
  state: ["string"],
  state_code: ["number"],
  startup_path: ["string"],
  adoption: ["string", "null"],
  endpoint: ["string", "null"],
  port: ["number", "null"],
  ws_port: ["number", "null"],
  pid: ["number", "null"],
  server: ["object"],
  expected_version: ["string", "null"],
  recovered: ["object", "null"],
  elapsed_ms: ["number"],
  message: ["string"],
  hint: ["string"],
  can_recover_incompatible: ["boolean"],
  connection_blocked: ["boolean"],
  log: ["string"],
};

const STATUS: Record<string, readonly Kind[]> = {
  ...ROW,
  exit_ms: ["number"],
  actual_name: ["string"],
  actual_version: ["string"],
  process: ["string"],
  uptime_ms: ["number", "null"],
  restarts: ["number"],
  last_exit: ["object", "null"],
  next_attempt: ["string", "null"],
  supervised: ["boolean"],
  leases: ["number"],
  labels: ["object"],
  attached: ["object"],
  revisions: ["object", "null"],
};

function assertShape(row: Row, shape: Record<string, readonly Kind[]>): void {
  assertEquals(Object.keys(row).sort(), Object.keys(shape).sort());
  for (const [name, kinds] of Object.entries(shape)) {
    const value = row[name];
    const kind = value === null ? "null" : typeof value;
    assert(kinds.some((each) => each === kind), `${name} is ${JSON.stringify(value)}`);
  }
}

Deno.test("up makes the demo ready, and every verb then shows the same server", async (t) => {
  await using foster = await Foster.create();
  const up = (await foster.expect(0, ["up", "demo", "--json"])).row();

  await t.step("up prints a ready row with every documented field", () => {
    assertShape(up, ROW);
    assertEquals([up.name, up.key, up.state, up.state_code], ["demo", "demo", "ready", 3]);
    assertEquals([up.startup_path, up.recovered, up.message], ["spawned", null, ""]);
    assertEquals(up.endpoint, `http://127.0.0.1:${up.port}/mcp`);
    assertEquals(up.server.name, "foster-demo");
    assertEquals(up.log, join(foster.stateDir, "servers", "demo", "server.log"));
  });

  await t.step("the record names the process by pid and start token, and its group", async () => {
    const record = await foster.record("demo");
    assert(record !== null);
    assertEquals(record.pid, up.pid);
    assertEquals(record.start_token, await startTime(up.pid));
    assertEquals(record.pgid, up.pid);
    assertEquals([record.schema, record.want, record.state, record.started_by], [1, "up", "ready", "up"]);
    assertMatch(String(record.token), /^[0-9a-f]+:demo:[0-9a-f]{32}$/);
  });

  await t.step("status asks it and finds it ready", async () => {
    const row = (await foster.expect(0, ["status", "demo", "--json"])).row();
    assertShape(row, STATUS);
    assertEquals([row.state, row.pid, row.process, row.adoption], ["ready", up.pid, "ours", "managed"]);
    assertEquals([row.actual_name, row.actual_version], ["foster-demo", up.server.version]);
  });

  await t.step("ps lists it without asking it", async () => {
    const row = (await foster.expect(0, ["ps", "--json"])).row();
    assertShape(row, { ...ROW, process: ["string"] });
    assertEquals([row.state, row.pid, row.process], ["ready", up.pid, "ours"]);
  });

  await t.step("probe answers by name and by URL, and names missing tools", async () => {
    for (const target of ["demo", up.endpoint]) {
      const { stdout } = await foster.expect(0, ["probe", target, "--json", "--tool", "echo"]);
      const answer = JSON.parse(stdout);
      assertEquals(
        Object.keys(answer).sort(),
        ["elapsed_ms", "endpoint", "message", "missing_tools", "ok", "server", "tools"],
      );
      assertEquals([answer.ok, answer.endpoint, answer.missing_tools], [true, up.endpoint, []]);
      assert(answer.tools.includes("echo"));
    }
    const { stdout } = await foster.expect(1, ["probe", "demo", "--json", "--tool", "fly"]);
    assertEquals([JSON.parse(stdout).ok, JSON.parse(stdout).missing_tools], [false, ["fly"]]);
  });

  await t.step("the official client calls a tool at the printed endpoint", async () => {
    const client = new Client({ name: "e2e", version: "1" });
    await client.connect(new StreamableHTTPClientTransport(new URL(up.endpoint)));
    try {
      const { content } = await client.callTool({ name: "add", arguments: { a: 2, b: 40 } });
      assertEquals(content, [{ type: "text", text: "42" }]);
    } finally {
      await client.close();
    }
  });

  await t.step("a second up adopts it", async () => {
    const row = (await foster.expect(0, ["up", "demo", "--json"])).row();
    assertEquals([row.startup_path, row.adoption, row.pid], ["adopted", "managed", up.pid]);
  });

  await t.step({
    name: "the state folder is private",
    // Windows has no such bits: what is below the user's own folder is the user's.
    ignore: Deno.build.os === "windows",
    fn: async () => {
      for await (const { path, mode, isDirectory } of walk(foster.stateDir)) {
        assertEquals((mode & 0o777).toString(8), isDirectory ? "700" : "600", path);
      }
    },
  });

  await t.step("down leaves no process, no record and a free port", async () => {
    const row = (await foster.expect(0, ["down", "demo", "--json"])).row();
    assertShape(row, ROW);
    assertEquals([row.state, row.recovered?.killed], ["stopped", [up.pid]]);
    assertEquals(await isAlive(up.pid), false);
    assertEquals(await foster.servers(), []);
    assertEquals(await foster.record("demo"), null);
    assertEquals(await exists(join(foster.stateDir, "servers", "demo", "server.pid")), false);
    assertEquals(isFree(up.port), true);
  });

  await t.step("a second down has nothing to do and is content", async () => {
    assertEquals((await foster.expect(0, ["down", "demo", "--json"])).row().state, "stopped");
    assertEquals((await foster.expect(1, ["status", "demo", "--json"])).row().state, "stopped");
  });

  await t.step("the next up gets the same port", async () => {
    const again = (await foster.expect(0, ["up", "demo", "--json"])).row();
    assertEquals([again.port, again.ws_port, again.startup_path], [up.port, up.ws_port, "spawned"]);
  });
});

Deno.test("verbs speak to people on stdout and to programs with --json", async () => {
  await using foster = await Foster.create();
  const up = await foster.expect(0, ["up", "demo"]);
  assertMatch(
    up.stdout,
    /^✓ demo {2}ready {2}http:\/\/127\.0\.0\.1:\d+\/mcp {2}pid \d+ .*spawned in \d+ ms\n$/,
  );
  assertEquals(up.stderr, "");
  assertMatch((await foster.expect(0, ["ps"])).stdout, /^NAME +STATE +ENDPOINT.*\ndemo +ready +http/);
  assertMatch((await foster.expect(0, ["status", "demo"])).stdout, /^demo\n {2}state +ready \(managed\)\n/);
  assertMatch((await foster.expect(0, ["probe", "demo"])).stdout, /^ready {2}http.*\d+ tools/);
  assertMatch((await foster.expect(0, ["down", "demo"])).stdout, /^✓ demo {2}stopped/);
  const version = await foster.expect(0, ["--version"]);
  assertMatch(version.stdout, /^foster \d+\.\d+\.\d+\n$/);
});

Deno.test("--port and --version hold until down", async () => {
  await using foster = await Foster.create();
  const first = (await foster.expect(0, ["up", "demo", "--json"])).row();
  const port = freePort();
  const moved = (await foster.expect(0, ["up", "demo", "--port", String(port), "--json"])).row();
  assertEquals(moved.port, port);
  assertEquals(moved.recovered?.killed, [first.pid]);
  assertMatch(moved.message, /port/);

  const adopted = (await foster.expect(0, ["up", "demo", "--json"])).row();
  assertEquals([adopted.pid, adopted.port, adopted.startup_path], [moved.pid, port, "adopted"]);
  assertEquals((await foster.expect(0, ["status", "demo", "--json"])).row().port, port);

  await foster.expect(0, ["down", "demo"]);
  assertEquals((await foster.expect(0, ["up", "demo", "--json"])).row().port, first.port);

  const wrong = await foster.run(["up", "demo", "--version", "9.9.9", "--json"]);
  assertEquals([wrong.code, wrong.row().state], [13, "incompatible"]);
});

async function* walk(folder: string): AsyncGenerator<{ path: string; mode: number; isDirectory: boolean }> {
  const { mode } = await Deno.stat(folder);
  yield { path: folder, mode: mode ?? 0, isDirectory: true };
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory) yield* walk(path);
    else yield { path, mode: (await Deno.stat(path)).mode ?? 0, isDirectory };
  }
}
