/** Where client and server speak the same revision, what one writes is what the other reads, byte for byte. */
import { assert, assertEquals } from "@std/assert";
import { META, NEWER_REVISION } from "../../src/mcp/revisions/messages.ts";
import { GatewayRig, type Revision } from "./rig.ts";

const JSON_TYPE = { "content-type": "application/json", accept: "application/json" };

/** A request as no serialiser would write it, on several lines. `id` is JSON text. */
function oddRequest(id: string, meta: string): string {
  return `{ "params" : {"z":1.0,"a":[12345678901234567890, 1e400,-0],\n"text":"\\u0041\\/\u2028"${meta}},` +
    ` "method":"test/raw","id" :${id}, "jsonrpc":"2.0" }`;
}

async function begun(
  rig: GatewayRig,
  revision: Revision,
): Promise<{ headers: Record<string, string>; meta: string }> {
  if (revision === "newer") {
    const meta =
      `,"_meta":{"${META.version}":"${NEWER_REVISION}","${META.clientCapabilities}":{}, "vendor":1.50}`;
    const headers = { "mcp-protocol-version": NEWER_REVISION, "mcp-method": "test/raw" };
    return { headers: { ...JSON_TYPE, ...headers }, meta };
  }
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "t", version: "1" } };
  const response = await fetch(rig.url("docs"), {
    method: "POST",
    headers: JSON_TYPE,
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params }),
  });
  await response.body?.cancel();
  const session = response.headers.get("mcp-session-id") ?? "";
  return { headers: { ...JSON_TYPE, "mcp-session-id": session }, meta: "" };
}

for (const revision of ["older", "newer"] as const) {
  for (const mode of [revision, "both"]) {
    Deno.test(`a ${revision} client's request at a server that is "${mode}" and its answer pass unchanged`, async () => {
      await using rig = await GatewayRig.open();
      await rig.enrol("docs", mode);
      const { headers, meta } = await begun(rig, revision);
      for (const id of ["7", '"a"', "12345678901234567"]) {
        const body = oddRequest(id, meta);
        const response = await fetch(rig.url("docs"), { method: "POST", headers, body });
        const text = await response.text();
        const said = JSON.parse(text);
        // Only the id may differ on the way, where clients share a process, and a raw line end.
        const seen: string = said.result.line;
        const wireId = /"id" :([^,]+),/.exec(seen)?.[1] ?? "";
        assertEquals(seen, oddRequest(wireId, meta).replaceAll("\n", " "));
        if (revision === "older") assertEquals(wireId, id);
        assertEquals(
          text,
          `{ "result":{"line":${JSON.stringify(seen)},"n":[1.0,1e2,12345678901234567890,-0],"é":"\\u00e9",` +
            `"resultType":"complete"},"jsonrpc" : "2.0","id":${id}}`,
        );
        assert(response.ok);
      }
    });
  }
}
