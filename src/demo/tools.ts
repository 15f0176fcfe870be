import { type CallToolResult, McpServer } from "@modelcontextprotocol/server";
// As a namespace: "z" by itself brings what it says in all languages.
import * as z from "zod";
import type { Host } from "../host/host.ts";
import type { Clients } from "./clients.ts";

const PROGRESS_EVERY_MS = 100;

export interface Toolbox {
  host: Pick<Host, "clock">;
  name: string;
  version: string;
  clients: Clients;
}

const EchoInput = z.object({ text: z.string() });
const AddInput = z.object({ a: z.number(), b: z.number() });
const SlowInput = z.object({ ms: z.number().int().min(0).max(600_000) });
const CallInput = z.object({
  command: z.string(),
  params: z.record(z.string(), z.unknown()).optional(),
  session_id: z.string().optional(),
});
const GreetInput = z.object({ name: z.string() });

/** A new MCP server with the demo's tools, its resource and its prompt; one for each session or request. */
export function buildServer({ host, name, version, clients }: Toolbox): McpServer {
  const server = new McpServer({ name, version });

  server.registerTool(
    "echo",
    { description: "Gives the text back", inputSchema: EchoInput },
    ({ text }) => answer(text),
  );

  server.registerTool(
    "add",
    { description: "Adds two numbers", inputSchema: AddInput },
    ({ a, b }) => answer(String(a + b)),
  );

  server.registerTool(
    "now",
    { description: "The server's time of day" },
    () => answer(new Date(host.clock.now()).toISOString()),
  );

  server.registerTool(
    "slow",
    { description: "Takes its time and reports progress", inputSchema: SlowInput },
    async ({ ms }, { mcpReq }) => {
      const progressToken = mcpReq._meta?.progressToken;
      for (let spentMs = 0; spentMs < ms;) {
        const stepMs = Math.min(PROGRESS_EVERY_MS, ms - spentMs);
        await host.clock.sleep(stepMs, mcpReq.signal);
        spentMs += stepMs;
        if (progressToken === undefined) continue;
        await mcpReq.notify({
          method: "notifications/progress",
          params: { progressToken, progress: spentMs, total: ms },
        });
      }
      return answer(`waited ${ms} ms`);
    },
  );

  server.registerTool(
    "call_client",
    { description: "Sends a command to a client on the WebSocket side", inputSchema: CallInput },
    async ({ command, params, session_id }, { mcpReq }) => {
      const result = await clients.call(command, params ?? {}, {
        sessionId: session_id ?? null,
        signal: mcpReq.signal,
      });
      switch (result.kind) {
        case "answered":
          return { ...answer(JSON.stringify(result.response)), isError: result.response.status === "error" };
        case "failed":
          return { ...answer(`${result.code}: ${result.message}`), isError: true };
      }
    },
  );

  server.registerResource(
    "sessions",
    "demo://sessions",
    { description: "The clients on the WebSocket side and their last events", mimeType: "application/json" },
    (uri) => ({
      contents: [{ uri: uri.href, mimeType: "application/json", text: JSON.stringify(clients.describe()) }],
    }),
  );

  server.registerPrompt(
    "greet",
    { description: "Asks for a greeting", argsSchema: GreetInput },
    ({ name }) => ({
      messages: [{ role: "user", content: { type: "text", text: `Say hello to ${name}.` } }],
    }),
  );

  return server;
}

function answer(text: string): CallToolResult {
  return { content: [{ type: "text", text }] };
}
