import { join } from "node:path";
import type { Client, Places } from "../client.ts";

// gemini-cli's configuration.md of 2026-08-21, observed with 0.61.0. A trailing comma stops the program, comments do not.
export const gemini: Client = {
  id: "gemini",
  title: "Gemini CLI",
  files: (places) => [
    {
      path: join(places.folder, ".gemini", "settings.json"),
      scope: "project",
      syntax: "json_with_comments",
      at: ["mcpServers"],
      project: places.folder,
    },
    {
      path: join(ownHome(places), ".gemini", "settings.json"),
      scope: "user",
      syntax: "json_with_comments",
      at: ["mcpServers"],
      project: null,
    },
  ],
  installed: (places) => [join(ownHome(places), ".gemini")],
  prefersProject: true,
  references: ["shell", "dollar", "percent"],
  connectEntry: ({ command, args }) => ({ command, args }),
  httpEntry: ({ url, authorization }) => ({ httpUrl: url, headers: { Authorization: authorization } }),
  takesEffect: "in its next session, or after /mcp reload",
};

function ownHome({ home, env }: Places): string {
  return env("GEMINI_CLI_HOME") || home;
}
