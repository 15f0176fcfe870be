import type { Preset } from "./preset.ts";

// Servers of version 4 and later answer only to clients that hold a secret of the editor's.
const VERSION = "3.2.5";

const RUN_AS_MODULE = ["-m", "godot_ai"];
const CHECKOUT = { tier: "dev_venv", ifExists: "src/godot_ai", searchUp: 5, args: RUN_AS_MODULE };

/** The server of the Godot editor plugin of this name. */
export const GODOT_AI: Preset = {
  name: "godot-ai",
  summary: "the MCP server of the Godot editor plugin, from PyPI through uvx",
  written: {
    launch: [
      { ...CHECKOUT, command: ".venv/bin/python" },
      { ...CHECKOUT, command: ".venv/Scripts/python.exe" },
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
    version: VERSION,
    identity: { name: "godot-ai", statusPath: "/godot-ai/status" },
    brand: ["godot-ai", "godot_ai"],
    brandFlags: ["--pid-file", "--transport"],
    refreshArgs: ["--refresh"],
    modeEnv: "GODOT_AI_MODE",
    ownerEnv: "GODOT_AI_OWNER_PID",
    telemetry: { disable: false, env: ["GODOT_AI_DISABLE_TELEMETRY", "DISABLE_TELEMETRY"] },
    devSource: { marker: "src/godot_ai/__init__.py", mode: "prefix" },
    link: { clientName: "foster", clientVersion: VERSION },
  },
};
