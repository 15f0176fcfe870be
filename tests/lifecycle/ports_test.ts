import { assertEquals } from "@std/assert";
import { endpointOf, resolvePorts } from "../../src/lifecycle/observe/ports.ts";
import { definitionOf, PORT, Rig } from "./rig.ts";

for (
  const [host, endpoint] of [
    ["127.0.0.1", "http://127.0.0.1:3001/mcp"],
    ["localhost", "http://localhost:3001/mcp"],
    ["::1", "http://[::1]:3001/mcp"],
  ] as const
) {
  Deno.test(`endpointOf() writes ${host} as a URL does`, () =>
    assertEquals(endpointOf({ host, path: "/mcp" }, 3001), endpoint));
}

Deno.test("resolvePorts() takes the definition's ports as they are", async () => {
  const rig = new Rig();
  assertEquals(await resolvePorts(rig.world, definitionOf({ wsPort: 9500 })), {
    port: PORT,
    wsPort: 9500,
    reserved: false,
    wsMovedFrom: null,
  });
});

Deno.test("resolvePorts() says that the HTTP port is reserved and moves only the WebSocket port", async () => {
  const rig = new Rig();
  rig.host.net.reserved = [[3000, 3099], [9500, 9510]];
  assertEquals(await resolvePorts(rig.world, definitionOf({ wsPort: 9500 })), {
    port: PORT,
    wsPort: 9511,
    reserved: true,
    wsMovedFrom: 9500,
  });
});

Deno.test("resolvePorts() chooses two different ports for auto, once", async () => {
  const rig = new Rig();
  const definition = definitionOf({ port: "auto", wsPort: "auto" });
  const chosen = await resolvePorts(rig.world, definition);
  assertEquals(await resolvePorts(rig.world, definition), chosen);
  assertEquals(chosen.port !== chosen.wsPort, true);
});
