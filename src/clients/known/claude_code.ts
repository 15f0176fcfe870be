import { join } from "node:path";
import { upward } from "../../base/upward.ts";
import type { Client, Places } from "../client.ts";

// Observed with 2.1.332 on Linux, November 2026. The spelling of `projects` keys on Windows is not certain.
export const claudeCode: Client = {
  id: "claude-code",
  title: "Claude Code",
  files(places) {
    const user = userFile(places);
    const project = places.root;
    return [
      { path: user, scope: "local", syntax: "json", at: ["projects", project, "mcpServers"], project },
      ...upward(places.folder).map((folder) => ({
        path: join(folder, ".mcp.json"),
        scope: "project" as const,
        syntax: "json" as const,
        at: ["mcpServers"],
        project: folder,
      })),
      { path: user, scope: "user", syntax: "json", at: ["mcpServers"], project: null },
    ];
  },
  installed: (places) => [userFile(places), join(places.home, ".claude")],
  references: ["shell"],
  connectEntry: ({ command, args }) => ({ type: "stdio", command, args, env: {} }),
  // `type` decides: an entry with a url alone is refused.
  httpEntry: ({ url, authorization }) => ({ type: "http", url, headers: { Authorization: authorization } }),
  takesEffect: "in its next session, or after /mcp",
};

function userFile({ home, env }: Places): string {
  return join(env("CLAUDE_CONFIG_DIR") || home, ".claude.json");
}
