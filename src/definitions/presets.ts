/**
 * The definitions that are always there.
 *
 * @module
 */
import { VERSION } from "../version.ts";
import type { WrittenServer } from "./schema.ts";

/** A definition that is always there, written as a user would write it. */
export interface Preset {
  name: string;
  /** One line for lists. */
  summary: string;
  written: WrittenServer;
}

/** The server inside foster itself. */
const DEMO: Preset = {
  name: "demo",
  summary: "a small MCP server inside foster itself: needs nothing else",
  written: {
    command: "foster",
    args: [
      "demo-server",
      ["--port", "${port}"],
      ["--ws-port", "${wsPort}"],
      ["--pid-file", "${pidFile}"],
    ],
    port: "auto",
    wsPort: "auto",
    version: VERSION,
    identity: { name: "foster-demo", statusPath: "/foster/status" },
    brand: ["foster-demo", "demo-server"],
    brandFlags: ["--pid-file", "--port"],
    link: { clientName: "foster", clientVersion: VERSION },
  },
};

/** The MCP project's reference server. It takes its port from the environment and answers on a fixed path. */
const EVERYTHING: Preset = {
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

// Servers of version 4 and later answer only to clients that hold a secret of the editor's.
const GODOT_AI_VERSION = "3.2.5";

const RUN_GODOT_AI = ["-m", "godot_ai"];
const GODOT_AI_CHECKOUT = { tier: "dev_venv", ifExists: "src/godot_ai", searchUp: 5, args: RUN_GODOT_AI };

/** The server of the Godot editor plugin of this name. */
const GODOT_AI: Preset = {
  name: "godot-ai",
  summary: "the MCP server of the Godot editor plugin, from PyPI through uvx",
  written: {
    launch: [
      { ...GODOT_AI_CHECKOUT, command: ".venv/bin/python" },
      { ...GODOT_AI_CHECKOUT, command: ".venv/Scripts/python.exe" },
      { tier: "uvx", command: "uvx", args: [["--from", "godot-ai==${version}"], "godot-ai"] },
      { tier: "system", command: "godot-ai" },
    ],
    args: [
      "--transport",
      "streamable-http",
      "--port",
      "${port}",
      ["--ws-port", "${wsPort}"],
      "--pid-file",
      "${pidFile}",
      ["--exclude-domains", "${env:GODOT_AI_EXCLUDE_DOMAINS}"],
    ],
    port: 8000,
    wsPort: 9500,
    path: "/mcp",
    version: GODOT_AI_VERSION,
    identity: { name: "godot-ai", statusPath: "/godot-ai/status" },
    brand: ["godot-ai", "godot_ai"],
    brandFlags: ["--pid-file", "--transport"],
    refreshArgs: ["--refresh"],
    modeEnv: "GODOT_AI_MODE",
    ownerEnv: "GODOT_AI_OWNER_PID",
    telemetry: { disable: false, env: ["GODOT_AI_DISABLE_TELEMETRY", "DISABLE_TELEMETRY"] },
    devSource: { marker: "src/godot_ai/__init__.py", mode: "prefix" },
    link: { clientName: "foster", clientVersion: GODOT_AI_VERSION },
  },
};

/** By name, in the order of lists. */
export const PRESETS: ReadonlyMap<string, Preset> = new Map(
  [DEMO, EVERYTHING, GODOT_AI].map((preset) => [preset.name, preset]),
);
