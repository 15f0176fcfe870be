import { join } from "node:path";
import type { Client, Places } from "../client.ts";

// zed's crates/paths and settings_content, 2026. `args` is required, even empty.
export const zed: Client = {
  id: "zed",
  title: "Zed",
  files: (places) => [
    {
      path: join(places.folder, ".zed", "settings.json"),
      scope: "project",
      syntax: "jsonc",
      at: ["context_servers"],
      project: places.folder,
    },
    {
      path: join(configFolder(places), "settings.json"),
      scope: "user",
      syntax: "jsonc",
      at: ["context_servers"],
      project: null,
    },
  ],
  installed: (places) => [configFolder(places)],
  references: [],
  connectEntry: ({ command, args }) => ({ source: "custom", command, args, env: {} }),
  httpEntry: ({ url, authorization }) => ({ url, headers: { Authorization: authorization } }),
  takesEffect: "at once: it watches the file",
};

function configFolder({ system, settings, home, config, env }: Places): string {
  switch (system) {
    case "windows":
      return join(settings, "Zed");
    case "darwin":
      return join(home, ".config", "zed");
    case "linux":
      return join(env("FLATPAK_XDG_CONFIG_HOME") || config, "zed");
  }
}
