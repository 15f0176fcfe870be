import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { Foster, until } from "./harness.ts";
import type { Running } from "./running.ts";

async function line(link: Running, type: string): Promise<Record<string, unknown>> {
  return JSON.parse(await link.stdoutLine(new RegExp(`"type":"${type}"`)));
}

/** The types of the lines so far, log lines left out. */
function typesOf(link: Running): string[] {
  return link.stdout.trim().split("\n").map((text): string => JSON.parse(text).type).filter((type) =>
    type !== "log"
  );
}

Deno.test("link registers, answers commands, outlives a restart of the server and closes cleanly", async () => {
  await using foster = await Foster.create();
  await foster.expect(0, ["up", "demo"]);
  const link = foster.start(["link", "demo", "--project", "/tmp/My Game"], { stdin: true });
  const verdict = await line(link, "verdict");
  assertEquals([verdict.state, verdict.actual], ["ready", verdict.expected]);
  assertEquals(typesOf(link).slice(0, 3), ["open", "ack", "verdict"]);
  assertStringIncludes(String((await line(link, "open")).session_id), "my-game@");

  await foster.expect(0, ["restart", "demo"]);
  await line(link, "reconnecting");
  const again = /"type":"verdict"[^]*"type":"verdict"/;
  await until(`a second verdict after ${link.stdout}`, () => again.test(link.stdout));

  await link.write('{"type":"close"}\n');
  const { code } = await link.finish();
  assertEquals(code, 0);
});

const ARGS = ["demo-server", "--port", "${port}", "--ws-port", "${wsPort}"];

/** A running demo server whose definition asks for another version by now. */
async function mismatched(foster: Foster): Promise<void> {
  await foster.define({ old: { extends: "demo", args: ARGS } });
  await foster.expect(0, ["up", "old"]);
  await foster.define({ old: { extends: "demo", args: ARGS, version: "9.9.9" } });
}

async function stateOf(foster: Foster, name: string): Promise<string> {
  return JSON.parse((await foster.run(["ps", "--json"])).stdout).servers
    .find((row: { name: string }) => row.name === name)?.state;
}

Deno.test("link --once ends with 13 where the server is of another version, notes it, and says what to type", async () => {
  await using foster = await Foster.create();
  await mismatched(foster);
  const link = foster.start(["link", "old", "--once"], { stdin: true });
  const { code, stderr } = await link.finish();
  assertEquals(code, 13);
  assertStringIncludes(stderr, "9.9.9");
  assertStringIncludes(stderr, "foster ");
  const verdict = await line(link, "verdict");
  assertEquals([verdict.state, verdict.expected], ["incompatible", "9.9.9"]);
  assertEquals(await stateOf(foster, "old"), "incompatible");

  // The record says so by now: no socket is opened.
  const again = foster.start(["link", "old", "--once"], { stdin: true });
  assertEquals((await again.finish()).code, 13);
  assertEquals(typesOf(again), []);
});

for (const verb of ["up", "recover"]) {
  Deno.test(`link stays, blocked, with a server of another version and goes on by itself after ${verb}`, async () => {
    await using foster = await Foster.create();
    await mismatched(foster);
    const link = foster.start(["link", "old"], { stdin: true });
    assertEquals((await line(link, "verdict")).state, "incompatible");
    await line(link, "closed");
    // One that comes now opens nothing at all.
    const other = foster.start(["link", "old"], { stdin: true });
    await other.stdoutLine(/known to be incompatible/);

    await foster.define({
      old: { extends: "demo", args: [...ARGS, "--version", "9.9.9"], version: "9.9.9" },
    });
    await foster.expect(0, [verb, "old"]);
    for (const each of [link, other]) {
      await each.stdoutLine(/"type":"verdict","state":"ready","expected":"9.9.9","actual":"9.9.9"/);
      await each.write('{"type":"close"}\n');
      assertEquals((await each.finish()).code, 0);
    }
    assertEquals(typesOf(other).filter((type) => type !== "reconnecting").slice(0, 3), [
      "open",
      "ack",
      "verdict",
    ]);
    assertEquals(await stateOf(foster, "old"), "ready");
  });
}

Deno.test("link says in its handshake who the client is and how the server was launched", async () => {
  await using foster = await Foster.create();
  await foster.define({
    mine: {
      extends: "demo",
      link: { clientName: "my editor", clientVersion: "1.2.3", commandTimeouts: { render: "1s" } },
    },
    plain: { extends: "demo", link: null },
  });
  const sessions = async (name: string) => {
    const { stdout } = await foster.expect(0, ["ps", "--json"]);
    const { endpoint } = JSON.parse(stdout).servers.find((row: { name: string }) => row.name === name);
    return await readSessions(endpoint);
  };
  const keys = ["client_name", "plugin_version", "godot_version", "server_launch_mode"] as const;
  for (
    const [name, expected] of [
      ["mine", ["my editor", "1.2.3", "unknown", "command"]],
      ["plain", [null, undefined, "unknown", "command"]],
    ] as const
  ) {
    await foster.expect(0, ["up", name]);
    const link = foster.start(["link", name], { stdin: true });
    await line(link, "verdict");
    const [session = {}] = await sessions(name);
    const said = keys.map((key) => session[key]);
    assertEquals(said, expected.map((each, at) => each === undefined ? said[at] : each));
    await link.write('{"type":"close"}\n');
    await link.finish();
  }
});

/** The demo's resource of its sessions. */
async function readSessions(endpoint: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ name: "test", version: "1" });
  await client.connect(new StreamableHTTPClientTransport(new URL(endpoint)));
  const { contents } = await client.readResource({ uri: "demo://sessions" });
  await client.close();
  const [content] = contents;
  return JSON.parse(content !== undefined && "text" in content ? String(content.text) : "[]");
}

Deno.test("link of a server without a WebSocket side is a usage error", async () => {
  await using foster = await Foster.create();
  const { stderr } = await foster.expect(2, ["link", "everything"]);
  assertStringIncludes(stderr, "wsPort");
});
