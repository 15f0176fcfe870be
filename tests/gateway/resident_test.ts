/** What a supervisor says to requests while it takes up what is enrolled, and while it ends. */
import { assertEquals } from "@std/assert";
import { type Resident, startResident } from "../../src/gateway/resident.ts";
import { join } from "@std/path";
import { loadDefinitions } from "../../src/definitions/load.ts";
import { GatewayRig, until } from "./rig.ts";

async function resident(
  { world }: GatewayRig,
): Promise<{ resident: Resident; ask(name?: string): Promise<Response> }> {
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
    ask: (name = "docs") => fetch(`${endpoint}/mcp/${name}`, { method: "POST", headers, body }),
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

Deno.test("a definition file that changes: servers come and go, and while it is broken all is as it was", async () => {
  await using rig = await GatewayRig.open();
  const { world } = rig;
  const { resident: own, ask } = await resident(rig);
  await own.restore();
  const running = own.run();
  const config = join(world.callerFolder, "foster.json");
  const write = (...names: string[]) =>
    Deno.writeTextFile(
      config,
      JSON.stringify({ servers: Object.fromEntries(names.map((name) => [name, { command: "no-such" }])) }),
    );
  const serve = async (...names: string[]) => {
    const { inFile } = await loadDefinitions(world.host, { configFlag: config, callerFolder: "/" });
    const servers = inFile.filter(({ name }) => names.includes(name)).map(({ key, name }) => ({
      key,
      name,
      config,
      folder: world.callerFolder,
      by: "serve" as const,
      idle_ms: null,
      timeout_ms: null,
      owner: null,
    }));
    await own.serve(servers, null);
  };
  const errorOf = async (name: string) => (await (await ask(name)).json()).error;
  const isKnown = async (name: string) => /^Session not found/.test((await errorOf(name)).message);

  await write("one", "two", "three");
  await serve("one", "two");
  await Deno.writeTextFile(config, '{ "servers": ');
  await until(
    () => rig.warnings.some((text) => text.includes("goes on as it was")),
    "the broken file was read",
  );
  assertEquals([await isKnown("one"), await isKnown("three")], [true, false]);
  await write("two", "three", "four");
  await until(async () => !await isKnown("one"), "a server that is gone from the file is gone");
  assertEquals([await isKnown("two"), await isKnown("four")], [true, false], "not all were enrolled");
  await serve("three", "four");
  await write("two", "three", "four", "five");
  await until(async () => await isKnown("five"), "a new server comes");
  own.quit("stop");
  await running;
  await own.close();
});
