/**
 * A stdio server that notes each call in a file: `server.ts older|both FILE`. What stands there twice was sent twice.
 *
 * @module
 */
const [mode = "older", file = ""] = Deno.args;
const NEWER = "2026-07-28";

// deno-lint-ignore no-explicit-any
type Message = any;

const encoder = new TextEncoder();
const send = (message: Message) =>
  void Deno.stdout.writeSync(encoder.encode(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`));
const capabilities = { tools: {} };
const serverInfo = { name: "soak", version: "1.0.0" };
const tools = [{ name: "mark", inputSchema: { type: "object" } }];

async function answer({ id, method, params = {} }: Message): Promise<void> {
  if (id === undefined) return;
  const isNewer = params._meta?.["io.modelcontextprotocol/protocolVersion"] === NEWER;
  if (mode === "older" && (isNewer || method === "server/discover")) {
    return send({ id, error: { code: -32601, message: "Method not found" } });
  }
  const hint = isNewer ? { resultType: "complete" } : {};
  const cached = isNewer ? { ...hint, ttlMs: 0, cacheScope: "private" } : {};
  switch (method) {
    case "initialize":
      return send({ id, result: { protocolVersion: params.protocolVersion, capabilities, serverInfo } });
    case "server/discover":
      return send({ id, result: { supportedVersions: [NEWER], capabilities, serverInfo, ...cached } });
    case "ping":
      return send({ id, result: {} });
    case "tools/list":
      return send({ id, result: { tools, ...cached } });
    case "tools/call": {
      const { text, ms } = params.arguments;
      Deno.writeTextFileSync(file, `${text}\n`, { append: true });
      if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
      return send({ id, result: { content: [{ type: "text", text }], ...hint } });
    }
    case "prompts/get":
      return send({ id, result: { messages: [], ...hint } });
    default:
      return send({ id, error: { code: -32601, message: "Method not found" } });
  }
}

let rest = "";
for await (const chunk of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + chunk).split("\n");
  rest = lines.pop() ?? "";
  for (const line of lines) if (line.trim() !== "") void answer(JSON.parse(line));
}
