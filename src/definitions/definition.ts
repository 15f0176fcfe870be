/**
 * What a server is, once its definition was read: normalised, defaults filled in, variables not yet expanded.
 *
 * @module
 */
import type { WrittenServer } from "./schema.ts";

export type Transport = "streamable-http" | "sse" | "stdio";
/** How clients share a stdio server: one process for all, one for each session, or by what the client speaks. */
export type Sharing = "auto" | "shared" | "session";
export type ReadyCheck = "mcp" | "http" | "tcp";

/** One argument, or a group of them that is left out as a whole when a variable in it is empty. */
export type Argument = string | readonly string[];

export type DefinitionSource =
  | { kind: "file"; file: string; project: boolean }
  | { kind: "preset" };

/** One way of starting the server. Its arguments come before those that all tiers share. */
export interface LaunchTier {
  tier: string;
  command: string;
  args: readonly Argument[];
  /** The tier counts only in a folder that has this; a relative command then belongs to that folder. */
  ifExists?: string;
  /** How many parent folders of the definition's are searched for `ifExists` too. */
  searchUp?: number;
}

export interface ServerDefinition {
  name: string;
  key: string;
  source: DefinitionSource;
  /** Folder of the definition file; the caller's folder for a preset. Relative paths begin here. */
  baseFolder: string;
  /** In order of preference. A plain `command` is one tier called `command`. */
  launch: readonly LaunchTier[];
  /** Shared by all tiers, after a tier's own. */
  args: readonly Argument[];
  cwd: string;
  env: Readonly<Record<string, string>>;
  host: string;
  /** `auto` also for a stdio server that names none: it needs no port and none is reserved for it. */
  port: number | "auto";
  wsPort: number | "auto" | null;
  path: string;
  transport: Transport;
  sharing: Sharing;
  /** How long after its last use a server that a request started ends; null: as its protocol suggests. */
  idleMs: number | "never" | null;
  /** Sent with every request to it. The values are secrets, variables in them not yet expanded. */
  headers: Readonly<Record<string, string>>;
  /** A file of KEY=VALUE lines under `env`, from `baseFolder`. The values are secrets. */
  envFile: string | null;
  /** `open`: a standard input that never ends. */
  stdin: "null" | "open";
  /** Exact, or a semver range. */
  version: string | null;
  identity: { name: string | null; statusPath: string | null };
  brand: readonly string[];
  brandFlags: readonly string[];
  requiredTools: readonly string[];
  labels: readonly string[];
  ready: { check: ReadyCheck; timeoutMs: number; probeTimeoutMs: number };
  restart: {
    max: number;
    misses: number;
    intervalMs: number;
    backoffMs: number;
    backoffMaxMs: number;
    stableAfterMs: number;
  };
  /** `timeoutMs`: a server that has worked on a call for so long counts as idle again. */
  call: { timeoutMs: number };
  /** `command`: program and arguments that are run before the server is asked to end. */
  stop: { graceMs: number; command: readonly string[] | null };
  refreshArgs: readonly string[] | null;
  modeEnv: string | null;
  ownerEnv: string | null;
  telemetry: { disable: boolean; env: readonly string[] } | null;
  devSource: { marker: string; mode: "prefix" | "replace" } | null;
  session: { env: string; payload: Readonly<Record<string, unknown>> } | null;
  link: {
    clientName: string | null;
    clientVersion: string | null;
    runtimeVersion: string | null;
    launchMode: string | null;
    /** Milliseconds that the answer to a command may take. */
    commandTimeoutsMs: Readonly<Record<string, number>>;
  } | null;
  /** What the user wrote: after `extends`, before variables, defaults not filled in. */
  written: WrittenServer;
}

/** What `--port` and `--version` said; null and undefined leave the definition's own. */
export interface DefinitionOverrides {
  port?: number | "auto" | null;
  version?: string | null;
}

/** The definition with the overrides in place of its own words, in its hash too. */
export function withOverrides(
  definition: ServerDefinition,
  { port, version }: DefinitionOverrides,
): ServerDefinition {
  const said = { ...(port == null ? {} : { port }), ...(version == null ? {} : { version }) };
  return { ...definition, ...said, written: { ...definition.written, ...said } };
}
