import { assert, assertEquals } from "@std/assert";
import { PRESETS } from "../../src/definitions/presets.ts";
import { checkShape, definitionJsonSchema } from "../../src/definitions/schema.ts";
import { expandLaunch } from "../../src/definitions/launch/command_line.ts";
import { define, varsOf } from "./machine.ts";

const DEFINED = [...PRESETS.values()].map(({ name, written }) =>
  define({ command: undefined, ...written }, { name })
);

function preset(name: string) {
  const found = DEFINED.find((each) => each.name === name);
  assert(found !== undefined);
  return found;
}

function commandLine(name: string, tierName: string, env: Record<string, string> = {}): string[] {
  const definition = preset(name);
  const tier = definition.launch.find((each) => each.tier === tierName);
  assert(tier !== undefined);
  const vars = varsOf(definition, env);
  const wsPort = definition.wsPort === null ? "" : "9500";
  const { command, args } = expandLaunch(tier, {
    definition,
    vars: { ...vars, values: { ...vars.values, port: "8000", wsPort } },
  });
  return [command, ...args];
}

Deno.test("PRESETS are as strict as what users write", () => {
  const servers = Object.fromEntries([...PRESETS].map(([name, { written }]) => [name, written]));
  assertEquals(checkShape({ servers }).kind, "valid");
  assertEquals([...PRESETS.keys()], ["demo", "everything", "godot-ai"]);
});

Deno.test("PRESETS say who they are", () => {
  const identities = DEFINED.map(({ identity }) => [identity.name, identity.statusPath]);
  assertEquals(identities, [
    ["foster-demo", "/foster/status"],
    ["mcp-servers/everything", null],
    ["godot-ai", "/godot-ai/status"],
  ]);
});

Deno.test("the demo preset starts foster itself", () => {
  assertEquals(commandLine("demo", "command"), [
    "foster",
    "demo-server",
    "--port",
    "8000",
    "--ws-port",
    "9500",
    "--pid-file",
    "/state/server.pid",
  ]);
});

Deno.test("the godot-ai preset pins the exact version and gives its flags in order", () => {
  const version = preset("godot-ai").version;
  const flags = [
    "--transport",
    "streamable-http",
    "--port",
    "8000",
    "--ws-port",
    "9500",
    "--pid-file",
    "/state/server.pid",
  ];
  assertEquals(commandLine("godot-ai", "uvx"), [
    "uvx",
    "--from",
    `godot-ai==${version}`,
    "godot-ai",
    ...flags,
  ]);
  assertEquals(commandLine("godot-ai", "system"), ["godot-ai", ...flags]);
  assertEquals(commandLine("godot-ai", "dev_venv"), [".venv/bin/python", "-m", "godot_ai", ...flags]);
  assertEquals(
    commandLine("godot-ai", "system", { GODOT_AI_EXCLUDE_DOMAINS: "audio,theme" }),
    ["godot-ai", ...flags, "--exclude-domains", "audio,theme"],
  );
});

Deno.test("definitionJsonSchema() describes every key of a server and knows no others", () => {
  const schema = definitionJsonSchema() as {
    $schema: string;
    $id: string;
    $defs: {
      server: { properties: Record<string, { description?: string }>; additionalProperties: boolean };
    };
  };
  assertEquals(schema.$schema, "https://json-schema.org/draft/2020-12/schema");
  assertEquals(schema.$id, "urn:foster:definitions");
  const { properties, additionalProperties } = schema.$defs.server;
  assertEquals(additionalProperties, false);
  assertEquals(Object.entries(properties).filter(([, each]) => !each.description), []);
  const written = Object.keys(preset("demo")).map((key) => key === "idleMs" ? "idle" : key).filter((key) =>
    !["name", "key", "source", "baseFolder", "written"].includes(key)
  );
  assertEquals(Object.keys(properties).sort(), [...written, "extends", "command"].sort());
});
