import { join } from "node:path";
import { upward } from "../../base/upward.ts";
import type { Client, Places } from "../client.ts";

// Observed with 0.171.0 on Linux, November 2026. One wrong entry stops all of Codex; nothing is expanded.
export const codex: Client = {
  id: "codex",
  title: "Codex",
  files: (places) => [
    ...upward(places.folder).filter((folder) => folder !== places.home).map((folder) => ({
      path: join(folder, ".codex", "config.toml"),
      scope: "project" as const,
      syntax: "toml" as const,
      at: ["mcp_servers"],
      project: folder,
    })),
    {
      path: join(ownFolder(places), "config.toml"),
      scope: "user",
      syntax: "toml",
      at: ["mcp_servers"],
      project: null,
    },
  ],
  installed: (places) => [ownFolder(places)],
  references: [],
  connectEntry: ({ command, args }) => ({ command, args }),
  httpEntry: ({ url, authorization }) => ({ url, http_headers: { Authorization: authorization } }),
  takesEffect: "in its next session",
};

function ownFolder({ home, env }: Places): string {
  return env("CODEX_HOME") || join(home, ".codex");
}
