import { join } from "node:path";
import type { Client, Places, SettingsFile } from "../client.ts";
import { withinReach } from "../../host/host.ts";

const FOSTER_BLOCK = "foster.yaml";
const OWN_BLOCKS = /\.(?:ya?ml|json)$/i;

// continue's core/util/paths.ts and mcp.mdx of 2026-06-18. Its own edits of config.yaml lose comments. Of its command-line
// program, 1.5.47 was observed in November 2026: it reads config.yaml alone, and no file of `mcpServers/`.
export const continueDev: Client = {
  id: "continue",
  title: "Continue",
  async files(places) {
    const own = ownFolder(places);
    return [
      ...await blocks(places, join(places.folder, ".continue", "mcpServers"), places.folder),
      ownBlock(join(places.folder, ".continue", "mcpServers"), places.folder),
      ...await blocks(places, join(own, "mcpServers"), null),
      ownBlock(join(own, "mcpServers"), null),
      {
        path: join(own, "config.yaml"),
        scope: "user",
        syntax: "yaml",
        at: ["mcpServers"],
        isList: true,
        project: null,
      },
    ];
  },
  installed: (places) => [ownFolder(places)],
  references: ["secrets", "shell"],
  connectEntry: ({ name, command, args }) => ({ name, type: "stdio", command, args }),
  httpEntry: ({ name, url, authorization }) => ({
    name,
    type: "streamable-http",
    url,
    requestOptions: { headers: { Authorization: authorization } },
  }),
  takesEffect: "when it reads its settings again",
};

function ownFolder({ home, env }: Places): string {
  return env("CONTINUE_GLOBAL_DIR") || join(home, ".continue");
}

async function blocks({ files }: Places, folder: string, project: string | null): Promise<SettingsFile[]> {
  const found = await withinReach(files.list(folder), null) ?? [];
  return found.filter(({ name }) => OWN_BLOCKS.test(name) && name !== FOSTER_BLOCK).map(({ name }) => name)
    .sort().map((name) => ({
      path: join(folder, name),
      scope: project === null ? "user" : "project",
      syntax: /json$/i.test(name) ? "jsonc" : "yaml",
      at: ["mcpServers"],
      isList: !/json$/i.test(name),
      project,
      takesNone: true,
    }));
}

/** Where foster's own entries go if there is no config.yaml: a file of its own is what the program leaves alone. */
function ownBlock(folder: string, project: string | null): SettingsFile {
  return {
    path: join(folder, FOSTER_BLOCK),
    scope: project === null ? "user" : "project",
    syntax: "yaml",
    at: ["mcpServers"],
    isList: true,
    project,
    skeleton: "name: foster\nversion: 0.0.1\nschema: v1\n",
  };
}
