import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { clientEnvironment, connectTo, fixture, notes, textOf } from "../fixtures/connect_client.ts";
import { Foster, until } from "./harness.ts";

/** Probes that fail three times within two seconds. */
const HASTY = {
  ready: { probeTimeout: "300ms" },
  restart: { interval: "400ms", misses: 3, backoff: "50ms", max: 100 },
};

async function onlyKey(foster: Foster): Promise<string> {
  for await (const { name } of Deno.readDir(join(foster.stateDir, "servers"))) return name;
  throw new Error("there is no server");
}

Deno.test("foster connect gets the answer of a tool that blocks its server for many missed probes", async () => {
  await using foster = await Foster.create();
  await foster.define({ busy: fixture(HASTY) });
  await using connected = await connectTo(foster, ["busy", "--idle", "1s"]);
  const { client } = connected;
  const pid = textOf(await client.callTool({ name: "pid", arguments: {} }));
  for (const ms of [2500, 6000]) {
    assertEquals(textOf(await client.callTool({ name: "block", arguments: { ms } })), "done");
  }
  assertEquals(textOf(await client.callTool({ name: "pid", arguments: {} })), pid);
  const key = await onlyKey(foster);
  const events = (await foster.events(key)).map(({ event }) => event);
  assertEquals(events.filter((event) => event === "restarting"), []);
});

Deno.test("foster restarts a server whose call is older than the definition lets a call be", async () => {
  await using foster = await Foster.create();
  const callsFile = join(foster.folder, "calls");
  await foster.define({
    busy: fixture({ ...HASTY, call: { timeout: "1s" }, options: [`--calls-file=${callsFile}`] }),
  });
  await using connected = await connectTo(foster, ["busy", "--idle", "1s"]);
  const { client } = connected;
  const pid = textOf(await client.callTool({ name: "pid", arguments: {} }));
  const said = await client.callTool({ name: "block", arguments: { ms: 60_000 } }).then(textOf, String);
  assertEquals(/restarted while tools.call/.test(said), true, said);
  assertEquals(textOf(await client.callTool({ name: "pid", arguments: {} })) === pid, false);
  assertEquals((await notes(callsFile)).filter((line) => line === "block begins").length, 1);
});

Deno.test("foster leaves a server alone that works on a call which foster can't see", async () => {
  await using foster = await Foster.create();
  await foster.define({ busy: fixture({ ...HASTY, options: ["--json"] }) });
  const env = { ...clientEnvironment(foster), FOSTER_LIVE_MS: "60000" };
  await foster.expect(0, ["up", "busy", "--supervise"], { env });
  const key = await onlyKey(foster);
  const record = await foster.record(key) ?? {};
  const endpoint = String(record.endpoint);
  const post = (id: number, method: string, params: object, session = "") =>
    fetch(endpoint, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        ...(session === "" ? {} : { "mcp-session-id": session }),
      },
      body: JSON.stringify({ jsonrpc: "2.0", id, method, params }),
    });
  const hello = await post(1, "initialize", {
    protocolVersion: "2025-06-18",
    capabilities: {},
    clientInfo: { name: "direct", version: "1" },
  });
  await hello.body?.cancel();
  const session = hello.headers.get("mcp-session-id") ?? "";
  const call = await post(2, "tools/call", { name: "block", arguments: { ms: 5000 } }, session);
  assertEquals(textOf((await call.json()).result), "done");
  await until(
    "probes were missed",
    async () => (await foster.events(key)).some(({ event }) => event === "probe_failed"),
  );
  assertEquals((await foster.record(key))?.pid, record.pid);
});
