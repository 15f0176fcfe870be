import { DemoServerError, runDemoServer } from "../../demo/server.ts";
import { HostError } from "../../host/host.ts";
import { VERSION } from "../../version.ts";
import { EXIT } from "../exit_codes.ts";
import { PORT } from "../port.ts";
import type { Verb } from "../verb.ts";

export const demoServer: Verb = {
  name: "demo-server",
  summary: "the MCP server inside foster",
  usage: "--port N [OPTIONS]",
  options: [
    { name: "port", kind: "number", value: "N", summary: "MCP over HTTP" },
    { name: "ws-port", kind: "number", value: "N", summary: "the WebSocket side" },
    { name: "host", kind: "text", value: "H", summary: "address to listen on (127.0.0.1)" },
    { name: "path", kind: "text", value: "P", summary: "path of the MCP endpoint (/mcp)" },
    { name: "pid-file", kind: "text", value: "FILE", summary: "where to write the pid" },
    { name: "name", kind: "text", value: "T", summary: "what it calls itself (foster-demo)" },
    { name: "version", kind: "text", value: "V", summary: "which version it claims to be" },
    { name: "delay", kind: "duration", value: "D", summary: "wait before listening" },
  ],
  examples: [
    ["demo-server --port 8765", "runs it in the foreground"],
    ["demo-server --port 8765 --delay 2s", "the same, slow to start"],
  ],
  async run({ host, signal }, args) {
    await runDemoServer(host, {
      port: args.number("port", PORT) ?? 8765,
      wsPort: args.number("ws-port", PORT),
      host: args.text("host") ?? "127.0.0.1",
      path: args.text("path") ?? "/mcp",
      pidFile: args.text("pid-file"),
      name: args.text("name") ?? undefined,
      version: args.text("version") ?? VERSION,
      delayMs: args.duration("delay") ?? undefined,
    }, signal).catch((error: unknown) => {
      if (!(error instanceof DemoServerError)) throw error;
      throw new HostError("busy", error.message, { cause: error });
    });
    return EXIT.done;
  },
};
