import { assert, assertEquals, assertMatch } from "@std/assert";
import { VERBS } from "../../src/cli/verbs.ts";
import { Foster, freePort } from "./harness.ts";

const ROWS = ["up", "restart", "recover", "handoff", "status", "down"];

Deno.test("every verb about a server prints one document with rows", async () => {
  await using foster = await Foster.create();
  for (const verb of ROWS) {
    const { servers } =
      (await foster.expect(0, [verb, "demo", "--json"].concat(verb === "handoff" ? ["--up"] : [])))
        .json();
    assertEquals([servers.length, servers[0]?.name], [1, "demo"], verb);
  }
});

Deno.test("global options may stand before the verb, and --quiet leaves the answer alone", async () => {
  await using foster = await Foster.create();
  const row = (await foster.expect(0, ["--json", "up", "demo"])).row();
  assertEquals(row.state, "ready");
  const quiet = await foster.expect(0, ["--quiet", "ps"]);
  assertMatch(quiet.stdout, /demo/);
  assertEquals(quiet.stderr, "");
});

Deno.test("presets, schema and the version are there for programs", async () => {
  await using foster = await Foster.create();
  const presets = JSON.stringify((await foster.expect(0, ["presets", "--json"])).json<unknown>());
  for (const name of ["demo", "everything", "godot-ai"]) assert(presets.includes(`"${name}"`), presets);
  const schema = (await foster.expect(0, ["schema"])).json<
    { $schema: string; $defs: Record<string, unknown> }
  >();
  assertMatch(schema.$schema, /json-schema\.org/);
  assert("server" in schema.$defs);
  const version = (await foster.expect(0, ["--version", "--json"])).json<{ version: string }>();
  assertMatch(version.version, /^\d+\.\d+\.\d+/);
});

Deno.test("doctor and sweep print one document", async () => {
  await using foster = await Foster.create();
  const { code, json } = await foster.run(["doctor", "tools", "--json"]);
  assert(code === 0 || code === 1);
  const { findings } = json<{ findings: Record<string, unknown>[] }>();
  for (const finding of findings) {
    assertEquals(Object.keys(finding).sort(), ["code", "fix", "level", "message", "section"]);
  }
  const swept = (await foster.expect(0, ["sweep", "--cache-dir", foster.home, "--json"]))
    .json<Record<string, unknown>>();
  assertEquals(
    Object.keys(swept).sort(),
    ["applied", "bytes", "cache_dir", "deleted", "remaining", "renamed", "scanned", "skipped"],
  );
  assertEquals([swept.cache_dir, swept.applied], [foster.home, false]);
});

Deno.test("every verb has a help page, and the overview names each", async () => {
  await using foster = await Foster.create();
  const overview = (await foster.expect(0, ["--help"])).stdout;
  for (const verb of Object.keys(VERBS)) {
    assertMatch(overview, new RegExp(`\\b${verb}\\b`));
    assertMatch((await foster.expect(0, [verb, "--help"])).stdout, new RegExp(`foster ${verb}`));
  }
});

Deno.test("init writes a definition file that works, and never over one that is there", async () => {
  await using foster = await Foster.create();
  await foster.expect(0, ["init"]);
  const listed = (await foster.expect(0, ["down", "--json"])).json().servers;
  assert(listed.length > 0);
  assert((await foster.run(["init"])).code !== 0);
});

Deno.test("probe prints one document and ends with 1 when nobody answers, at once or after --wait", async () => {
  await using foster = await Foster.create();
  const url = `http://127.0.0.1:${freePort()}/mcp`;
  const once = (await foster.expect(1, ["probe", url, "--json"])).json<{ ok: boolean; message: string }>();
  assertEquals(once.ok, false);
  assertMatch(once.message, /refused/);
  const waited = (await foster.expect(1, ["probe", url, "--wait", "600ms", "--json"]))
    .json<{ elapsed_ms: number }>();
  assert(waited.elapsed_ms >= 500 && waited.elapsed_ms < 5000, String(waited.elapsed_ms));
  await foster.expect(2, ["probe", "ftp://127.0.0.1/"]);
});

Deno.test("probe --wait finds a server that somebody else starts meanwhile", async () => {
  await using foster = await Foster.create();
  const port = freePort();
  const probing = foster.start(["probe", `http://127.0.0.1:${port}/mcp`, "--wait", "20s", "--json"]);
  const server = foster.start(["demo-server", "--port", String(port), "--delay", "500ms"]);
  const { code, stdout } = await probing.finish();
  assertEquals(code, 0, stdout);
  assertEquals(JSON.parse(stdout).server.name, "foster-demo");
  const second = await foster.expect(1, ["demo-server", "--port", String(port)]);
  assertMatch(second.stderr, new RegExp(`^Cannot start the demo server: port ${port} is in use`));
  server.kill("SIGTERM");
  await server.finish(5000);
});

Deno.test("serve answers in JSON whatever becomes of it, and says where it asks for no token", async () => {
  await using foster = await Foster.create();
  const held = Deno.listen({ hostname: "127.0.0.1", port: freePort() });
  try {
    const { port } = held.addr;
    const { error } = (await foster.expect(14, ["serve", "--detach", "--port", String(port), "--json"]))
      .json<{ error: { code: string; exit_code: number; hint: string } }>();
    assertEquals([error.code, error.exit_code], ["foreign_port", 14]);
    assertMatch(error.hint, /--port auto/);
  } finally {
    held.close();
  }
  const open = await foster.expect(0, ["serve", "--detach", "--no-token", "--port", "auto"]);
  assertMatch(open.stdout, /no token is asked for/);
  const { stopped, ended } = (await foster.expect(0, ["serve", "--stop", "--json"]))
    .json<{ stopped: { pid: number } | null; ended: unknown[] }>();
  assertEquals([typeof stopped?.pid, ended], ["number", []]);
});
