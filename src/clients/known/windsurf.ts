import { join } from "node:path";
import type { Client } from "../client.ts";

// docs.windsurf.com of 2026; since June 2026 it is called Devin Desktop, whose own file goes first where it is there. That
// one has `url`, the older one `serverUrl`: docs.sevalla.com and docs.browserless.io, read in November 2026.
export const windsurf: Client = {
  id: "windsurf",
  title: "Windsurf",
  files: ({ system, home, config, settings, folder }) => {
    const devin = system === "windows" ? join(settings, "devin") : join(config, "devin");
    const own = [
      { path: join(devin, "mcp_config.json"), syntax: "json_with_comments" as const },
      { path: join(home, ".codeium", "windsurf", "mcp_config.json"), syntax: "json" as const },
      { path: join(home, ".codeium", "mcp_config.json"), syntax: "json" as const },
    ];
    const at = ["mcpServers"];
    return [
      {
        path: join(folder, ".devin", "mcp_config.json"),
        scope: "project" as const,
        syntax: "json_with_comments" as const,
        at,
        project: folder,
      },
      ...own.map((each) => ({ ...each, scope: "user" as const, at, project: null })),
    ];
  },
  installed: ({ system, home, config, settings }) => [
    join(home, ".codeium", "windsurf"),
    system === "windows" ? join(settings, "devin") : join(config, "devin"),
  ],
  references: ["prefixed", "file"],
  connectEntry: ({ command, args }) => ({ command, args }),
  httpEntry({ url, authorization }, path) {
    const headers = { Authorization: authorization };
    return /[\\/]\.?devin[\\/]/.test(path)
      ? { url, transport: "http", headers }
      : { serverUrl: url, headers };
  },
  takesEffect: "after its refresh button",
};
