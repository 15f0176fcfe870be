/**
 * A small MCP server that starts to listen late and writes down, once, when it gave its first good answer:
 * `late_server.ts PORT DELAY_MS FILE`.
 *
 * @module
 */
const [port = "0", delayMs = "0", file = ""] = Deno.args;

await new Promise((resolve) => setTimeout(resolve, Number(delayMs)));
let isFirst = true;

Deno.serve({ hostname: "127.0.0.1", port: Number(port), onListen: () => {} }, async (request) => {
  if (request.method !== "POST") return new Response(null, { status: 405 });
  const { id, method } = await request.json();
  const result = resultOf(method);
  if (result === null) {
    return Response.json({
      jsonrpc: "2.0",
      id: id ?? null,
      error: { code: -32601, message: "unknown method" },
    });
  }
  if (isFirst) Deno.writeTextFileSync(file, String(Date.now()));
  isFirst = false;
  return id === undefined
    ? new Response(null, { status: 202 })
    : Response.json({ jsonrpc: "2.0", id, result });
});

function resultOf(method: string): unknown {
  switch (method) {
    case "initialize":
      return {
        protocolVersion: "2025-06-18",
        capabilities: { tools: {} },
        serverInfo: { name: "late", version: "1.0.0" },
      };
    case "tools/list":
      return { tools: [{ name: "echo", inputSchema: { type: "object" } }] };
    case "notifications/initialized":
    case "ping":
      return {};
    default:
      return null;
  }
}
