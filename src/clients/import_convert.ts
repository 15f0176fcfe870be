/**
 * One server of another program's settings as a definition of foster's.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import { resolve } from "@std/path";
import type { ImportEntry, ImportForm } from "./import_places.ts";
import { isSecret, looksSecret } from "./import_secrets.ts";
import type { WrittenServer } from "../definitions/schema.ts";

export type Converted =
  | { kind: "definition"; name: string; definition: WrittenServer; notes: string[] }
  | { kind: "left_out"; name: string; reason: string };

export interface ConvertOptions {
  /** The folder that relative paths begin at, null where the settings belong to no project. */
  project: string | null;
  /** The folder of the definition file that the entry is to stand in. */
  folder: string;
}

/** Never gives the value of a secret: a reference to a variable takes its place. */
export function convert(entry: ImportEntry, options: ConvertOptions): Converted {
  const name = safeName(entry.name);
  const { value } = entry;
  const leftOut = (reason: string): Converted => ({ kind: "left_out", name: entry.name, reason });
  if (value["disabled"] === true || value["enabled"] === false) return leftOut("it is switched off there");
  const command = commandOf(value);
  if (command !== null && isFoster(command)) return leftOut("it is a client of foster's already");
  const url = ["url", "serverUrl", "httpUrl"].map((key) => value[key]).find((each) =>
    typeof each === "string"
  );
  const network = typeof url === "string" ? networkOf(url, value["type"]) : null;
  if (network?.kind === "no") return leftOut(network.reason);
  if (command === null) {
    return leftOut(
      network === null
        ? "it has no command"
        : "it says where the server is, not how to start it: add a command to the definition by hand",
    );
  }
  const notes = new Notes();
  if (name !== entry.name) notes.add(`named "${name}": a name is letters, digits, dots, hyphens and spaces`);
  const translate = (text: string) => translated(text, { form: entry.form, notes });
  const definition: WrittenServer = { command: translate(command.command) };
  if (command.args.length > 0) definition.args = argumentsOf(command.args, translate, notes);
  const cwd = cwdOf(value, options);
  if (cwd !== null) definition.cwd = translate(cwd);
  const env = environmentOf(command.env, translate, notes);
  if (Object.keys(env).length > 0) definition.env = env;
  if (network === null) definition.transport = "stdio";
  else Object.assign(definition, network.definition);
  const ignored = Object.keys(value).filter((key) => !UNDERSTOOD.has(key));
  if (ignored.length > 0) notes.add(`not taken over: ${ignored.join(", ")}`);
  return { kind: "definition", name, definition, notes: notes.all };
}

const UNDERSTOOD = new Set([
  ...["command", "args", "env", "cwd", "type", "url", "serverUrl", "httpUrl"],
  ...["source", "enabled", "disabled"],
]);

class Notes {
  readonly all: string[] = [];
  add(text: string): void {
    if (!this.all.includes(text)) this.all.push(text);
  }
}

function safeName(name: string): string {
  const safe = name.replaceAll(/[^A-Za-z0-9._ -]+/g, "-").slice(0, 64);
  return safe === "" ? "server" : safe;
}

interface Command {
  command: string;
  args: string[];
  env: Record<string, string>;
}

/** A command may also stand as an object with everything that belongs to it. */
function commandOf(value: Readonly<Record<string, unknown>>): Command | null {
  const { command } = value;
  const inner = isObject(command) ? { ...value, ...command, command: command["path"] } : value;
  if (typeof inner["command"] !== "string" || inner["command"].trim() === "") return null;
  const args = Array.isArray(inner["args"]) ? inner["args"] : [];
  const env = isObject(inner["env"]) ? inner["env"] : {};
  return {
    command: inner["command"],
    args: args.map(String),
    env: Object.fromEntries(
      Object.entries(env).flatMap(([key, each]) => each === null ? [] : [[key, String(each)]]),
    ),
  };
}

/** As the definition of a server this would start one connect after the other. */
function isFoster({ command, args }: Command): boolean {
  const program = command.split(/[\\/]/).at(-1) ?? "";
  return /^foster(?:-[a-z0-9-]+)?(?:\.exe)?$/i.test(program) && args.includes("connect");
}

type Network =
  | { kind: "no"; reason: string }
  | { kind: "local"; definition: Pick<WrittenServer, "host" | "port" | "path" | "transport"> };

function networkOf(text: string, type: unknown): Network {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return { kind: "no", reason: "its url can't be read" };
  }
  const { protocol, pathname, port } = url;
  const hostname = url.hostname.replace(/^\[|\]$/g, "");
  if (hostname !== "127.0.0.1" && hostname !== "::1" && hostname !== "localhost") {
    return { kind: "no", reason: `it is remote (${hostname}): foster owns servers of this machine` };
  }
  if (protocol !== "http:") return { kind: "no", reason: `foster reaches local servers over http only` };
  if (port === "") return { kind: "no", reason: "its url has no port" };
  const transport = type === "sse" || /\/sse\/?$/.test(pathname) ? "sse" : "streamable-http";
  return { kind: "local", definition: { host: hostname, port: Number(port), path: pathname, transport } };
}

function cwdOf(value: Readonly<Record<string, unknown>>, { project, folder }: ConvertOptions): string | null {
  const cwd = typeof value["cwd"] === "string" && value["cwd"] !== "" ? value["cwd"] : null;
  if (project === null || project === folder || cwd?.startsWith("$")) return cwd;
  return resolve(project, cwd ?? ".");
}

type Translate = (text: string) => string;

function environmentOf(
  env: Readonly<Record<string, string>>,
  translate: Translate,
  notes: Notes,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).map(([name, value]) => {
      if (isSecret(name, value)) {
        notes.add(`set ${name} in your environment: its value was not copied`);
        return [name, `\${env:${name}}`];
      }
      // Asked for at each start there; the variable's own name is the nearest thing to a place for it.
      if (/^\$\{(?:prompt|input):[^{}]*\}$/.test(value)) {
        notes.add(`set ${name} in your environment: it was asked for at each start`);
        return [name, `\${env:${name}}`];
      }
      return [name, translate(value)];
    }),
  );
}

function argumentsOf(args: readonly string[], translate: Translate, notes: Notes): string[] {
  return args.map((arg, index) => {
    const option = /^(?:--?)?([A-Za-z_][\w.-]*)=([^]*)$/.exec(arg);
    const [, ownName, ownValue] = option ?? [];
    if (ownName !== undefined && ownValue !== undefined && isSecret(ownName, ownValue)) {
      return `${arg.slice(0, arg.length - ownValue.length)}${reference(ownName, notes)}`;
    }
    const before = /^--?([A-Za-z][\w.-]*)$/.exec(args[index - 1] ?? "")?.[1];
    if (before !== undefined && !arg.startsWith("-") && isSecret(before, arg)) {
      return reference(before, notes);
    }
    const header = /^([A-Za-z][\w-]*):\s*(\S[^]*)$/.exec(arg);
    const [, headerName, headerValue] = header ?? [];
    if (headerName !== undefined && headerValue !== undefined && isSecret(headerName, headerValue)) {
      return `${headerName}: ${reference(headerName, notes)}`;
    }
    return looksSecret(arg) ? reference(`argument_${index + 1}`, notes) : translate(arg);
  });
}

function reference(name: string, notes: Notes): string {
  const variable = variableName(name);
  notes.add(`set ${variable} in your environment: the value among the arguments was not copied`);
  return `\${env:${variable}}`;
}

function variableName(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9]+/g, "_").toUpperCase().replace(/^(?=[0-9])/, "_");
}

/** The other program's variables as foster's; what foster has no word for stays a literal text. */
function translated(text: string, { form, notes }: { form: ImportForm; notes: Notes }): string {
  return text.replaceAll(/\$\{([^{}]*)\}|\$\{/g, (whole: string, name: string | undefined) => {
    if (name === undefined) return `$${whole}`;
    const environment = /^env:([A-Za-z_]\w*)$/.exec(name)?.[1];
    if (environment !== undefined) return whole;
    const asked = /^(?:input|prompt):(.+)$/.exec(name)?.[1];
    if (asked !== undefined) {
      notes.add(`set ${variableName(asked)} in your environment: it was asked for at each start`);
      return `\${env:${variableName(asked)}}`;
    }
    if (/^workspace(?:Folder|Root)(?::.*)?$/.test(name)) {
      notes.add(`\${${name}} became \${configDir}, the folder of the definition file`);
      return "${configDir}";
    }
    if (name === "userHome") return "${env:HOME}";
    if (name === "/" || name === "pathSeparator") return "/";
    const [, variable, standard] = /^([A-Za-z_]\w*)(?::-([^]*))?$/.exec(name) ?? [];
    if (form === "mcpServers" && variable !== undefined) {
      if (standard !== undefined) notes.add(`\${${variable}} has no default any more: set it yourself`);
      return `\${env:${variable}}`;
    }
    notes.add(`\${${name}} is not known to foster and stays as it is`);
    return `$${whole}`;
  });
}
