import { dirname, join } from "@std/path";
import { createDenoHost } from "../../src/host/engine/deno/mod.ts";
import type { Host, System } from "../../src/host/host.ts";
import type { ServerDefinition } from "../../src/definitions/definition.ts";
import { environmentOverrides, normalise } from "../../src/definitions/normalise.ts";
import type { WrittenServer } from "../../src/definitions/schema.ts";
import { type Variables, variablesOf } from "../../src/definitions/variables.ts";

const real = await createDenoHost();

/** The real machine with an environment of its own. */
export function machine(env: Record<string, string> = {}, system: System = real.system): Host {
  return { ...real, system, env: { get: (name) => env[name], all: () => ({ ...env }) } };
}

/** A folder with these files; a text of `#!` makes the file a program. Its path is a real path. */
export async function folderWith(files: Record<string, string>): Promise<string> {
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "foster-spec-" }));
  for (const [path, text] of Object.entries(files)) {
    const file = join(folder, path);
    await Deno.mkdir(dirname(file), { recursive: true });
    await Deno.writeTextFile(file, text);
    if (text.startsWith("#!") && Deno.build.os !== "windows") await Deno.chmod(file, 0o755);
  }
  return folder;
}

/** Runs `body` with such a folder and removes it. */
export async function inFolder(
  files: Record<string, string>,
  body: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await folderWith(files);
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A definition from what a user would write. */
export function define(
  written: WrittenServer,
  { name = "docs", baseFolder = "/base" }: { name?: string; baseFolder?: string } = {},
): ServerDefinition {
  return normalise({ command: "server", port: 3001, ...written }, {
    name,
    key: name,
    source: { kind: "preset" },
    baseFolder,
    overrides: environmentOverrides(() => undefined),
  });
}

/** Variables of a start on port 3001. */
export function varsOf(definition: ServerDefinition, env: Record<string, string> = {}): Variables {
  return variablesOf(definition, {
    port: 3001,
    wsPort: null,
    pidFile: "/state/server.pid",
    sessionFile: null,
    sessionId: null,
    stateDir: "/state",
    ownerPid: null,
    token: "f00:docs:1",
    env: (each) => env[each],
  });
}
