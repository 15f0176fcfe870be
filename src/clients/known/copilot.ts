import { join } from "node:path";
import { upward } from "../../base/upward.ts";
import type { Client, Places } from "../client.ts";

// github/docs add-mcp-servers.md and copilot-cli's changelog of 2026-08-03. It shares .mcp.json with Claude Code.
export const copilot: Client = {
  id: "copilot",
  title: "Copilot CLI",
  files: (places) => [
    ...upward(places.folder).filter((each) => each === places.root || each.startsWith(places.root)).flatMap((
      folder,
    ) =>
      [".mcp.json", join(".github", "mcp.json")].map((name) => ({
        path: join(folder, name),
        scope: "project" as const,
        syntax: "json" as const,
        at: ["mcpServers"],
        project: folder,
      }))
    ),
    {
      path: join(ownFolder(places), "mcp-config.json"),
      scope: "user",
      syntax: "json",
      at: ["mcpServers"],
      project: null,
    },
  ],
  installed: (places) => [ownFolder(places)],
  prefersProject: true,
  references: ["shell", "dollar"],
  connectEntry: ({ command, args }) => ({ type: "stdio", command, args, tools: ["*"] }),
  httpEntry: ({ url, authorization }) => ({
    type: "http",
    url,
    headers: { Authorization: authorization },
    tools: ["*"],
  }),
  takesEffect: "in its next session, or after /mcp reload",
};

function ownFolder({ home, env }: Places): string {
  return env("COPILOT_HOME") || join(home, ".copilot");
}
