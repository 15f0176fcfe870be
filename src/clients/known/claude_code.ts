import { join } from "node:path";
import { isObject } from "../../base/json.ts";
import { upward } from "../../base/upward.ts";
import type { Client, Places } from "../client.ts";
import { parseSettings, readSettings } from "../settings.ts";

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
  prefersProject: true,
  approval: async (places, name) => {
    const read = await readSettings(places, userFile(places));
    const settings: unknown = read === null
      ? null
      : await parseSettings(read.text, { path: "", syntax: "json" });
    const own = isObject(settings) && isObject(settings["projects"])
      ? settings["projects"][places.root]
      : null;
    const has = (key: string) => isObject(own) && Array.isArray(own[key]) && own[key].includes(name);
    return has("disabledMcpjsonServers") ? "refused" : has("enabledMcpjsonServers") ? "approved" : "pending";
  },
  references: ["shell"],
  connectEntry: ({ command, args }) => ({ type: "stdio", command, args, env: {} }),
  // `type` decides: an entry with a url alone is refused.
  httpEntry: ({ url, authorization }) => ({ type: "http", url, headers: { Authorization: authorization } }),
  takesEffect: "in its next session, or after /mcp",
};

function userFile({ home, env }: Places): string {
  return join(env("CLAUDE_CONFIG_DIR") || home, ".claude.json");
}
