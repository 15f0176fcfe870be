/** What a supervisor says to requests while it takes up what is enrolled, and while it ends. */
import { assertEquals } from "@std/assert";
import { type Resident, startResident } from "../../src/gateway/resident.ts";
import { GatewayRig } from "./rig.ts";

async function resident({ world }: GatewayRig): Promise<{ resident: Resident; ask(): Promise<Response> }> {
  const started = await startResident(world, {
    port: null,
    stay: true,
    gateway: null,
    needsPort: false,
    onNews: () => {},
    onError: () => {},
    say: () => {},
  });
  if (started.kind !== "started") throw new Error(started.kind);
  const { endpoint } = started.resident.file;
  const headers = {
    "authorization": `Bearer ${await world.state.gatewayToken()}`,
    "content-type": "application/json",
    "mcp-session-id": "0".repeat(32),
  };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: {} });
  return {
    resident: started.resident,
    ask: () => fetch(`${endpoint}/mcp/docs`, { method: "POST", headers, body }),
  };
}

Deno.test("a supervisor that takes up what is enrolled answers requests once it knows that", async () => {
  await using rig = await GatewayRig.open();
  const { resident: own, ask } = await resident(rig);
  let isAnswered = false;
  const asked = ask().finally(() => isAnswered = true);
  await (await fetch(`${own.file.endpoint}/healthz`)).text();
  assertEquals(isAnswered, false);
  await own.restore();
  const answer = await asked;
  await answer.text();
  assertEquals(answer.status, 404);
  await own.close();
});

Deno.test("a supervisor that is about to end runs nothing any more, and says so", async () => {
  await using rig = await GatewayRig.open();
  const { resident: own, ask } = await resident(rig);
  await own.restore();
  own.quit("stop");
  const answer = await ask();
  assertEquals(answer.status, 503);
  assertEquals((await answer.json()).error.data, { is_ending: true, may_have_run: false });
  await own.close();
});
