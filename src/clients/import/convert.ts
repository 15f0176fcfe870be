/**
 * One server of another program's settings as a definition of foster's.
 *
 * @module
 */
import { resolve } from "node:path";
import { sha256Hex } from "../../base/hash.ts";
import { isFosterCommand } from "../../definitions/mcp_json.ts";
import type { WrittenServer } from "../../definitions/schema.ts";
import { type EntryServer, readEntry } from "../entry.ts";
import { type ReferenceForm, referencePattern, translateReferences, variableName } from "../references.ts";
import { findSecrets } from "./secrets.ts";

export interface ImportEntry {
  name: string;
  value: Readonly<Record<string, unknown>>;
  /** The client's ways of referring to variables. */
  references: readonly ReferenceForm[];
}

export type Converted =
  | { kind: "definition"; name: string; definition: WrittenServer; notes: string[] }
  | { kind: "left_out"; name: string; reason: string };

export interface ConvertOptions {
  /** The folder that relative paths begin at, null where the settings belong to no project. */
  project: string | null;
  /** The folder of the definition file that the entry is to stand in. */
  folder: string;
  /** Which secret each variable stands for so far: two servers may want one name for two of them. */
  variables: Map<string, string>;
}

/** Never gives the value of a secret: a reference to a variable takes its place. */
export function convert(entry: ImportEntry, options: ConvertOptions): Converted {
  const name = safeName(entry.name);
  const server = readEntry(entry.value);
  const leftOut = (reason: string): Converted => ({ kind: "left_out", name: entry.name, reason });
  if (server.isDisabled) return leftOut("it is switched off there");
  if (server.isSandboxed) return leftOut("it runs in a sandbox of that program, which foster has not");
  const { command } = server;
  if (command !== null && isFosterCommand(command) && server.args.includes("connect")) {
    return leftOut("it is a client of foster's already");
  }
  const network = server.url === null ? null : networkOf(server.url, server.type);
  if (network?.kind === "no") return leftOut(network.reason);
  if (command === null) {
    return leftOut(
      network === null
        ? "it has no command"
        : "it says where the server is, not how to start it: add a command to the definition by hand",
    );
  }
  const texts = new Texts(name, entry.references, options);
  if (name !== entry.name) texts.note(`named "${name}": a name is letters, digits, dots, hyphens and spaces`);
  const definition: WrittenServer = { command: texts.plain(command) };
  if (server.args.length > 0) definition.args = texts.args(server.args);
  addContainer(definition, { name, texts });
  const cwd = cwdOf(server, options);
  if (cwd !== null) definition.cwd = texts.plain(cwd);
  const env = texts.env(server.env);
  if (Object.keys(env).length > 0) definition.env = env;
  if (server.envFile !== null) definition.envFile = envFileOf(texts.plain(server.envFile), options);
  if (network === null) definition.transport = "stdio";
  else {
    Object.assign(definition, network.definition);
    const headers = texts.headers(server.headers);
    if (Object.keys(headers).length > 0) definition.headers = headers;
  }
  for (const each of server.passedOn) texts.note(`it needs ${each} of your environment`);
  if (server.ignored.length > 0) texts.note(`not taken over: ${server.ignored.join(", ")}`);
  return { kind: "definition", name, definition, notes: texts.notes };
}

const HASH_DIGITS = 6;

/** What a definition file can hold; a name of other letters alone keeps apart by its hash. */
function safeName(name: string): string {
  if (/^[A-Za-z0-9._ -]{1,64}$/.test(name)) return name;
  const safe = name.replaceAll(/[^A-Za-z0-9._ -]+/g, "-").replace(/^[- ]+|[- ]+$/g, "").slice(0, 57);
  return /[A-Za-z0-9]/.test(safe) ? safe : distinctName("server", name);
}

/** The name with a few digits of a hash of `of`. */
export function distinctName(name: string, of: string): string {
  return `${name.slice(0, 57)}-${sha256Hex(of).slice(0, HASH_DIGITS)}`;
}

type Network =
  | { kind: "no"; reason: string }
  | { kind: "local"; definition: Pick<WrittenServer, "host" | "port" | "path" | "transport"> };

function networkOf(text: string, type: string | null): Network {
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

function cwdOf({ cwd }: EntryServer, { project, folder }: ConvertOptions): string | null {
  if (project === null || project === folder || cwd?.startsWith("$")) return cwd;
  return resolve(project, cwd ?? ".");
}

function envFileOf(envFile: string, { project, folder }: ConvertOptions): string {
  return project === null || project === folder || /^[$~]/.test(envFile)
    ? envFile
    : resolve(project, envFile);
}

/** Ending the client of a container engine leaves its container running: it gets a name, and a command that stops it. */
function addContainer(definition: WrittenServer, { name, texts }: { name: string; texts: Texts }): void {
  const program = /(?:^|[\\/])(docker|podman)(?:\.exe)?$/i.exec(definition.command ?? "")?.[1];
  const [verb, ...args] = definition.args ?? [];
  const options = args.filter((arg): arg is string => typeof arg === "string");
  const isInteractive = options.some((arg) => /^(?:-[a-z]*i[a-z]*|--interactive)(?:=true)?$/.test(arg));
  if (program === undefined || verb !== "run" || !isInteractive) return;
  const at = options.findIndex((arg) => /^--name(?:=|$)/.test(arg));
  const own = at === -1 ? null : /^--name=(.+)$/.exec(options[at] ?? "")?.[1] ?? options[at + 1] ?? null;
  // Each client session may have a container of its own.
  const container = own ?? `foster-${name.toLowerCase().replaceAll(/[^a-z0-9_.-]+/g, "-")}-\${sessionId}`;
  definition.args = [
    "run",
    ...(options.includes("--rm") ? [] : ["--rm"]),
    ...(own === null ? ["--name", container] : []),
    ...args,
  ];
  definition.stop = { command: [definition.command ?? program, "stop", container] };
  texts.note(`its container is called ${container}, so that foster can stop it`);
}

/** The texts of one entry: references translated, secrets taken out, with notes on both. */
class Texts {
  readonly notes: string[] = [];
  readonly #server: string;
  readonly #pattern: RegExp | null;
  readonly #headerPattern: RegExp | null;
  readonly #variables: Map<string, string>;
  readonly #workspace: string | null;

  constructor(
    server: string,
    references: readonly ReferenceForm[],
    { variables, project, folder }: ConvertOptions,
  ) {
    this.#server = server;
    this.#pattern = referencePattern(references);
    this.#headerPattern = referencePattern([...references, "prefixed"]);
    this.#variables = variables;
    this.#workspace = project === folder ? null : project;
  }

  note(text: string): void {
    if (!this.notes.includes(text)) this.notes.push(text);
  }

  plain(text: string): string {
    return this.#conceal(text, { name: null, fallback: "command", where: "the value" });
  }

  args(args: readonly string[]): string[] {
    return args.map((arg, index) => {
      const before = /^--?([A-Za-z][\w.-]*)$/.exec(args[index - 1] ?? "")?.[1] ?? null;
      return this.#conceal(arg, {
        name: arg.startsWith("-") ? null : before,
        fallback: `argument_${index + 1}`,
        where: "the value among the arguments",
      });
    });
  }

  /** A value with a secret in it goes whole: the variable's own name is the nearest place for it. */
  env(env: Readonly<Record<string, string>>): Record<string, string> {
    return Object.fromEntries(
      Object.entries(env).map(([name, value]) => {
        const { parts, isDoubtful } = findSecrets(value, { name, references: this.#pattern });
        if (isDoubtful) this.note(`check ${name}: its value may be a secret and was copied`);
        if (parts.length > 0) {
          const variable = this.#variableFor(name, value);
          this.note(`set ${variable} in your environment: its value was not copied`);
          return [name, `\${env:${variable}}`];
        }
        const [, asked] = /^\$\{(?:prompt|input):([^{}]*)\}$/.exec(value) ?? [];
        if (asked === undefined || this.#pattern === null) return [name, this.#translate(value)];
        this.note(`set ${name} in your environment: it was asked for at each start`);
        return [name, `\${env:${name}}`];
      }),
    );
  }

  headers(headers: Readonly<Record<string, string>>): Record<string, string> {
    return Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [
        name,
        this.#conceal(value, { name, fallback: name, where: `the header ${name}` }, this.#headerPattern),
      ]),
    );
  }

  #conceal(
    text: string,
    { name, fallback, where }: { name: string | null; fallback: string; where: string },
    pattern = this.#pattern,
  ): string {
    const { parts, isDoubtful } = findSecrets(text, { name, references: pattern });
    if (isDoubtful) this.note(`check ${JSON.stringify(fallback)}: ${where} may be a secret and was copied`);
    let [concealed, from] = ["", 0];
    for (const part of parts) {
      const variable = this.#variableFor(part.name ?? fallback, text.slice(part.start, part.end));
      this.note(`set ${variable} in your environment: ${where} was not copied`);
      concealed += `${this.#translate(text.slice(from, part.start), pattern)}\${env:${variable}}`;
      from = part.end;
    }
    return concealed + this.#translate(text.slice(from), pattern);
  }

  #translate(text: string, pattern = this.#pattern): string {
    return translateReferences(text, pattern, {
      note: (note) => this.note(note),
      workspace: this.#workspace,
    });
  }

  #variableFor(words: string, secret: string): string {
    const own = variableName(words);
    const candidates = [own, variableName(`${this.#server}_${own}`)];
    for (let count = 2;; count++) {
      const variable = candidates.shift() ?? `${own}_${count}`;
      const taken = this.#variables.get(variable);
      if (taken !== undefined && taken !== secret) continue;
      this.#variables.set(variable, secret);
      return variable;
    }
  }
}
