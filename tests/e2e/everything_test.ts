import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { startTicks } from "../fixtures/wk_support.ts";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { Foster, freePort, isAlive, isFree, npxReason } from "./harness.ts";
import { unless } from "../skip.ts";

const PACKAGE = "@modelcontextprotocol/server-everything@2026.8.31";
const missing = await npxReason(PACKAGE);

Deno.test({
  ...unless(
    missing,
    "up everything starts the reference server through npx, and down ends launcher and server",
  ),
  async fn() {
    await using foster = await Foster.create();
    const port = freePort();
    const options = { timeoutMs: 120_000 };
    const args = ["up", "everything", "--port", String(port), "--timeout", "100s", "--json"];
    const up = (await foster.expect(0, args, options)).row();
    assertEquals([up.state, up.startup_path, up.port], ["ready", "spawned", port]);
    assertEquals(up.server.name, "mcp-servers/everything");

    // The listener stands behind npx: both are recorded, each by its own identity.
    const record = await foster.record("everything");
    assert(record !== null);
    assertEquals(record.pid, up.pid);
    assertNotEquals(record.launcher_pid, record.pid);
    assertNotEquals(record.launcher_start_token, record.start_token);
    assertEquals(record.pgid, record.launcher_pid);
    for (const pid of [Number(record.pid), Number(record.launcher_pid)]) assert(await isAlive(pid));
    assertEquals(await startTicks(Number(record.pid)), String(record.start_token).split(":")[2]);
    assertEquals(
      await startTicks(Number(record.launcher_pid)),
      String(record.launcher_start_token).split(":")[2],
    );

    const again = (await foster.expect(0, ["up", "everything", "--json"])).row();
    assertEquals([again.startup_path, again.adoption, again.pid], ["adopted", "managed", up.pid]);
    assertEquals((await foster.expect(0, ["status", "everything", "--json"])).row().state, "ready");
    assertEquals((await foster.expect(0, ["ps", "--json"])).row().process, "ours");
    await foster.expect(0, ["probe", "everything", "--tool", "echo"]);

    const client = new Client({ name: "e2e", version: "1" });
    await client.connect(new StreamableHTTPClientTransport(new URL(up.endpoint)));
    try {
      const { content } = await client.callTool({ name: "echo", arguments: { message: "hello" } });
      assertEquals(content, [{ type: "text", text: "Echo: hello" }]);
    } finally {
      await client.close();
    }

    const down = (await foster.expect(0, ["down", "everything", "--json"])).row();
    assert(down.recovered?.killed.includes(up.pid));
    assertEquals(await foster.servers(), []);
    assertEquals(await isAlive(Number(record.launcher_pid)), false);
    assertEquals([await foster.record("everything"), isFree(port)], [null, true]);
    await foster.expect(0, ["down", "everything"]);
  },
});
