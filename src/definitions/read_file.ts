/**
 * From what stands in one definition file to its servers.
 *
 * @module
 */
import { dirname } from "node:path";
import type { ServerDefinition } from "./definition.ts";
import { DefinitionError } from "./definition_error.ts";
import { type PassedOver, readMcpJson } from "./mcp_json.ts";
import { type EnvironmentOverrides, normalise } from "./normalise.ts";
import { checkShape, explainIssues, type WrittenFile, type WrittenServer } from "./schema.ts";
import { projectKey, slug } from "./hash.ts";
import { deepMerge } from "../base/json.ts";
import { PRESETS } from "./presets.ts";
import { didYouMean } from "../base/suggest.ts";

export interface FilePlace {
  /** Real path. */
  file: string;
  /** False for the file in the user's own config folder. */
  project: boolean;
}

export interface ReadOptions {
  overrides: EnvironmentOverrides;
  /** By semver. */
  isRange(text: string): boolean;
}

const SECTIONS = ["servers", "mcpServers"] as const;

/** The servers in the order of the file. @throws DefinitionError for the first thing that can't be used. */
export function definitionsIn(
  value: unknown,
  { file, project }: FilePlace,
  { overrides, isRange }: ReadOptions,
): ServerDefinition[] {
  const checked = checkShape(value);
  if (checked.kind === "invalid") throw explainIssues(checked.issues, { file, value });
  checkVersions(checked.file, { file, isRange });
  const definitions: ServerDefinition[] = [];
  for (const section of SECTIONS) {
    for (const [name, entry] of Object.entries(checked.file[section] ?? {})) {
      definitions.push(normalise(extended(entry, { file, server: name }), {
        name,
        key: project ? projectKey(name, file) : slug(name),
        source: { kind: "file", file, project },
        baseFolder: dirname(file),
        overrides,
      }));
    }
  }
  checkNames(definitions, { file, project });
  checkPorts(definitions, file);
  return definitions;
}

/** The servers of a project's `.mcp.json`, and the entries that foster does not hold. @throws DefinitionError */
export function clientServersIn(
  value: unknown,
  file: string,
  overrides: EnvironmentOverrides,
): { servers: ServerDefinition[]; passedOver: readonly PassedOver[] } {
  const read = readMcpJson(value);
  if (read === null) throw new DefinitionError("has no list of servers", { file, key: "mcpServers" });
  const source = { kind: "file", file, project: true } as const;
  const servers = [...read.servers].map(([name, written]) =>
    normalise(written, { name, key: projectKey(name, file), source, baseFolder: dirname(file), overrides })
  );
  return { servers, passedOver: read.passedOver };
}

const NO_RANGE = 'must be an exact version such as "2.4.2", a semver range such as "^2.4", or null for any';

function checkVersions(
  written: WrittenFile,
  { file, isRange }: { file: string } & Pick<ReadOptions, "isRange">,
): void {
  for (const section of SECTIONS) {
    for (const [name, { version }] of Object.entries(written[section] ?? {})) {
      if (typeof version !== "string" || (version.trim() !== "" && isRange(version))) continue;
      const path = [section, name, "version"];
      throw explainIssues([{ kind: "bad_value", path, message: NO_RANGE, isType: false }], {
        file,
        value: written,
      });
    }
  }
}

/** The entry on top of the preset that it names. How to start is one thing: a command takes the place of tiers. */
function extended(entry: WrittenServer, place: { file: string; server: string }): WrittenServer {
  const { extends: presetName, ...own } = entry;
  if (presetName === undefined) return own;
  const preset = PRESETS.get(presetName);
  if (preset === undefined) {
    throw new DefinitionError(`names no preset: ${JSON.stringify(presetName)}`, {
      ...place,
      key: "extends",
      hint: didYouMean(presetName, PRESETS.keys()) ?? `the presets are ${[...PRESETS.keys()].join(", ")}`,
    });
  }
  const { command, launch, ...base } = preset.written;
  const start = own.command !== undefined || own.launch !== undefined
    ? {}
    : { ...(command === undefined ? {} : { command }), ...(launch === undefined ? {} : { launch }) };
  return deepMerge({ ...start, ...base }, own);
}

/** Names that become one key would share one place in the state folder. */
function checkNames(
  definitions: readonly ServerDefinition[],
  { file, project }: FilePlace,
): void {
  const taken = new Map<string, string>();
  for (const { name, key } of definitions) {
    const other = taken.get(key);
    if (other === name) {
      throw new DefinitionError("is in both servers and mcpServers", { file, server: name });
    }
    if (other !== undefined) throw sameKey(name, { file, other: JSON.stringify(other) });
    taken.set(key, name);
    if (!project && PRESETS.has(key) && name !== key) {
      throw sameKey(name, { file, other: `the preset "${key}"` });
    }
  }
}

function sameKey(name: string, { file, other }: { file: string; other: string }): DefinitionError {
  return new DefinitionError(`is the same folder name as ${other}`, {
    file,
    server: name,
    key: "name",
    hint: "give one of the two a name that differs in more than case and punctuation",
  });
}

function checkPorts(definitions: readonly ServerDefinition[], file: string): void {
  const taken = new Map<number, string>();
  for (const definition of definitions) {
    for (const key of ["port", "wsPort"] as const) {
      const port = definition[key];
      if (typeof port !== "number") continue;
      const other = taken.get(port);
      if (other !== undefined) {
        throw new DefinitionError(`is ${port}, which is already the ${other}`, {
          file,
          server: definition.name,
          key,
          hint: `choose another port, or write "${key}": "auto"`,
        });
      }
      taken.set(port, `${key} of server ${JSON.stringify(definition.name)}`);
    }
  }
}
