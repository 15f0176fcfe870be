import type { Preset } from "./preset.ts";

/** The MCP project's reference server. It takes its port from the environment and answers on a fixed path. */
export const EVERYTHING: Preset = {
  name: "everything",
  summary: "the MCP reference server with one of every feature, from npm through npx",
  written: {
    command: "npx",
    args: ["-y", "@modelcontextprotocol/server-everything@2026.8.31", "streamableHttp"],
    env: { PORT: "${port}" },
    port: 3001,
    path: "/mcp",
    identity: { name: "mcp-servers/everything" },
    brand: ["server-everything"],
    brandFlags: ["streamableHttp"],
  },
};
