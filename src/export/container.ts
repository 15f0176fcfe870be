/**
 * A definition as a container can run it: values of variables and headers become names, and what this machine alone has is
 * found out.
 *
 * @module
 */
import { isAbsolute, resolve } from "node:path";
import { isObject } from "../base/json.ts";
import { splitWords } from "../base/words.ts";
import { findSecrets } from "../clients/import/secrets.ts";
import { variableName } from "../clients/references.ts";
import type { Argument, LaunchTier, ServerDefinition } from "../definitions/definition.ts";

/** An environment variable that the container is given; its value is written nowhere. */
export interface ContainerVariable {
  name: string;
  /** The definition has a default for it. */
  isOptional: boolean;
  /** What it holds, in words, without the value. */
  what: string;
}

export interface ContainerServer {
  name: string;
  /** What the container's definition file says of it. */
  written: Record<string, unknown>;
  variables: ContainerVariable[];
  /** Why it can't run in a container. */
  unfit: string[];
  warnings: string[];
}

/** What was seen of this machine. */
export interface MachineFacts {
  /** Whether there is something at an absolute path. */
  exists(path: string): boolean;
  /** The names that `envFile` sets, null where it can't be read. */
  envFileNames: readonly string[] | null;
}

/** The programs of the image that the project's Dockerfile makes. */
const IMAGE_PROGRAMS = new Set(
  ["foster", "node", "npm", "npx", "uv", "uvx", "python3", "sh", "bash", "cat", "env"],
);
const CONTAINER_PROGRAMS = /^(?:docker|podman|nerdctl|container)$/;
/** Set in every container: nobody has to give them. */
const OWN_VARIABLES = /^(?:HOME|PATH|PWD|HOSTNAME|USER|LOGNAME|SHELL|TERM|LANG|TMPDIR|FOSTER_.*)$/;
/** Where a server without a folder of its own works: the volume. */
export const DATA_FOLDER = "/data";

/** Keys that mean something on the machine of a developer only. */
const DEVELOPERS_KEYS = ["devSource", "modeEnv", "ownerEnv", "link", "extends"];

/** The paths that a decision about this definition asks for. */
export function pathsToObserve(definition: ServerDefinition): string[] {
  const paths = definition.launch.flatMap(({ args }) => args.flat()).concat(definition.args.flat())
    .flatMap((text) => pathIn(text, definition.baseFolder) ?? []);
  return [...new Set(paths.flatMap((path) => path.at === null ? [] : [path.at]))];
}

/** `taken` holds the variables of the same container, by what each stands for. */
export function forContainer(
  definition: ServerDefinition,
  { facts, taken, allowPaths }: { facts: MachineFacts; taken: Map<string, string>; allowPaths: boolean },
): ContainerServer {
  const { name } = definition;
  const server: ContainerServer = { name, written: {}, variables: [], unfit: [], warnings: [] };
  const rewriting = new Rewriting(server, taken);
  const written: Record<string, unknown> = { ...definition.written };
  for (const key of DEVELOPERS_KEYS) delete written[key];
  const onlyHere = (what: string) => (allowPaths ? server.warnings : server.unfit).push(what);
  // First those that have names of their own already.
  const env = rewriting.values(definition.env, "env");
  const tier = launchTier(definition, server);
  if (tier !== null) {
    delete written["launch"];
    written["command"] = rewriting.words(tier.command, "command");
    written["args"] = rewriting.args([...tier.args, ...definition.args]);
  }
  for (const text of [...tier?.args ?? [], ...definition.args].flat()) {
    const path = pathIn(text, definition.baseFolder);
    if (path === null) continue;
    if (path.isCertain || path.at !== null && facts.exists(path.at)) {
      onlyHere(`its argument ${shown(text)} is a path of this machine`);
    } else if (path.isLikely) {
      server.warnings.push(`its argument ${shown(text)} looks like a path: the container needs it too`);
    }
  }
  if (resolve(definition.baseFolder, definition.cwd) !== resolve(definition.baseFolder)) {
    onlyHere(`its working folder is one of this machine`);
  }
  written["cwd"] = DATA_FOLDER;
  if (definition.envFile !== null) {
    delete written["envFile"];
    if (facts.envFileNames === null) server.unfit.push("its envFile can't be read for the names in it");
    for (const each of facts.envFileNames ?? []) {
      env[each] ??= rewriting.reference(each, { what: `${each} of its envFile` });
    }
  }
  setOrDelete(written, "env", env);
  setOrDelete(written, "headers", rewriting.values(definition.headers, "headers"));
  if (definition.session !== null) {
    const { payload } = definition.session;
    written["session"] = { env: definition.session.env, payload: rewriting.payload(payload, "session") };
  }
  if (definition.stop.command !== null) {
    written["stop"] = { ...definition.written.stop, command: undefined };
    server.warnings.push("its stop.command is left out: that program is this machine's");
  }
  if (definition.wsPort !== null) {
    server.warnings.push("its WebSocket port is reached within the container only");
  }
  // What is undefined would become a null.
  server.written = JSON.parse(JSON.stringify(written));
  return server;
}

function setOrDelete(written: Record<string, unknown>, key: string, value: Record<string, string>): void {
  if (Object.keys(value).length === 0) delete written[key];
  else written[key] = value;
}

/** The way of starting it that a container has; null, with the reasons noted, where there is none. */
function launchTier(definition: ServerDefinition, server: ContainerServer): LaunchTier | null {
  const reasons: string[] = [];
  for (const tier of definition.launch) {
    const problem = commandProblem(tier);
    if (problem === null) {
      if (!IMAGE_PROGRAMS.has(tier.command)) {
        server.warnings.push(
          `foster's image has no ${tier.command}: build one upon it, and give it as --image`,
        );
      }
      return tier;
    }
    reasons.push(problem);
  }
  server.unfit.push(...reasons);
  return null;
}

function commandProblem({ command, ifExists }: LaunchTier): string | null {
  if (ifExists !== undefined) return `its tier needs ${ifExists} of this machine`;
  if (/[\\/~]/.test(command) || command.includes("${")) {
    return `its command ${shown(command)} is a path of this machine: name a program that the image has`;
  }
  if (CONTAINER_PROGRAMS.test(command)) {
    return `its command ${command} would start containers from within one`;
  }
  return null;
}

interface ArgumentPath {
  /** Absolute, to be looked for; null where that would say nothing. */
  at: string | null;
  /** It can't be anything but a path of this machine. */
  isCertain: boolean;
  isLikely: boolean;
}

/** Null for what is no path. */
function pathIn(argument: string, baseFolder: string): ArgumentPath | null {
  const text = argument.replace(/^--?[\w-]+=/, "").replace(/^file:\/\//, "");
  const certain: ArgumentPath = { at: null, isCertain: true, isLikely: true };
  if (/^~(?:[\\/]|$)|^[A-Za-z]:[\\/]|^\\\\|^\.\.?[\\/]/.test(text)) return certain;
  if (/\$\{(?:configDir|env:(?:HOME|PWD|USERPROFILE))\}/.test(text)) return certain;
  if (text.includes("${") || /^[a-z][a-z0-9+.-]*:\/\//i.test(text) || /\s/.test(text)) return null;
  if (isAbsolute(text)) return { at: text, isCertain: false, isLikely: /^\/[^/]+\/./.test(text) };
  const isFileName = /^[^@-].*(?:[\\/]|\.\w{1,5}$)/.test(text);
  return isFileName ? { at: resolve(baseFolder, text), isCertain: false, isLikely: false } : null;
}

/** An argument for a message: its secrets are none of it. */
function shown(text: string): string {
  return JSON.stringify(withoutSecrets(text, null, () => "…"));
}

const REFERENCES = /\$\{[^{}]*\}/g;

function withoutSecrets(text: string, name: string | null, replace: (part: string | null) => string): string {
  const { parts } = findSecrets(text, { name, references: REFERENCES });
  let [kept, from] = ["", 0];
  for (const part of parts) {
    kept += text.slice(from, part.start) + replace(part.name);
    from = part.end;
  }
  return kept + text.slice(from);
}

/** Puts names of variables in the place of values, and remembers them. */
class Rewriting {
  readonly #server: ContainerServer;
  readonly #taken: Map<string, string>;

  constructor(server: ContainerServer, taken: Map<string, string>) {
    this.#server = server;
    this.#taken = taken;
  }

  /** Every value of `env` and `headers` is a secret: only references stay. */
  values(values: Readonly<Record<string, string>>, where: string): Record<string, string> {
    return Object.fromEntries(
      Object.entries(values).map(([key, text]) => [key, this.#value(text, { key, where })]),
    );
  }

  #value(text: string, { key, where }: { key: string; where: string }): string {
    const bare = text.replaceAll(/\$\{(?:env:[^{}]*|[A-Za-z]+)\}/g, "");
    const isReference = text === "" || bare !== text && /^\s*(?:(?:bearer|basic|token)\s)?\s*$/i.test(bare);
    if (!isReference) return this.reference(key, { what: `${where} ${key}, the whole value` });
    // A default is a value, too.
    const plain = text.replaceAll(/\$\{env:([^{}]+?):-[^{}]*\}/g, "${env:$1}");
    this.#note(plain);
    return plain;
  }

  /** A variable that is this server's alone. */
  reference(key: string, { what }: { what: string }): string {
    const { name: server } = this.#server;
    const plain = `${variableName(server)}_${variableName(key)}`;
    const wanted = OWN_VARIABLES.test(plain) ? `SERVER_${plain}` : plain;
    const owner = JSON.stringify([server, key]);
    let name = wanted;
    for (let count = 2; (this.#taken.get(name) ?? owner) !== owner; count++) name = `${wanted}_${count}`;
    this.#taken.set(name, owner);
    this.#add({ name, isOptional: false, what });
    return `\${env:${name}}`;
  }

  args(args: readonly Argument[]): Argument[] {
    let flag: string | null = null;
    const rewritten = (text: string) => {
      const safe = this.words(text, flag);
      flag = /^--?[A-Za-z][\w-]*$/.test(text) ? text.replace(/^--?/, "") : null;
      return safe;
    };
    return args.map((each) => typeof each === "string" ? rewritten(each) : each.map(rewritten));
  }

  /** A text of which only the secrets are taken out. `name`: of the flag before it. */
  words(text: string, name: string | null): string {
    const safe = withoutSecrets(
      text,
      name,
      (part) =>
        this.reference(part ?? name ?? "value", {
          what: `part of an argument${part === null ? "" : `: ${part}`}`,
        }),
    )
      .replaceAll(/\$\{cmd:([^{}]*)\}/g, (_, words: string) => {
        const [program = "command"] = splitWords(words) ?? [];
        return this.reference(`${program}_output`, { what: `what \${cmd:${program} …} prints` });
      });
    this.#note(safe);
    return safe;
  }

  payload(value: unknown, key: string): unknown {
    if (typeof value === "string") return this.#value(value, { key, where: "session payload" });
    if (Array.isArray(value)) return value.map((each, index) => this.payload(each, `${key}_${index}`));
    if (!isObject(value)) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, each]) => [name, this.payload(each, `${key}_${name}`)]),
    );
  }

  /** The variables that a text asks for by name. */
  #note(text: string): void {
    for (const [, name = "", fallback] of text.matchAll(/\$\{env:([^{}]+?)(:-[^{}]*)?\}/g)) {
      if (OWN_VARIABLES.test(name) || this.#taken.get(name)?.startsWith("[")) continue;
      this.#taken.set(name, name);
      this.#add({ name, isOptional: fallback !== undefined, what: "as the definition asks for it" });
    }
  }

  #add(variable: ContainerVariable): void {
    const { variables } = this.#server;
    const known = variables.find(({ name }) => name === variable.name);
    if (known === undefined) variables.push(variable);
    else known.isOptional &&= variable.isOptional;
  }
}
