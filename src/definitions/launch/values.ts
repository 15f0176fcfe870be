/**
 * Values that a definition takes from elsewhere: the output of `${cmd:…}`, the lines of `envFile`, the headers made of them.
 * All of them are secrets: no message here holds one.
 *
 * @module
 */
import { resolve } from "node:path";
import { type Host, HostError } from "../../host/host.ts";
import { splitWords } from "../../base/words.ts";
import { decodeText } from "../../base/encoding.ts";
import type { ServerDefinition } from "../definition.ts";
import { DefinitionError, type DefinitionPlace } from "../definition_error.ts";
import { commandsIn, expand, type StartFacts, type Variables, variablesOf } from "../variables.ts";
import { placeOf } from "./command_line.ts";
import { findCommand } from "./find_command.ts";

type ValueHost = Pick<Host, "files" | "env" | "system" | "processes">;

/** Outputs of `${cmd:…}` by their words: a supervisor keeps them for restarts, a one-shot verb has none. */
export type CommandStore = Pick<Map<string, string>, "get" | "set">;

const COMMAND_TIMEOUT_MS = 10_000;
const SHOWN_CHARACTERS = 200;

/** Runs every `${cmd:…}` that a start needs. @throws DefinitionError where one fails, naming its key and no value */
export async function startCommands(
  host: ValueHost,
  definition: ServerDefinition,
  store: CommandStore,
): Promise<ReadonlyMap<string, string>> {
  const { args, cwd, env, envFile, session } = definition;
  const launch = definition.launch.map((tier) => [tier.command, tier.args]);
  return await runCommands(host, definition, {
    values: { command: launch, args, cwd, env, envFile, "session.payload": session?.payload },
    store,
  });
}

/** What the definition's `headers` say right now; of `facts` only what headers may need. @throws DefinitionError */
export async function resolveHeaders(
  host: ValueHost,
  definition: ServerDefinition,
  { port, env, store }: { port: number | null; env: StartFacts["env"]; store: CommandStore },
): Promise<Record<string, string>> {
  const { headers } = definition;
  if (Object.keys(headers).length === 0) return {};
  const commands = await runCommands(host, definition, { values: { headers }, store });
  const vars = variablesOf(definition, { ...NO_START, port, env, commands });
  return Object.fromEntries(
    Object.entries(headers).map(([name, text]) => {
      const place = { ...placeOf(definition), key: `headers.${name}` };
      const { full } = expand(text, vars, place);
      // deno-lint-ignore no-control-regex
      if (/[\u0000-\u0008\u000a-\u001f\u007f]|[^\u0000-\u00ff]/.test(full)) {
        throw new DefinitionError("has a value that no HTTP header can hold", place);
      }
      return [name, full];
    }),
  );
}

/** The words of `stop.command`, null for none. @throws DefinitionError */
export async function resolveStopCommand(
  host: ValueHost,
  definition: ServerDefinition,
  { facts, store }: { facts: StartFacts; store: CommandStore },
): Promise<{ words: string[]; maskedWords: string[] } | null> {
  const { command } = definition.stop;
  if (command === null) return null;
  const commands = await runCommands(host, definition, { values: { "stop.command": command }, store });
  const vars = variablesOf(definition, { ...facts, commands });
  const place = { ...placeOf(definition), key: "stop.command" };
  const words = command.map((word) => expand(word, vars, place));
  return { words: words.map(({ full }) => full), maskedWords: words.map(({ masked }) => masked) };
}

const NO_START: Omit<StartFacts, "env"> = {
  port: null,
  wsPort: null,
  pidFile: "",
  sessionFile: null,
  sessionId: null,
  stateDir: "",
  ownerPid: null,
  token: "",
};

async function runCommands(
  host: ValueHost,
  definition: ServerDefinition,
  { values, store }: { values: Readonly<Record<string, unknown>>; store: CommandStore },
): Promise<ReadonlyMap<string, string>> {
  const outputs = new Map<string, string>();
  for (const [key, value] of Object.entries(values)) {
    for (const words of commandsIn(value)) {
      const place = { ...placeOf(definition), key };
      const output = outputs.get(words) ?? store.get(words) ??
        await outputOf(host, { words, folder: definition.baseFolder, place });
      outputs.set(words, output);
      store.set(words, output);
    }
  }
  return outputs;
}

async function outputOf(
  host: ValueHost,
  { words, folder, place }: { words: string; folder: string; place: Partial<DefinitionPlace> },
): Promise<string> {
  const failed = (why: string, options: { hint?: string; cause?: unknown } = {}) =>
    new DefinitionError(`has \${cmd:${words}}, ${why}`, { ...place, ...options });
  const [program = "", ...args] = splitWords(words) ?? [];
  const found = await findCommand(host, program, { cwd: folder });
  if (!("path" in found)) {
    throw failed("a program that was not found", { hint: `looked in ${found.tried.join(", ")}` });
  }
  const refused = await host.processes.mayRun(found.path);
  if (refused !== null) throw failed(`which may not be run: ${refused}`);
  try {
    const options = { timeoutMs: COMMAND_TIMEOUT_MS, env: host.env.all(), cwd: folder };
    const { code, signal, stdout, stderr } = await host.processes.run(found.path, args, options);
    if (code === 0) return stdout.trim();
    const said = stderr.trim().split(/\r?\n/).at(-1)?.slice(0, SHOWN_CHARACTERS) ?? "";
    throw failed(`which ended with ${signal ?? code}${said === "" ? "" : `: ${said}`}`);
  } catch (cause) {
    if (!(cause instanceof HostError)) throw cause;
    const why = cause.code === "timeout" ? "which did not end within 10 s" : "which could not be run";
    throw failed(why, { cause });
  }
}

/** What the definition's `envFile` says; nothing without one. @throws DefinitionError where it can't be read */
export async function readEnvFile(
  { files }: Pick<Host, "files">,
  definition: ServerDefinition,
  vars: Variables,
): Promise<Record<string, string>> {
  if (definition.envFile === null) return {};
  const place = { ...placeOf(definition), key: "envFile" };
  const { full, masked } = expand(definition.envFile, vars, place);
  const file = resolve(definition.baseFolder, full);
  const shown = masked === full ? file : masked;
  const bytes = await readBounded(files, file).catch((cause) => {
    if (!(cause instanceof HostError)) throw cause;
    throw new DefinitionError(`names ${shown}, which can't be read`, { ...place, cause });
  });
  if (bytes === null) throw new DefinitionError(`names ${shown}, and there is no such file`, place);
  if (bytes === "too_large") throw new DefinitionError(`names ${shown}, which is larger than 1 MiB`, place);
  const decoded = decodeText(bytes);
  if (decoded.kind === "malformed") {
    throw new DefinitionError(
      `names ${shown}, which is no ${decoded.encoding} at offset ${decoded.offset}`,
      place,
    );
  }
  const parsed = parseEnvText(decoded.text);
  if (parsed.kind === "malformed") {
    throw new DefinitionError(`names ${shown}, whose line ${parsed.line} is not KEY=VALUE`, {
      ...place,
      hint: "lines are KEY=VALUE, # comments or empty; a value with blanks or # stands in quotes",
    });
  }
  return parsed.values;
}

const LIMIT_BYTES = 1024 * 1024;

async function readBounded(files: Host["files"], path: string): Promise<Uint8Array | "too_large" | null> {
  const bytes = await files.readSlice(path, 0, LIMIT_BYTES + 1);
  return bytes !== null && bytes.length > LIMIT_BYTES ? "too_large" : bytes;
}

export type EnvText =
  | { kind: "read"; values: Record<string, string> }
  /** `line` counts from 1. */
  | { kind: "malformed"; line: number };

const ASSIGNMENT = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=[ \t]*([^]*)$/;

/**
 * KEY=VALUE lines, comments and empty lines. A quoted value may go over several lines; in double quotes `\\n`, `\\"` and the
 * like are escapes. Nothing is interpolated.
 */
export function parseEnvText(text: string): EnvText {
  const lines = text.split(/\r\n|\n|\r/);
  const values = new Map<string, string>();
  for (let index = 0; index < lines.length; index++) {
    const first = index;
    const line = lines[index] ?? "";
    if (/^\s*(?:#|$)/.test(line)) continue;
    const [, name, written = ""] = ASSIGNMENT.exec(line) ?? [];
    if (name === undefined) return { kind: "malformed", line: index + 1 };
    let rest = written;
    let quoted = QUOTED.exec(rest);
    while (quoted === null && /^["']/.test(rest) && index + 1 < lines.length) {
      rest += `\n${lines[++index] ?? ""}`;
      quoted = QUOTED.exec(rest);
    }
    if (quoted !== null) {
      const [, double, single = ""] = quoted;
      values.set(name, double === undefined ? single : unescaped(double));
    } else if (/^["']/.test(rest)) return { kind: "malformed", line: first + 1 };
    else values.set(name, rest.replace(/(?:^|\s+)#.*$/, "").trim());
  }
  return { kind: "read", values: Object.fromEntries(values) };
}

const QUOTED = /^(?:"((?:[^"\\]|\\[^])*)"|'([^']*)')\s*(?:#.*)?$/;

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t" };

function unescaped(text: string): string {
  return text.replaceAll(
    /\\([^])/g,
    (whole, char: string) => ESCAPES[char] ?? (/["\\$`]/.test(char) ? char : whole),
  );
}
