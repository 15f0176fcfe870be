// The measured server, made with the official SDK: `echo_server.mjs` speaks stdio, `echo_server.mjs http PORT` HTTP, and
// `echo_server.mjs sticky` is one that does not end at the end of its input. It is copied to where the SDK is installed.
import http from "node:http";
import { randomUUID } from "node:crypto";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { z } from "zod";

const text = (value) => ({ content: [{ type: "text", text: String(value) }] });

function create() {
  const server = new McpServer({ name: "echo", version: "1.0.0" });
  const echo = { description: "Gives back what it got", inputSchema: { text: z.string() } };
  server.registerTool("echo", echo, ({ text: given }) => text(given));
  server.registerTool("pid", { description: "Its process", inputSchema: {} }, () => text(process.pid));
  for (let n = 2; n < 13; n++) {
    const inputSchema = { a: z.number(), b: z.string().optional() };
    server.registerTool(
      `tool_${n}`,
      { description: `Tool ${n}, which fills the list`, inputSchema },
      ({ a }) => text(a),
    );
  }
  return server;
}

const [mode = "stdio", port = "0"] = process.argv.slice(2);
if (mode === "http") {
  const sessions = new Map();
  http.createServer(async (request, response) => {
    const id = request.headers["mcp-session-id"];
    let transport = id === undefined ? undefined : sessions.get(id);
    if (id !== undefined && transport === undefined) return response.writeHead(404).end();
    if (transport === undefined) {
      transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (own) => sessions.set(own, transport),
        onsessionclosed: (own) => sessions.delete(own),
      });
      await create().connect(transport);
    }
    await transport.handleRequest(request, response);
  }).listen(Number(port), "127.0.0.1");
} else {
  if (mode === "sticky") {
    setInterval(() => {}, 1000);
    process.stdout.on("error", () => {});
  }
  await create().connect(new StdioServerTransport());
}
