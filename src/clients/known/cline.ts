import { join } from "node:path";
import type { Client, Places } from "../client.ts";

// cline's storage/paths.ts of 2026-08-22, schemas.ts, McpHub.ts. Without `type` a url is SSE; one bad entry stops all.
export const cline: Client = {
  id: "cline",
  title: "Cline",
  files: (places) =>
    [ownFile(places), olderFile(places)].map((path) => ({
      path,
      scope: "user",
      syntax: "json",
      at: ["mcpServers"],
      project: null,
    })),
  installed: (places) => [ownFile(places), olderFile(places)],
  references: ["prefixed"],
  connectEntry: ({ command, args }) => ({ command, args, disabled: false, autoApprove: [] }),
  httpEntry: ({ url, authorization }) => ({
    type: "streamableHttp",
    url,
    headers: { Authorization: authorization },
    disabled: false,
    autoApprove: [],
  }),
  takesEffect: "at once: it watches the file",
};

const FILE = "cline_mcp_settings.json";

function ownFile({ home, env }: Places): string {
  const named = env("CLINE_MCP_SETTINGS_PATH");
  if (named) return named;
  const data = env("CLINE_DATA_DIR") || join(env("CLINE_DIR") || join(home, ".cline"), "data");
  return join(data, "settings", FILE);
}

/** Of the extension before version 4. */
function olderFile({ settings }: Places): string {
  return join(settings, "Code", "User", "globalStorage", "saoudrizwan.claude-dev", "settings", FILE);
}
