import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { Foster, freePort, isAlive, isFree, until } from "./harness.ts";
import { unless } from "../skip.ts";

const OLDER = "2.9.2";
const NEWER = "3.2.5";
const UV_ENV = {
  UV_CACHE_DIR: Deno.env.get("UV_CACHE_DIR") ?? join(Deno.env.get("HOME") ?? "/", ".cache", "uv"),
};

/** Null where the real server can be fetched and run, else what is missing. */
async function whyNot(): Promise<string | null> {
  for (const version of [OLDER, NEWER]) {
    try {
      const { success, stderr } = await new Deno.Command("uvx", {
        args: ["--from", `godot-ai==${version}`, "python", "-c", ""],
        env: UV_ENV,
      }).output();
      if (!success) return new TextDecoder().decode(stderr).trim().split("\n").at(-1) ?? "uvx failed";
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return "uvx is not installed";
      throw error;
    }
  }
  return null;
}

const missing = await whyNot();

async function define(foster: Foster): Promise<{ port: number; wsPort: number }> {
  const [port, wsPort] = [freePort(), freePort()];
  await foster.define({ godot: { extends: "godot-ai", port, wsPort, ready: { timeout: "60s" } } });
  return { port, wsPort };
}

Deno.test({
  ...unless(
    missing,
    "the real godot-ai server is brought up, adopted, replaced by another version, and stopped without a trace",
  ),
  async fn() {
    await using foster = await Foster.create();
    const { port } = await define(foster);
    const older = (await foster.expect(0, ["up", "godot", "--version", OLDER, "--json"], {
      env: UV_ENV,
      timeoutMs: 90_000,
    }))
      .row();
    assertEquals([older.server.name, older.server.version], ["godot-ai", OLDER]);
    const adopted = (await foster.expect(0, ["up", "godot", "--json"], { env: UV_ENV })).row();
    assertEquals([adopted.startup_path, adopted.adoption, adopted.pid], ["adopted", "managed", older.pid]);

    const newer = (await foster.expect(0, ["up", "godot", "--version", NEWER, "--json"], {
      env: UV_ENV,
      timeoutMs: 90_000,
    }))
      .row();
    assertEquals([newer.server.version, newer.startup_path], [NEWER, "spawned"]);
    assert(newer.recovered?.killed.includes(older.pid), JSON.stringify(newer.recovered));
    assertEquals(await isAlive(older.pid), false);

    await foster.expect(0, ["down", "godot"]);
    assertEquals(await isAlive(newer.pid), false);
    assertEquals([await foster.record(newer.key), isFree(port)], [null, true]);
    assertEquals(await foster.servers(), []);
  },
});

Deno.test({
  ...unless(
    missing,
    "an older godot-ai that somebody started by hand is named, left alone, and replaced only by recover",
  ),
  async fn() {
    await using foster = await Foster.create();
    const { port, wsPort } = await define(foster);
    const args = ["--transport", "streamable-http", "--port", `${port}`, "--ws-port", `${wsPort}`];
    const byHand = foster.startProgram("uvx", ["--from", `godot-ai==${OLDER}`, "godot-ai", ...args], {
      env: UV_ENV,
    });
    await until("the server started by hand answers", async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/godot-ai/status`).catch(() => null);
      await answer?.body?.cancel();
      return answer?.ok;
    });

    const refused = await foster.expect(13, ["up", "godot", "--json"], { env: UV_ENV });
    const row = refused.row();
    assertStringIncludes(row.message, OLDER);
    assertStringIncludes(row.message, "pid ");
    assertStringIncludes(row.hint, 'foster recover "godot"');
    assertEquals([row.state, row.can_recover_incompatible], ["incompatible", true]);
    await foster.expect(16, ["restart", "godot", "--force"], { env: UV_ENV });
    await foster.expect(16, ["down", "godot"], { env: UV_ENV });
    assert(await isAlive(byHand.pid));

    const recovered =
      (await foster.expect(0, ["recover", "godot", "--json"], { env: UV_ENV, timeoutMs: 90_000 })).row();
    assertEquals([recovered.server.version, recovered.recovered?.proof], [NEWER, "status_name"]);
    await byHand.finish();
    await foster.expect(0, ["down", "godot"]);
    assertEquals(isFree(port), true);
  },
});

Deno.test({
  ...unless(
    missing,
    "link is the editor of the real godot-ai: a tool call arrives as a command and its answer as the result",
  ),
  async fn() {
    await using foster = await Foster.create();
    await define(foster);
    const { endpoint } =
      (await foster.expect(0, ["up", "godot", "--json"], { env: UV_ENV, timeoutMs: 90_000 })).row();
    const session = ["--project", "/tmp/game", "--session-id", "game@0001"];
    const link = foster.start(["link", "godot", ...session], { stdin: true });
    await link.stdoutLine(/"type":"verdict","state":"ready"/);

    const client = new Client({ name: "foster-test", version: "1" });
    await client.connect(new StreamableHTTPClientTransport(new URL(endpoint)));
    try {
      const called = client.callTool({ name: "editor_state", arguments: {} });
      const command = JSON.parse(await link.stdoutLine(/"type":"command"/));
      assertEquals(command.command, "get_editor_state");
      const data = { current_scene: "res://from_link.tscn" };
      await link.write(JSON.stringify({ type: "response", request_id: command.request_id, data }) + "\n");
      assertStringIncludes(JSON.stringify(await called), "res://from_link.tscn");
    } finally {
      await client.close();
    }

    const second = foster.start(["link", "godot", ...session], { stdin: true });
    const closed = JSON.parse(await second.stdoutLine(/"type":"closed"/));
    assertEquals(closed.code, 4001);
    await second.stdoutLine(/"type":"verdict","state":"ready"/);
    assertEquals(link.stdout.includes('"type":"closed"'), false);
    for (const each of [link, second]) {
      await each.write('{"type":"close"}\n');
      assertEquals((await each.finish()).code, 0);
    }
  },
});
