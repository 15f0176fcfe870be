import { join } from "node:path";
import type { Client } from "../client.ts";

// cursor.com/docs/mcp, September 2026. The transport is inferred; trailing commas break it.
export const cursor: Client = {
  id: "cursor",
  title: "Cursor",
  files: ({ home, folder }) => [
    {
      path: join(folder, ".cursor", "mcp.json"),
      scope: "project",
      syntax: "json",
      at: ["mcpServers"],
      project: folder,
    },
    {
      path: join(home, ".cursor", "mcp.json"),
      scope: "user",
      syntax: "json",
      at: ["mcpServers"],
      project: null,
    },
  ],
  installed: ({ home }) => [join(home, ".cursor")],
  prefersProject: true,
  references: ["prefixed", "folders"],
  connectEntry: ({ command, args }) => ({ command, args }),
  httpEntry: ({ url, authorization }) => ({ url, headers: { Authorization: authorization } }),
  takesEffect: "at once: it watches the file",
};
