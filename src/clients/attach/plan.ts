/**
 * What attach would do to one settings file: pure, from what stands in it.
 *
 * @module
 */
import { canonicalJson, sha256Hex } from "../../base/hash.ts";
import { isObject } from "../../base/json.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import { isFosterCommand } from "../../definitions/mcp_json.ts";
import type { Client, SettingsFile, Syntax } from "../client.ts";
import { readEntry } from "../entry.ts";
import { entryIn } from "../edit_entries.ts";
import type { EntryEdit } from "../entry_editor.ts";
import { convert } from "../import/convert.ts";

/** A server that the client is to reach through foster. */
export interface WantedEntry {
  name: string;
  server: ServerDefinition;
  value: Record<string, unknown>;
  /** The entry is to give way whatever it starts: it was taken over into the definition file. */
  replaces: boolean;
}

export interface EntryChange {
  kind: "add" | "replace" | "same";
  name: string;
  server: ServerDefinition;
  value: Record<string, unknown>;
}

export interface EntryLeft {
  name: string;
  reason: string;
}

export interface FilePlan {
  changes: EntryChange[];
  left: EntryLeft[];
  edits: (EntryEdit & { kind: "set" })[];
}

/** `settings` is what the parser reads from the file; an empty object where there is none. */
export function planEntries(
  settings: unknown,
  { client, file, wanted }: { client: Client; file: SettingsFile; wanted: readonly WantedEntry[] },
): FilePlan {
  const plan: FilePlan = { changes: [], left: [], edits: [] };
  for (const { name, server, value: fresh, replaces } of wanted) {
    const there = entryIn(settings, { at: file.at, isList: file.isList ?? false, name });
    const value = isObject(there) ? inPlaceOf(there, fresh) : fresh;
    const kind = there === undefined
      ? "add"
      : canonicalJson(there) === canonicalJson(value)
      ? "same"
      : replaces || isOwnEntry(there, server) || startsSame(there, { client, file, server })
      ? "replace"
      : null;
    if (kind === null) {
      plan.left.push({ name, reason: whyLeft(name, there) });
      continue;
    }
    plan.changes.push({ kind, name, server, value });
    if (kind !== "same") plan.edits.push({ kind: "set", name, value });
  }
  return plan;
}

/** How a server is started or reached: all other keys are the client's own handling of it. */
const START_KEYS = new Set([
  ...["command", "cmd", "args", "cwd", "type", "transport", "transportType", "source", "name", "remote"],
  ...["url", "serverUrl", "httpUrl", "uri", "headers", "http_headers", "requestOptions", "oauth", "scopes"],
  ...["headersHelper", "http_headers_helper", "bearer_token_env_var", "env_http_headers", "apiKey"],
  // They speak of the program that foster starts now.
  ...["dev", "gallery", "version"],
]);

/** Keys that make a program's environment. */
const ENVIRONMENT_KEYS = new Set(["env", "environment", "envs", "env_vars", "env_keys", "envFile"]);

/**
 * A new entry in the place of another: which tools are allowed, how long the client waits and what its environment is
 * stays, the secrets in it included, which reach the server through the client's own foster connect.
 */
export function inPlaceOf(
  there: Readonly<Record<string, unknown>>,
  value: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const isConnect = "command" in value || "cmd" in value;
  const merged: Record<string, unknown> = { ...value };
  for (const [key, own] of Object.entries(there)) {
    if (START_KEYS.has(key) || !isConnect && ENVIRONMENT_KEYS.has(key)) continue;
    const fresh = value[key];
    merged[key] = isObject(own) && isObject(fresh) ? { ...own, ...fresh } : own;
  }
  return merged;
}

/** Whether the entry connects to this server of this definition file, wherever foster was then. */
function isOwnEntry(entry: unknown, { name, source }: ServerDefinition): boolean {
  const connects = connectsTo(entry);
  if (connects === null || connects.server !== name) return false;
  return connects.config === null || connects.config === (source.kind === "file" ? source.file : null);
}

/** The server that an entry of foster's connects to; null for any other entry. */
export function connectsTo(entry: unknown): { server: string | null; config: string | null } | null {
  if (!isObject(entry)) return null;
  const { command, args } = readEntry(entry);
  const at = args.indexOf("connect");
  const isFoster = command !== null && at !== -1 &&
    (isFosterCommand(command) || args.slice(0, at).some((arg) => /main\.ts$/.test(arg)));
  if (!isFoster) return null;
  const config = args.includes("--config") ? args[args.indexOf("--config") + 1] : undefined;
  return { server: args[at + 1] ?? null, config: config ?? null };
}

function whyLeft(name: string, there: unknown): string {
  const connects = connectsTo(there);
  if (connects === null) return `"${name}" is there already and is another server`;
  const of = connects.config === null ? "" : ` of ${connects.config}`;
  return `"${name}" is foster's own entry already, for "${connects.server}"${of}: ` +
    "foster detach takes it out first";
}

/** Whether the entry starts by itself what the definition starts. */
function startsSame(
  entry: unknown,
  { client, file, server }: { client: Client; file: SettingsFile; server: ServerDefinition },
): boolean {
  if (!isObject(entry)) return false;
  const converted = convert({ name: server.name, value: entry, references: client.references }, {
    project: file.project,
    folder: server.baseFolder,
    variables: new Map(),
  });
  if (converted.kind === "left_out") return false;
  const start = ({ command, args = [], cwd }: typeof converted.definition) =>
    canonicalJson({ command: command ?? null, args, cwd: cwd ?? null });
  const { written } = server;
  const names = ({ env = {} }: typeof converted.definition) => Object.keys(env).sort().join();
  return start(converted.definition) === start(written) && names(converted.definition) === names(written);
}

/** Names that Claude Code keeps for itself. */
const RESERVED = ["workspace"];
const NAME_LIMIT = 40;

/** A name that every client can hold, and that keeps a server's tools apart. */
export function entryName(server: string, client: Client): string {
  const plain = plainName(server);
  const isWhole = plain.replaceAll(/[._ ]/g, "-") === server.replaceAll(/[._ ]/g, "-") &&
    plain.length <= NAME_LIMIT && !RESERVED.includes(plain.toLowerCase());
  if (!isWhole) return distinctEntryName(server, client);
  return client.lowerCaseNames ? plain.toLowerCase() : plain;
}

/** As {@link entryName}, and the same for no two servers. */
export function distinctEntryName(server: string, client: Client): string {
  const name = `${plainName(server).slice(0, NAME_LIMIT - 7) || "server"}-${sha256Hex(server).slice(0, 6)}`;
  return client.lowerCaseNames ? name.toLowerCase() : name;
}

function plainName(server: string): string {
  return server.replaceAll(/[^A-Za-z0-9-]+/g, "-").replace(/^-+|-+$/g, "");
}

/** Why the client itself could not read the text, null where it can. */
export function strictProblem(text: string, syntax: Syntax): string | null {
  const source = text.trim() === "" ? "{}" : text;
  switch (syntax) {
    case "jsonc":
    case "toml":
    case "yaml":
      return null;
    case "json":
      return isJson(source) ? null : "has comments or trailing commas, which this client does not read";
    case "json_with_comments":
      return isJson(withoutComments(source)) ? null : "has trailing commas, which this client does not read";
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function withoutComments(text: string): string {
  return text.replaceAll(
    /"(?:[^"\\]|\\.)*"|\/\/[^\n]*|\/\*[^]*?\*\//g,
    (token) => token.startsWith('"') ? token : " ",
  );
}
