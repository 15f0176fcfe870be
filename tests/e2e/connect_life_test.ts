import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import {
  clientEnvironment,
  connectTo,
  fixture,
  fosterCommand,
  killServer,
  nextServer,
  notes,
  stdioFixture,
  textOf,
} from "../fixtures/connect_client.ts";
import { Foster, freePort, isAlive, until } from "./harness.ts";
import type { Running } from "./running.ts";

const STDIO_SERVER = fromFileUrl(new URL("../fixtures/stdio_server.ts", import.meta.url));

const HELLO = {
  jsonrpc: "2.0",
  id: "hello",
  method: "initialize",
  params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "raw", version: "1" } },
};
const READY = { jsonrpc: "2.0", method: "notifications/initialized" };

/** `foster connect` without the official client. */
function raw(foster: Foster, ...args: string[]): Running {
  const [command, ...before] = fosterCommand();
  return foster.startProgram(command, [...before, "connect", ...args], { stdin: true });
}

async function say(running: Running, ...messages: unknown[]): Promise<void> {
  await running.write(messages.map((message) => JSON.stringify(message) + "\n").join(""));
}

function answers(
  text: string,
): { id: unknown; result?: unknown; error?: { code: number; message: string } }[] {
  return text.trim().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

async function spawns(foster: Foster, key: string): Promise<number> {
  return (await foster.events(key)).filter(({ event }) => event === "spawned").length;
}

async function onlyKey(foster: Foster): Promise<string> {
  for await (const { name } of Deno.readDir(join(foster.stateDir, "servers"))) return name;
  throw new Error("there is no server");
}

Deno.test("foster connect starts one server when many clients come at once, and it goes with the last", async () => {
  const clients = Number(Deno.env.get("FOSTER_CONNECT_CLIENTS") ?? 20);
  await using foster = await Foster.create();
  await foster.define({ fixture: fixture() });
  const all = Array.from({ length: clients }, () => raw(foster, "fixture", "--idle", "500ms"));
  for (const running of all) await say(running, HELLO, READY);
  for (const running of all) await running.stdoutLine(/"id":"hello"/);
  const key = await onlyKey(foster);
  assertEquals(await spawns(foster, key), 1);

  const [kept, ...others] = all;
  assert(kept !== undefined);
  for (const running of others) running.kill("SIGKILL");
  await say(kept, { jsonrpc: "2.0", id: 1, method: "ping" });
  await kept.stdoutLine(/"id":1/);
  kept.kill("SIGKILL");
  await until("the server to be gone", async () => (await foster.servers()).length === 0);
  await until("its record to be gone", async () => await foster.record(key) === null);
});

Deno.test("foster connect answers what is open when its client closes the input, and ends", async () => {
  await using foster = await Foster.create();
  const callsFile = join(foster.folder, "calls");
  await foster.define({
    shared: fixture({ options: [`--calls-file=${callsFile}`] }),
    own: stdioFixture(`--calls-file=${callsFile}`, "--stubborn"),
  });
  for (const name of ["shared", "own"]) {
    const running = raw(foster, name, "--idle", "500ms", "--timeout", "3s");
    await say(running, HELLO, READY);
    await running.stdoutLine(/"id":"hello"/);
    const slow = (id: number, ms: number) => ({
      jsonrpc: "2.0",
      id,
      method: "tools/call",
      params: { name: "slow", arguments: { ms } },
    });
    await say(running, slow(1, 100), slow(2, 60_000));
    await until(
      "both calls to begin",
      async () => (await notes(callsFile)).filter((line) => line === "slow begins").length === 2,
    );
    const startedAt = performance.now();
    await running.closeInput();
    const { code, stdout } = await running.finish();
    const tookMs = performance.now() - startedAt;
    assertEquals(code, 0);
    assert(tookMs > 2900 && tookMs < 20_000, `${name} took ${tookMs} ms`);
    const said = answers(stdout);
    assertEquals(said.map(({ id }) => id), ["hello", 1, 2]);
    assertMatch(said[2]?.error?.message ?? "", /may or may not have run/);
    // The supervisor ends the session once it has seen its client go.
    if (name === "shared") {
      await until("the session to end", async () => (await notes(callsFile)).includes("delete"));
    }
    await Deno.remove(callsFile);
  }
});

Deno.test("foster connect ends soon after its last answer when the input is closed", async () => {
  await using foster = await Foster.create();
  await foster.define({ own: stdioFixture("--stubborn"), shared: fixture() });
  for (const name of ["shared", "own"]) {
    const running = raw(foster, name, "--idle", "500ms");
    // A one-shot pipe: all of it is there before the server is.
    await say(running, HELLO, READY, { jsonrpc: "2.0", id: 1, method: "tools/list" });
    await running.closeInput();
    await running.stdoutLine(/"id":1[,}]/);
    const startedAt = performance.now();
    const { code, stdout } = await running.finish();
    assertEquals([code, answers(stdout).map(({ id }) => id)], [0, ["hello", 1]]);
    // Two seconds, and what a slow machine adds: its idle end and the server's own take longer.
    assert(performance.now() - startedAt < 8000);
  }
});

Deno.test("foster connect answers what is no message and goes on", async () => {
  await using foster = await Foster.create();
  const running = raw(foster, "demo", "--idle", "500ms");
  await running.write("garbage\n\n[]\nContent-Length: 17\r\n\r\n");
  await say(running, HELLO, READY, { jsonrpc: "2.0", id: 1, method: "ping" });
  await running.stdoutLine(/"id":1,|"id":1}/);
  await running.closeInput();
  const { code, stdout, stderr } = await running.finish();
  assertEquals(code, 0);
  const said = answers(stdout);
  assertEquals(said.filter(({ id }) => id === null).map(({ error }) => error?.code), [
    -32700,
    -32600,
    -32700,
  ]);
  assertStringIncludes(stderr, "Content-Length");
  assertEquals(said.length, 5);
});

Deno.test("foster connect says nothing and ends when its client says nothing", async () => {
  await using foster = await Foster.create();
  const running = raw(foster, "demo", "--idle", "500ms");
  await running.closeInput();
  const { code, stdout } = await running.finish();
  assertEquals([code, stdout], [0, ""]);
});

Deno.test("foster connect carries a line of 20 MiB both ways", async () => {
  await using foster = await Foster.create();
  await foster.define({
    own: { command: "deno", args: ["run", "-q", "--no-lock", "-A", STDIO_SERVER, "older"] },
  });
  const [command, ...before] = fosterCommand();
  const child = new Deno.Command(command, {
    args: [...before, "connect", "own"],
    cwd: foster.cwd,
    env: clientEnvironment(foster),
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const request = {
    jsonrpc: "2.0",
    id: 1,
    method: "tools/call",
    params: { name: "echo", arguments: { text: "x".repeat(20 * 1024 * 1024) } },
  };
  const encoder = new TextEncoder();
  const writer = child.stdin.getWriter();
  await writer.write(encoder.encode(JSON.stringify(HELLO) + "\n"));
  const writing = writer.write(encoder.encode(JSON.stringify(request) + "\n"));
  let bytes = 0;
  for await (const chunk of child.stdout) {
    bytes += chunk.length;
    if (bytes > 1024 * 1024 && chunk.at(-1) === 10) await writer.close();
  }
  await writing;
  assert(bytes > 20 * 1024 * 1024, `${bytes} bytes came back`);
  assertEquals((await child.status).code, 0);
});

Deno.test("foster connect uses a server that foster did not start, and leaves it alone", async () => {
  await using foster = await Foster.create();
  const port = freePort();
  const { args, ...definition } = fixture() as { args: string[] };
  await foster.define({ fixture: { ...definition, args, port } });
  const command = args.map((arg) => arg.replace("${port}", String(port)));
  const external = foster.startProgram(Deno.execPath(), command);
  await external.stdoutLine(/listening/);
  {
    await using connected = await connectTo(foster, ["fixture", "--idle", "200ms"]);
    assertEquals(
      Number(textOf(await connected.client.callTool({ name: "pid", arguments: {} }))),
      external.pid,
    );
  }
  assertEquals(await foster.record(await onlyKey(foster)), null);
  assert(await isAlive(external.pid));
});

Deno.test("foster connect leaves a server running when foster up wanted it", async () => {
  await using foster = await Foster.create();
  const server = fixture({ restart: { interval: "100ms" } });
  await foster.define({ fixture: server, other: server });
  // Once started by up, once pinned by it.
  for (const isFirst of [true, false]) {
    if (isFirst) await foster.expect(0, ["up", "fixture"]);
    let pid = 0;
    {
      await using connected = await connectTo(foster, ["fixture", "--idle", "100ms"]);
      pid = Number(textOf(await connected.client.callTool({ name: "pid", arguments: {} })));
      if (!isFirst) await foster.expect(0, ["up", "fixture"]);
    }
    // The idle time of a server that nobody else wants, from a later moment on.
    let other = 0;
    {
      await using connected = await connectTo(foster, ["other", "--idle", "100ms"]);
      other = Number(textOf(await connected.client.callTool({ name: "pid", arguments: {} })));
    }
    await until("the end of the other server", async () => !await isAlive(other));
    assert(await isAlive(pid));
    await foster.expect(0, ["down", "fixture"]);
  }
});

Deno.test("foster connect tells the client what is wrong when the server can't be started", async () => {
  await using foster = await Foster.create();
  await foster.define({
    absent: { command: "no-such-program-here", port: "auto" },
    broken: { command: "deno", args: ["eval", "Deno.exit(3)"], port: "auto" },
  });
  for (const [name, expected] of [["absent", /no-such-program-here/], ["broken", /exit code 3/]] as const) {
    const running = raw(foster, name, "--timeout", "1s");
    await say(running, HELLO);
    const line = await running.stdoutLine(/"id":"hello"/);
    assertMatch(line, expected);
    await running.closeInput();
    assertEquals((await running.finish()).code, 0);
  }
});

Deno.test("foster connect whose environment has what an earlier one lacked starts the server", async () => {
  await using foster = await Foster.create();
  await foster.define({ docs: { extends: "demo", port: "auto", env: { KEY: "${env:KEY}" } } });
  await foster.expect(0, ["up", "docs"], { env: { KEY: "a" } });
  await foster.expect(0, ["down", "docs"]);
  await assertRejects(() => connectTo(foster, ["docs"]), Error, "${env:KEY} is not set here");
  await using connected = await connectTo(foster, ["docs"], { env: { KEY: "b" } });
  assertEquals((await connected.client.listTools()).tools.length > 0, true);
});

Deno.test("foster connect survives several restarts in a row, also of a private child", async () => {
  await using foster = await Foster.create();
  await foster.define({ shared: fixture(), own: stdioFixture() });
  for (const name of ["shared", "own"]) {
    await using connected = await connectTo(foster, [name, "--idle", "500ms"]);
    const { client } = connected;
    const pids = new Set<string>();
    for (let round = 0; round < 3; round++) {
      const pid = textOf(await client.callTool({ name: "pid", arguments: {} }));
      pids.add(pid);
      Deno.kill(Number(pid), "SIGKILL");
      await client.readResource({ uri: "test://thing" });
    }
    assertEquals(pids.size, 3);
    assertEquals(connected.drops(), 0);
  }
});

Deno.test("foster connect brings a server back that foster down ended, when the client asks for something", async () => {
  await using foster = await Foster.create();
  await foster.define({ fixture: fixture() });
  await using connected = await connectTo(foster, ["fixture", "--idle", "500ms"]);
  await connected.client.readResource({ uri: "test://thing" });
  const key = await onlyKey(foster);
  await foster.expect(0, ["down", "fixture"]);
  assertEquals(await foster.record(key), null);
  await connected.client.readResource({ uri: "test://thing" });
  const pid = Number((await foster.record(key))?.pid);
  assert(await isAlive(pid));
  assertEquals(await killServer(foster, key), pid);
  await nextServer(foster, { key, pid });
  await connected.client.readResource({ uri: "test://thing" });
  assertEquals(connected.drops(), 0);
});

Deno.test("foster connect leaves no private child behind when it is killed", async () => {
  await using foster = await Foster.create();
  const callsFile = join(foster.folder, "calls");
  await foster.define({
    polite: stdioFixture(`--calls-file=${callsFile}`),
    stubborn: stdioFixture(`--calls-file=${callsFile}`, "--stubborn"),
  });
  const started = async (name: string) => {
    const running = raw(foster, name);
    await say(running, HELLO);
    await running.stdoutLine(/"id":"hello"/);
    await say(running, READY, {
      jsonrpc: "2.0",
      id: "pid",
      method: "tools/call",
      params: { name: "pid", arguments: {} },
    });
    const [, pid] = /"text":"(\d+)"/.exec(await running.stdoutLine(/"id":"pid"/)) ?? [];
    return { running, pid: Number(pid) };
  };
  const polite = await started("polite");
  polite.running.kill("SIGKILL");
  await until("the child to notice", async () => !await isAlive(polite.pid));

  const stubborn = await started("stubborn");
  stubborn.running.kill("SIGKILL");
  const next = await started("stubborn");
  await until("the next client to end the orphan", async () => !await isAlive(stubborn.pid));
  assert(await isAlive(next.pid));
  next.running.kill("SIGTERM");
  assertEquals((await next.running.finish()).code, 143);
  await until("its process to be gone", async () => !await isAlive(next.pid));
});

Deno.test("foster connect refuses a name that is no server", async () => {
  await using foster = await Foster.create();
  const { stderr, stdout } = await foster.expect(2, ["connect", "dmeo"]);
  assertEquals(stdout, "");
  assertStringIncludes(stderr, "demo");
  // Clients show what answers their handshake, and nothing of standard error.
  const running = raw(foster, "dmeo");
  await say(running, { jsonrpc: "2.0", id: 0, method: "server/discover" }, HELLO);
  const { code, stdout: said } = await running.finish();
  assertEquals(code, 2);
  assertEquals(answers(said).map(({ id }) => id), [0, "hello"]);
  for (const { error } of answers(said)) assertMatch(error?.message ?? "", /"dmeo".*did you mean "demo"/);
});

Deno.test("foster connect does not start itself without end when a definition runs foster connect", async () => {
  await using foster = await Foster.create();
  const [command, ...args] = fosterCommand();
  const restart = { max: 1, backoff: "10ms" };
  await foster.define({ loop: { command, args: [...args, "connect", "loop"], transport: "stdio", restart } });
  const running = raw(foster, "loop", "--timeout", "20s");
  await say(running, HELLO);
  const hello = await running.stdoutLine(/"id":"hello"/);
  assertStringIncludes(hello, 'started by the command of \\"loop\\" itself');
  await running.closeInput();
  assertEquals((await running.finish(5000)).code, 0);
  const log = (await foster.expect(0, ["logs", "loop"])).stdout;
  assertStringIncludes(log, `"loop" is started by the command of "loop" itself`);
});
