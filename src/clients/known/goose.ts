import { isAbsolute, join } from "node:path";
import type { Client, Places } from "../client.ts";

// goose's config/paths.rs, extension.rs and base.rs, 2026. `name`, `cmd` and `args` are required; it saves a running
// program's settings over the file.
export const goose: Client = {
  id: "goose",
  title: "Goose",
  lowerCaseNames: true,
  files: (places) => [
    {
      path: join(ownFolder(places), "config.yaml"),
      scope: "user",
      syntax: "yaml",
      at: ["extensions"],
      project: null,
    },
  ],
  installed: (places) => [ownFolder(places)],
  references: [],
  envKey: "envs",
  connectEntry: ({ name, command, args }) => ({
    enabled: true,
    type: "stdio",
    name,
    description: "",
    cmd: command,
    args,
    envs: {},
    env_keys: [],
    timeout: 300,
    bundled: null,
    available_tools: [],
  }),
  httpEntry: ({ name, url, authorization }) => ({
    enabled: true,
    type: "streamable_http",
    name,
    description: "",
    uri: url,
    headers: { Authorization: authorization },
    envs: {},
    env_keys: [],
    timeout: 300,
  }),
  takesEffect: "in its next session; quit the desktop program before foster changes the file",
};

function ownFolder({ system, config, settings, env }: Places): string {
  const root = env("GOOSE_PATH_ROOT");
  if (root && isAbsolute(root)) return join(root, "config");
  return system === "windows" ? join(settings, "Block", "goose", "config") : join(config, "goose");
}
