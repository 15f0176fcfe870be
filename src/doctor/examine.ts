/**
 * Observes and judges what `doctor` is asked about, section by section.
 *
 * @module
 */
import { join } from "node:path";
import type { ShellHint } from "../base/shell_hint.ts";
import { DEFAULT_MIN_AGE_MS, sweep } from "../cache/sweep.ts";
import { DefinitionError } from "../definitions/definition_error.ts";
import { findCommand } from "../definitions/launch/find_command.ts";
import type { Definitions } from "../definitions/load.ts";
import { type Host, HostError } from "../host/host.ts";
import { hasSignature, mentions, signatureOf } from "../lifecycle/observe/signature.ts";
import { statePaths } from "../registry/paths.ts";
import type { StateFolder } from "../registry/store.ts";
import type { Finding, Section } from "./findings.ts";
import type { Stale } from "./judgement.ts";
import type { Lookalike } from "./leftovers.ts";
import { judgeCache, judgeTools, wantedTools } from "./machine.ts";
import { type ManagedServer, observeServers, type ServersObservation } from "./observe.ts";
import { claimsOf, type KnownDefinition, observePorts } from "./observe_ports.ts";
import { serverOf } from "./owners.ts";
import { judgePorts } from "./ports.ts";
import { judgeProcesses } from "./processes.ts";
import type { ProcessRow } from "./rows.ts";

export interface Subject {
  readonly host: Host;
  readonly state: StateFolder;
  readonly signal: AbortSignal;
  /** @throws DefinitionError */
  definitions(): Promise<Definitions>;
}

export interface Examination {
  findings: Finding[];
  rows: ProcessRow[];
  stale: Stale[];
}

export interface ExamineOptions {
  sections: readonly Section[];
  shell: ShellHint;
  /** Told what is being done. */
  progress(text: string): void;
}

export async function examine(subject: Subject, options: ExamineOptions): Promise<Examination> {
  const { sections, shell, progress } = options;
  const { host, state } = subject;
  const examination: Examination = { findings: [], rows: [], stale: [] };
  const needsProcesses = sections.includes("processes") || sections.includes("ports");
  const definitions = needsProcesses ? await definitionsOf(subject, shell) : { known: [], findings: [] };
  let servers: ServersObservation | null = null;
  if (needsProcesses) {
    progress("looking at processes");
    servers = await observeServers(host, state);
  }
  if (servers !== null && sections.includes("processes")) {
    const lookalikes = await findLookalikes(host, definitions.known);
    const judged = judgeProcesses(servers, { shell, system: host.system, lookalikes });
    examination.rows = judged.rows;
    examination.stale = judged.stale;
    examination.findings.push(...judged.findings);
  }
  if (servers !== null && sections.includes("ports")) {
    progress("looking at ports");
    const observation = servers;
    const { managed } = observation;
    const claims = await claimsOf(host, { state, definitions: definitions.known, managed });
    const ports = await observePorts(host, {
      claims,
      likely: recordedListeners(managed),
      serverOf: (listening) => serverOf(observation, listening),
    });
    examination.findings.push(...definitions.findings, ...judgePorts(ports, shell));
  }
  if (sections.includes("cache")) {
    progress("looking at uv's cache");
    examination.findings.push(...await cacheFindings(subject, shell));
  }
  if (sections.includes("tools")) {
    progress("looking for tools");
    examination.findings.push(...await toolFindings(subject, shell));
  }
  return examination;
}

function recordedListeners(managed: readonly ManagedServer[]): Map<number, number> {
  return new Map(managed.flatMap(({ record: { pid, port, ws_port } }) => {
    if (pid === null) return [];
    return ws_port === null ? [[port, pid] as const] : [[port, pid] as const, [ws_port, pid] as const];
  }));
}

/** A broken definition file is itself a finding, and hides nothing else. */
async function definitionsOf(
  subject: Subject,
  shell: ShellHint,
): Promise<{ known: KnownDefinition[]; findings: Finding[] }> {
  try {
    const definitions = await subject.definitions();
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
      fix: hint ?? shell.foster("schema"),
    };
    return { known: [], findings: [finding] };
  }
}

const PS_TIMEOUT_MS = 10_000;

/** Reads whole command lines only of processes whose line has a server's name in it at all. */
async function findLookalikes(
  { processes, system }: Host,
  definitions: readonly KnownDefinition[],
): Promise<Lookalike[]> {
  const signed = definitions.map(({ definition }) => definition).filter(({ brand }) => brand.length > 0);
  if (signed.length === 0 || system === "windows") return [];
  const names = signed.flatMap(({ brand }) => brand);
  const found: Lookalike[] = [];
  for (const line of await commandLines(processes)) {
    const [, digits, args = ""] = /^\s*(\d+)\s(.*)$/.exec(line) ?? [];
    const pid = Number(digits);
    if (!pid || pid === processes.selfPid || !mentions(args, { names })) continue;
    const argv = await processes.argv(pid);
    const match = signed.find((definition) => hasSignature(argv, signatureOf(definition)));
    if (match !== undefined) found.push({ pid, server: match.name, argv });
  }
  return found;
}

async function commandLines(processes: Host["processes"]): Promise<string[]> {
  try {
    const { stdout } = await processes.run("ps", ["-axww", "-o", "pid=,args="], { timeoutMs: PS_TIMEOUT_MS });
    return stdout.split("\n");
  } catch (error) {
    if (error instanceof HostError) return [];
    throw error;
  }
}

async function cacheFindings({ host, signal }: Subject, shell: ShellHint): Promise<Finding[]> {
  try {
    const result = await sweep(host, {
      apply: false,
      cacheDir: null,
      minAgeMs: DEFAULT_MIN_AGE_MS,
    }, signal);
    return judgeCache({
      cacheDir: result.cache_dir,
      stale: result.deleted,
      bytes: result.bytes,
      kept: result.skipped.map(({ reason }) => reason),
    }, shell);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    const message = `uv's cache can't be looked at: ${error.message}`;
    return [{
      level: "warn",
      section: "cache",
      code: "unreadable_cache",
      message,
      fix: shell.foster("sweep"),
    }];
  }
}

async function toolFindings({ host, state }: Subject, shell: ShellHint): Promise<Finding[]> {
  const { system, engine } = host;
  const missing: string[] = [];
  for (const tool of wantedTools(system).flat()) {
    const found = await findCommand(host, tool, { cwd: host.program.folder });
    if (!("path" in found)) missing.push(tool);
  }
  const open = await openToOthers(host, state.path);
  // Only from source is it for the user to give more permissions.
  const fullAccess = engine.fullAccess || engine.standalone;
  return judgeTools({ system, missing, fullAccess, open }, shell);
}

/** What of the state folder's own others may look into. */
async function openToOthers(
  { files }: Pick<Host, "files">,
  stateFolder: string,
): Promise<{ path: string; mode: number; folder: boolean }[]> {
  const { servers, processes, id } = statePaths(stateFolder);
  const paths = [stateFolder, servers, processes, id];
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
