import { join } from "node:path";
import type { Client } from "../client.ts";
import { withinReach } from "../../host/host.ts";

const FILE = "claude_desktop_config.json";

// Documentation of 2026-07-28; the packaged Windows build's folder is reported by users. The program rewrites the file
// from memory while it runs.
export const claudeDesktop: Client = {
  id: "claude-desktop",
  title: "Claude Desktop",
  async files({ system, settings, local, files }) {
    const folders = [join(settings, "Claude")];
    if (system === "windows") {
      const packages = join(local, "Packages");
      const found = await withinReach(files.list(packages), null) ?? [];
      const own = found.filter(({ name }) => name.startsWith("Claude_")).map(({ name }) =>
        join(packages, name, "LocalCache", "Roaming", "Claude")
      );
      folders.unshift(...own);
    }
    return folders.map((folder) => ({
      path: join(folder, FILE),
      scope: "user",
      syntax: "json",
      at: ["mcpServers"],
      project: null,
    }));
  },
  installed: ({ settings }) => [join(settings, "Claude")],
  references: [],
  connectEntry: ({ command, args }) => ({ command, args }),
  httpEntry: null,
  takesEffect: "once it was quit fully and started again; quit it before foster changes the file",
};
