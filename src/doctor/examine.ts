/**
 * Looks at what `doctor` judges, section by section.
 *
 * @module
 */
import { join } from "@std/path";
import { DEFAULT_MIN_AGE_MS, sweep } from "../cache/sweep.ts";
import { HostError } from "../host/host.ts";
import { hasSignature, signatureOf } from "../lifecycle/observe/signature.ts";
import { parsePorts } from "../registry/auto_ports.ts";
import type { Finding, Section, Typed } from "./findings.ts";
import { judgeCache } from "./cache.ts";
import { serverOf } from "./family.ts";
import { judgePorts, type PortClaim } from "./ports.ts";
import { lookAtPorts } from "./ports_look.ts";
import type { ProcessRow } from "./process_rows.ts";
import { type Branded, judgeProcesses, type Stale } from "./processes.ts";
import { lookAtProcesses, type ProcessesSeen } from "./processes_look.ts";
import { judgeTools, wantedTools } from "./tools.ts";
import { readOwnText } from "../registry/own_text.ts";
import { type ServerDefinition, withOverrides } from "../definitions/definition.ts";
import { DefinitionError } from "../definitions/definition_error.ts";
import { findCommand } from "../definitions/launch/find_command.ts";
// deno-lint-ignore house/imports
import type { Context } from "../cli/verb.ts";

export interface Examined {
  findings: Finding[];
  rows: ProcessRow[];
  stale: Stale[];
}

export async function examine(
  context: Context,
  { sections, typed }: { sections: readonly Section[]; typed: Typed },
): Promise<Examined> {
  const examined: Examined = { findings: [], rows: [], stale: [] };
  const { output } = context;
  const needsProcesses = sections.includes("processes") || sections.includes("ports");
  const definitions = needsProcesses ? await definitionsOf(context, typed) : { known: [], findings: [] };
  let processes: ProcessesSeen | null = null;
  if (needsProcesses) {
    output.progress("looking at processes");
    processes = await lookAtProcesses(context.host, context.state);
  }
  if (processes !== null && sections.includes("processes")) {
    const branded = await brandedProcesses(context, definitions.known);
    const judged = judgeProcesses(processes, { typed, system: context.host.system, branded });
    examined.rows = judged.rows;
    examined.stale = judged.stale;
    examined.findings.push(...judged.findings);
  }
  if (processes !== null && sections.includes("ports")) {
    output.progress("looking at ports");
    const claims = await claimsOf(context, { definitions: definitions.known, processes });
    const seen = await lookAtPorts(context.host, { claims, serverOf: serverOf(processes) });
    examined.findings.push(...definitions.findings, ...judgePorts(seen, typed));
  }
  if (sections.includes("cache")) {
    output.progress("looking at uv's cache");
    examined.findings.push(...await cacheFindings(context, typed));
  }
  if (sections.includes("tools")) {
    output.progress("looking for tools");
    examined.findings.push(...await toolFindings(context, typed));
  }
  return examined;
}

interface KnownDefinition {
  definition: ServerDefinition;
  inFile: boolean;
}

/** A broken definition file is itself a finding, and hides nothing else. */
async function definitionsOf(
  context: Context,
  typed: Typed,
): Promise<{ known: KnownDefinition[]; findings: Finding[] }> {
  try {
    const definitions = await context.definitions();
    const known = definitions.names().flatMap((name): KnownDefinition[] => {
      const definition = definitions.find(name);
      return definition === null ? [] : [{ definition, inFile: definitions.inFile.includes(definition) }];
    });
    return { known, findings: [] };
  } catch (error) {
    if (!(error instanceof DefinitionError)) throw error;
    const { message, hint } = error;
    const finding: Finding = {
      level: "error",
      section: "ports",
      code: "definition",
      message,
      fix: hint ?? typed.foster("schema"),
    };
    return { known: [], findings: [finding] };
  }
}

// ----------------------------------------------------------------------------------------------------------- ports

async function claimsOf(
  { host, state }: Context,
  { definitions, processes }: { definitions: readonly KnownDefinition[]; processes: ProcessesSeen },
): Promise<PortClaim[]> {
  const file = await readOwnText(host, join(state.path, "ports.json"), {
    limitBytes: 1024 * 1024,
    ownerUid: null,
  });
  const reserved = parsePorts(file.kind === "text" ? file.text : "");
  const claims: PortClaim[] = [];
  for (const { definition: written, inFile } of definitions) {
    if (written.transport === "stdio") continue;
    const { key, name } = written;
    const definition = withOverrides(written, await notesOf({ state }, key));
    const used = inFile || processes.managed.some((managed) => managed.key === key);
    const from = used ? "definition" : "preset";
    const wanted = [
      { use: "http" as const, port: definition.port, folder: key },
      { use: "ws" as const, port: definition.wsPort, folder: `${key}:ws` },
    ];
    for (const { use, port, folder } of wanted) {
      const number = port === "auto" ? reserved[folder] : port;
      if (number != null) claims.push({ port: number, key, name, use, from, auto: port === "auto" });
    }
  }
  const inScope = new Set(definitions.map(({ definition }) => definition.key));
  for (const { key, record } of processes.managed) {
    if (inScope.has(key)) continue;
    const { name, port, ws_port } = record;
    claims.push({ port, key, name, use: "http", from: "record", auto: false });
    if (ws_port !== null) claims.push({ port: ws_port, key, name, use: "ws", from: "record", auto: false });
  }
  for (const [folder, port] of Object.entries(reserved)) {
    const key = folder.replace(/:ws$/, "");
    if (inScope.has(key) || claims.some((claim) => claim.key === key)) continue;
    const use = folder === key ? "http" : "ws";
    claims.push({ port, key, name: key, use, from: "reserved", auto: true });
  }
  return claims;
}

async function notesOf({ state }: Pick<Context, "state">, key: string) {
  try {
    return await state.server(key).overrides();
  } catch (error) {
    if (error instanceof HostError) return {};
    throw error;
  }
}

// ------------------------------------------------------------------------------------------------------- processes

const PS_TIMEOUT_MS = 10_000;

/** Looks at whole command lines only of processes whose line has a brand in it at all. */
async function brandedProcesses(
  { host }: Context,
  definitions: readonly KnownDefinition[],
): Promise<Branded[]> {
  const brands = definitions.map(({ definition }) => definition).filter(({ brand }) => brand.length > 0);
  if (brands.length === 0 || host.system === "windows") return [];
  const fold = (text: string) => text.toLowerCase().replaceAll("_", "-");
  const names = brands.flatMap(({ brand }) => brand.map(fold));
  const found: Branded[] = [];
  for (const line of await commandLines(host.processes)) {
    const [, digits, args = ""] = /^\s*(\d+)\s(.*)$/.exec(line) ?? [];
    const pid = Number(digits);
    if (!pid || pid === host.processes.selfPid || !names.some((name) => fold(args).includes(name))) continue;
    const argv = await host.processes.argv(pid);
    const match = brands.find((definition) => hasSignature(argv, signatureOf(definition)));
    if (match !== undefined) found.push({ pid, server: match.name, argv });
  }
  return found;
}

async function commandLines(processes: Context["host"]["processes"]): Promise<string[]> {
  try {
    const { stdout } = await processes.run("ps", ["-axww", "-o", "pid=,args="], { timeoutMs: PS_TIMEOUT_MS });
    return stdout.split("\n");
  } catch (error) {
    if (error instanceof HostError) return [];
    throw error;
  }
}

// ------------------------------------------------------------------------------------------------- cache and tools

async function cacheFindings({ host, signal }: Context, typed: Typed): Promise<Finding[]> {
  try {
    const result = await sweep(host, {
      apply: false,
      cacheDir: null,
      minAgeMs: DEFAULT_MIN_AGE_MS,
      findCommand: (command) => findCommand(host, command, { cwd: host.program.folder }),
    }, signal);
    return judgeCache({
      cacheDir: result.cache_dir,
      stale: result.deleted,
      bytes: result.bytes,
      kept: result.skipped.map(({ reason }) => reason),
    }, typed);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    const message = `uv's cache can't be looked at: ${error.message}`;
    return [{
      level: "warn",
      section: "cache",
      code: "unreadable_cache",
      message,
      fix: typed.foster("sweep"),
    }];
  }
}

async function toolFindings({ host, state }: Context, typed: Typed): Promise<Finding[]> {
  const { system, engine } = host;
  const missing: string[] = [];
  for (const tool of wantedTools(system).flat()) {
    const found = await findCommand(host, tool, { cwd: host.program.folder });
    if (!("path" in found)) missing.push(tool);
  }
  const open = await openToOthers(host, state.path);
  return judgeTools({ system, missing, fullAccess: engine.fullAccess, open }, typed);
}

/** What of the state folder's own others may look into. */
async function openToOthers(
  { files }: Context["host"],
  stateFolder: string,
): Promise<{ path: string; mode: number; folder: boolean }[]> {
  const servers = join(stateFolder, "servers");
  const paths = [stateFolder, servers, join(stateFolder, "processes"), join(stateFolder, "id")];
  const open: { path: string; mode: number; folder: boolean }[] = [];
  try {
    for (const { name, kind } of await files.list(servers) ?? []) {
      if (kind === "directory") paths.push(join(servers, name), join(servers, name, "record.json"));
    }
    for (const path of paths) {
      const stat = await files.stat(path);
      if (stat === null || stat.mode === null || stat.kind === "link" || (stat.mode & 0o077) === 0) continue;
      open.push({ path, mode: stat.mode, folder: stat.kind === "directory" });
    }
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
  }
  return open;
}
