/**
 * The one source of what may stand in a definition file: the validator and the JSON Schema both come from it.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { didYouMean } from "../base/suggest.ts";
import { DEFAULTS, DEFAULTS_WITHIN } from "./defaults.ts";
import { DefinitionError, type DefinitionPlace } from "./definition_error.ts";
import { DURATION, parseDuration } from "../base/duration.ts";
import * as shape from "./shape.ts";

const MIN_PORT = 1024;
const MAX_PORT = 65535;

/** What a server may be called. */
export const SERVER_NAME = /^[A-Za-z0-9._ -]{1,64}$/;
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Headers of the protocol itself: a definition that set them would break every request. */
const OWN_HEADER =
  /^(?:accept|connection|content-(?:encoding|length|type)|host|last-event-id|mcp-.*|te|trailer|transfer-encoding|upgrade)$/i;
export const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_().-]*$/;
// Two slashes, or a slash and a backslash, would begin another host's address.
// deno-lint-ignore no-control-regex
const HTTP_PATH = /^\/(?![/\\])[^\s?#*{}\\\u0000-\u001f\u007f]*$/;

const IDLE_ERROR = 'must be a duration such as "5m", "never", or null';

const text = () => shape.text("must be a text in quotes");
const filled = () => shape.matching(text(), /\S/, "must not be empty");
const texts = () => shape.list(filled(), "must be a list of texts");
const count = (min: number) =>
  shape.atLeast(shape.integer("must be a whole number"), min, `must be at least ${min}`);
const envName = () => shape.matching(text(), ENV_NAME, "must be the name of an environment variable");
const object = <S extends shape.Shapes>(shapes: S) => shape.object(shapes, "must be an object in braces");
/** One of the values, all of which the error names. */
const oneOf = <const T extends string>(...values: T[]) => {
  const quoted = values.map((value) => `"${value}"`);
  const last = quoted.pop() ?? "";
  return shape.oneOf(values, `must be ${quoted.join(", ")} or ${last}`);
};

const duration = (minMs: number) =>
  shape.matching(text(), DURATION, 'must be a duration such as "250ms", "5s" or "2m"')
    .refine((value) => parseDuration(value) !== null, "must be at most 24 days")
    .refine((value) => (parseDuration(value) ?? 0) >= minMs, `must be at least ${minMs}ms`)
    .meta({ examples: ["250ms", "5s", "2m"] })
    .optional();

const portError = `must be a port from ${MIN_PORT} to ${MAX_PORT}, or "auto"`;
const port = () =>
  shape.union([
    shape.atMost(shape.atLeast(shape.integer(portError), MIN_PORT, portError), MAX_PORT, portError),
    shape.constant("auto", portError),
  ], portError);

const httpPath = () =>
  shape.matching(
    text(),
    HTTP_PATH,
    'must begin with "/", only one, and have no query, fragment, wildcard, backslash or space',
  );

const headers = shape.table(
  shape.matching(text(), HEADER_NAME, "must be the name of an HTTP header")
    .refine((name) => !OWN_HEADER.test(name), "is a header that foster sets by itself"),
  // deno-lint-ignore no-control-regex
  shape.matching(text(), /^[^\u0000-\u0008\u000a-\u001f\u007f]*$/, "must have no control character"),
  "must be an object of texts",
);

const argument = "must be a text, or a list of texts";
const args = () =>
  shape.list(
    shape.union([shape.text(argument), shape.list(shape.text(argument), argument)], argument),
    "must be a list of arguments",
  );

const launchTier = object({
  tier: filled().describe("Name of this way of starting it, e.g. dev_venv, uvx or system."),
  command: filled().describe("Program: a name looked up on PATH, or a path."),
  args: args().optional().describe("Arguments of this tier, before the shared ones."),
  ifExists: filled().optional().describe("The tier counts only in a folder that has this file or folder."),
  searchUp: shape.atMost(count(0), 64, "must be at most 64").optional()
    .describe("How many parent folders are searched for ifExists too."),
});

const ready = object({
  check: oneOf("mcp", "http", "tcp")
    .optional()
    .describe(
      "mcp: a full handshake; http: a 2xx answer of statusPath, else of path; tcp: the port accepts.",
    ),
  timeout: duration(1).describe("How long a start may take."),
  probeTimeout: duration(1).describe("How long one check may take."),
});

const restart = object({
  max: count(0).optional().describe("Restart budget of the supervisor."),
  misses: count(1).optional()
    .describe("Failed checks in a row after which a live server is restarted."),
  interval: duration(1).describe("Time between two checks."),
  backoff: duration(0).describe("Wait before the first restart; it doubles."),
  backoffMax: duration(0).describe("The longest wait before a restart."),
  stableAfter: duration(0)
    .describe("A server that stayed up this long counts as stable."),
});

const server = object({
  extends: filled().optional().describe("Name of a preset that this definition builds on."),
  command: filled().optional().describe("Program: a name looked up on PATH, or a path from cwd."),
  launch: shape.list(launchTier, "must be a list of launch tiers")
    .refine((tiers) => tiers.length > 0, "must have at least one launch tier", { minItems: 1 }).optional()
    .describe("Instead of command: several ways of starting it, the first that resolves is taken."),
  args: args().optional().describe(
    "Arguments. An inner list is left out whole when a variable in it is empty.",
  ),
  cwd: filled().optional()
    .describe("Working folder, from the folder of this file."),
  env: shape.table(envName(), text(), "must be an object of texts").optional()
    .describe("Environment variables added to the inherited ones."),
  host: oneOf("127.0.0.1", "::1", "localhost")
    .optional().describe("Address it listens on: this machine only."),
  port: port().optional().describe(
    "HTTP port, or auto: reserved once, and the same until foster up NAME --port auto chooses anew.",
  ),
  wsPort: port().nullable().optional().describe("Port of its WebSocket side, if it has one."),
  path: httpPath().optional().describe("HTTP path of the MCP endpoint; /sse for sse."),
  transport: oneOf("streamable-http", "sse", "stdio").optional()
    .describe("How it speaks MCP. Without a port it is stdio."),
  sharing: oneOf("auto", "shared", "session")
    .optional()
    .describe(
      "stdio: one process for all clients, one for each client session, or auto: by what the client speaks.",
    ),
  idle: shape.matching(shape.text(IDLE_ERROR), /^(?:never|\d+(?:\.\d+)?(?:ms|s|m|h))$/, IDLE_ERROR)
    .refine((value) => value === "never" || parseDuration(value) !== null, "must be at most 24 days")
    .nullable().optional()
    .describe("How long after its last use a server ends that a request started. null: by its protocol."),
  headers: headers.optional()
    .describe("Sent with every request to it over HTTP or SSE, a token say. The values are secrets."),
  envFile: filled().nullable().optional()
    .describe("A file of KEY=VALUE lines, from the folder of this file; env wins. The values are secrets."),
  stdin: oneOf("null", "open").optional()
    .describe("open: a standard input that never ends, for a server that stops at its end."),
  version: text().nullable().optional().describe(
    "Expected version: exact, a semver range, or null for any.",
  ),
  identity: object({
    name: filled().nullable().optional().describe("Name that the server gives of itself."),
    statusPath: httpPath().nullable().optional().describe(
      "Path of a status document, e.g. /godot-ai/status.",
    ),
  }).optional().describe("What the server is expected to say of itself."),
  brand: texts().optional().describe("Names that its command line carries."),
  brandFlags: texts().optional().describe("Flags of which its command line carries at least one."),
  requiredTools: texts().optional().describe("Tools without which it is not ready."),
  labels: texts().optional().describe("Select servers: foster up --label L, likewise down, ps, status."),
  ready: ready.optional().describe("When it counts as ready."),
  restart: restart.optional().describe("How the supervisor restarts it."),
  call: object({
    timeout: duration(1).describe("How long a call may keep a server busy before missed checks count again."),
  }).optional().describe("Calls of its tools."),
  stop: object({
    grace: duration(0).describe("Time between the polite and the forced end."),
    command: shape.union([
      filled(),
      texts().refine((words) => words.length > 0, "must have at least one word", { minItems: 1 }),
    ], "must be a text, or a list of texts").nullable().optional().describe(
      'Run first: program and arguments, e.g. ["docker", "stop", "docs"].',
    ),
  }).optional().describe("How it is stopped."),
  refreshArgs: texts().nullable().optional()
    .describe('Put before all arguments in the one retry after a failed start, e.g. ["--refresh"] for uvx.'),
  modeEnv: envName().nullable().optional().describe("Variable that picks the launch tier: dev or user."),
  ownerEnv: envName().nullable().optional().describe("Variable that tells the server the pid of its owner."),
  telemetry: object({
    disable: shape.flag("must be true or false").optional().describe("Whether to switch telemetry off."),
    env: shape.list(envName(), "must be a list of variable names").optional()
      .describe("Variables that switch it off; the first is set unless one of them is on already."),
  }).nullable().optional().describe("Telemetry of the server."),
  devSource: object({
    marker: filled().optional().describe("A file of the package in a checkout, e.g. src/pkg/__init__.py."),
    mode: oneOf("prefix", "replace")
      .optional()
      .describe("prefix: put before PYTHONPATH; replace: in place of entries that have the package."),
  }).nullable().optional().describe("A Python checkout to run from."),
  session: object({
    env: envName().optional().describe("Variable that names the session file."),
    payload: shape.table(text(), shape.anything(), "must be an object in braces").optional()
      .describe("What stands in the session file; variables are expanded."),
  }).nullable().optional().describe("A private file handed to each start."),
  link: object({
    clientName: filled().nullable().optional().describe("Name of the client."),
    clientVersion: filled().nullable().optional().describe("Version that the client tells the server."),
    runtimeVersion: filled().nullable().optional().describe("Version of the program around the client."),
    launchMode: filled().nullable().optional().describe("How the server was launched, as told to it."),
    commandTimeouts: shape.table(filled(), duration(1), "must be an object of durations by command")
      .optional()
      .describe("How long the answer to a command may take, by the command's name."),
  }).nullable().optional().describe("The WebSocket session that foster link holds."),
}).describe("One MCP server.");

const serverName = shape.matching(
  text(),
  SERVER_NAME,
  "must be 1 to 64 letters, digits, dots, underscores, hyphens or spaces",
);

const servers = () =>
  shape.table(
    serverName,
    new shape.Shape<WrittenServer>(server.check, { $ref: "#/$defs/server" }),
    "must be an object of servers by name",
  )
    .optional();

const definitionFile = object({
  $schema: text().optional().describe("Where editors find this schema."),
  servers: servers().describe("Servers by name."),
  mcpServers: servers().describe(
    "The same, under the name that other MCP programs use.",
  ),
}).meta({ title: "foster definitions", description: "Local MCP servers that foster owns." });

/** One server as it is written: every key may be missing. */
export type WrittenServer = shape.ValueOf<typeof server>;
export type WrittenFile = shape.ValueOf<typeof definitionFile>;

export type Checked =
  | { kind: "valid"; file: WrittenFile }
  | { kind: "invalid"; issues: shape.SchemaIssue[] };

/** Checks the shape of a whole definition file. */
export function checkShape(value: unknown): Checked {
  const issues = definitionFile.check(value, []);
  return issues.length === 0 ? { kind: "valid", file: value as WrittenFile } : { kind: "invalid", issues };
}

/** JSON Schema (draft 2020-12) of a definition file. */
export function definitionJsonSchema(): Record<string, unknown> {
  const serverSchema = structuredClone(server.schema);
  addDefaults(serverSchema, DEFAULTS);
  addDefaults(serverSchema, DEFAULTS_WITHIN);
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    $id: "urn:foster:definitions",
    ...definitionFile.schema,
    $defs: { server: serverSchema },
  };
}

/** Defaults of whole objects stand at the keys inside. */
function addDefaults(schema: unknown, defaults: Readonly<Record<string, unknown>>): void {
  for (const each of alternatives(schema)) {
    for (const [key, value] of Object.entries(defaults)) {
      const property = at(at(each, "properties"), key);
      if (isObject(value) && Object.keys(value).length > 0) addDefaults(property, value);
      else if (isObject(property)) property["default"] = value;
    }
  }
}

/** Keys that other programs know, and what foster has instead. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  type: 'foster calls it "transport": "streamable-http", "sse" or "stdio"',
  url: "foster runs local servers: give the command that starts it, and its port",
  httpUrl: "foster runs local servers: give the command that starts it, and its port",
  disabled: "remove it: a server runs when it is asked for by name",
  timeout: 'foster has "ready": { "timeout": "30s" }',
  environment: 'did you mean "env"?',
};

/** Says where in which file the first and most telling issue is, and what to do about it. */
export function explainIssues(
  issues: readonly shape.SchemaIssue[],
  { file, value }: { file: string; value: unknown },
) {
  const issue = issues.find((each) => each.kind === "unknown_keys") ?? issues[0];
  if (issue === undefined) return new DefinitionError("is not a definition file", { file });
  switch (issue.kind) {
    case "unknown_keys": {
      const unknown = issue.keys[0] ?? "";
      const hint = (issue.path.length === 2 ? ELSEWHERE[unknown] : undefined) ??
        didYouMean(unknown, knownKeys(issue.path)) ?? `known here: ${knownKeys(issue.path).join(", ")}`;
      return new DefinitionError("is not a known key", { ...placeIn([...issue.path, unknown], file), hint });
    }
    case "bad_name":
      return new DefinitionError(issue.message, nameOrKey(issue.path, file));
    case "bad_value":
      return new DefinitionError(issue.message + quoted(issue.path, value), placeIn(issue.path, file));
  }
}

/** A malformed server name is itself the culprit; a malformed name further in is a key. */
function nameOrKey(path: readonly PropertyKey[], file: string): Partial<DefinitionPlace> {
  return path.length === 2 ? { file, server: String(path[1]), key: "name" } : placeIn(path, file);
}

function placeIn(path: readonly PropertyKey[], file: string): Partial<DefinitionPlace> {
  const [section, server, ...keys] = path.map(String);
  if (server === undefined) return { file, key: section ?? null };
  return { file, server, key: keys.length === 0 ? null : keys.join(".") };
}

const SECRET_KEYS: readonly PropertyKey[] = ["env", "headers", "session"];

/** Values of these keys may be secrets and are never shown. */
function quoted(path: readonly PropertyKey[], value: unknown): string {
  if (path[2] !== undefined && SECRET_KEYS.includes(path[2])) return "";
  let found = value;
  for (const step of path) {
    found = Array.isArray(found) ? found[Number(step)] : isObject(found) ? found[String(step)] : undefined;
  }
  const shown = typeof found === "string" || typeof found === "number" || typeof found === "boolean";
  return shown ? `, not ${JSON.stringify(found)}` : "";
}

function knownKeys(path: readonly PropertyKey[]): string[] {
  const schema = definitionJsonSchema();
  const root = path.length < 2 ? schema : at(at(schema, "$defs"), "server");
  let here: unknown = root;
  for (const step of path.slice(2)) {
    here = alternatives(here)
      .map((each) => typeof step === "number" ? at(each, "items") : at(at(each, "properties"), String(step)))
      .find((each) => each !== undefined);
  }
  return alternatives(here).flatMap((each) => Object.keys(at(each, "properties") ?? {}));
}

function alternatives(schema: unknown): unknown[] {
  const anyOf = at(schema, "anyOf");
  return Array.isArray(anyOf) ? anyOf : [schema];
}

function at(value: unknown, key: string): unknown {
  return isObject(value) ? value[key] : undefined;
}
