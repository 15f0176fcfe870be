import { VERSION } from "../../version.ts";
import type { Preset } from "./preset.ts";

/** The server inside foster itself. */
export const DEMO: Preset = {
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
