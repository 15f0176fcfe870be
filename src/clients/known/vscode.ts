import { join } from "node:path";
import type { Client } from "../client.ts";

// vscode-docs of 2026-06-03 and vscode's mcpResourceScannerService.ts. Its own edits drop comments of `mcp.json`.
export const vscode: Client = {
  id: "vscode",
  title: "VS Code",
  files: ({ settings, folder }) => [
    {
      path: join(folder, ".vscode", "mcp.json"),
      scope: "project",
      syntax: "jsonc",
      at: ["servers"],
      project: folder,
    },
    {
      path: join(folder, ".mcp.json"),
      scope: "project",
      syntax: "json",
      at: ["mcpServers"],
      project: folder,
    },
    {
      path: join(settings, "Code", "User", "mcp.json"),
      scope: "user",
      syntax: "jsonc",
      at: ["servers"],
      project: null,
    },
    {
      path: join(settings, "Code", "User", "settings.json"),
      scope: "user",
      syntax: "jsonc",
      at: ["mcp", "servers"],
      project: null,
      takesNone: true,
    },
  ],
  installed: ({ settings, home }) => [join(settings, "Code", "User"), join(home, ".vscode")],
  references: ["prefixed", "asked", "folders"],
  connectEntry: ({ command, args }) => ({ type: "stdio", command, args }),
  httpEntry: ({ url, authorization }) => ({ type: "http", url, headers: { Authorization: authorization } }),
  takesEffect: "at once; start the servers from its list of MCP servers",
};
