import { join } from "node:path";
import { upward } from "../../base/upward.ts";
import type { Client, Places, SettingsFile } from "../client.ts";

// Observed with 1.18.33 on Linux, November 2026. Of two files in a folder the .jsonc wins; a bad entry stops the program.
export const opencode: Client = {
  id: "opencode",
  title: "opencode",
  deeperAt: "servers",
  files(places) {
    const { folder, root, env } = places;
    const named = env("OPENCODE_CONFIG");
    const below = upward(folder).filter((each) => each === root || each.startsWith(root));
    return [
      ...below.flatMap((each) => [...both(join(each, ".opencode"), each), ...both(each, each)]),
      ...(named ? [settingsFile(named, null)] : []),
      ...both(ownFolder(places), null),
    ];
  },
  installed: (places) => [ownFolder(places), join(places.home, ".opencode")],
  prefersProject: true,
  references: ["braces"],
  envKey: "environment",
  connectEntry: ({ command, args }) => ({ type: "local", command: [command, ...args], enabled: true }),
  httpEntry: ({ url, authorization }) => ({
    type: "remote",
    url,
    headers: { Authorization: authorization },
    enabled: true,
  }),
  takesEffect: "in its next session",
};

function ownFolder({ config }: Places): string {
  return join(config, "opencode");
}

function both(folder: string, project: string | null): SettingsFile[] {
  return ["opencode.jsonc", "opencode.json"].map((name) => settingsFile(join(folder, name), project));
}

function settingsFile(path: string, project: string | null): SettingsFile {
  const scope = project === null ? "user" : "project";
  // The program inserts it at its next start where it is missing.
  const skeleton = '{\n  "$schema": "https://opencode.ai/config.json"\n}\n';
  return { path, scope, syntax: "jsonc", at: ["mcp"], project, skeleton };
}
