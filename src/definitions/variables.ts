/**
 * The variables of a definition: `${port}`, `${env:NAME}`, `${env:NAME:-default}`, `${cmd:PROGRAM ARGS}` and the others,
 * with `$${` for a literal `${`.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import type { Argument, LaunchTier, ServerDefinition } from "./definition.ts";
import { DefinitionError, type DefinitionPlace } from "./definition_error.ts";
import { didYouMean } from "../base/suggest.ts";
import { splitWords } from "../base/words.ts";

const VARIABLE_NAMES = [
  "port",
  "wsPort",
  "host",
  "path",
  "version",
  "pidFile",
  "sessionFile",
  "sessionId",
  "stateDir",
  "configDir",
  "ownerPid",
  "token",
] as const;

export type VariableName = typeof VARIABLE_NAMES[number];

/** What each variable stands for at one start; empty text where a start has no such thing. */
export interface Variables {
  values: Readonly<Record<VariableName, string>>;
  /** The caller's environment; a variable that is not set counts as empty. */
  env(name: string): string | undefined;
  /** What each `${cmd:…}` printed, by its words; one that is missing counts as empty. */
  commands: ReadonlyMap<string, string>;
}

export interface StartFacts {
  /** The port as reserved, null for a stdio server. */
  port: number | null;
  wsPort: number | null;
  pidFile: string;
  sessionFile: string | null;
  sessionId: string | null;
  stateDir: string;
  ownerPid: number | null;
  /** The instance token. */
  token: string;
  env(name: string): string | undefined;
  /** As `Variables.commands`; none where it is left out. */
  commands?: ReadonlyMap<string, string>;
}

const EXACT_VERSION = /^\d+\.\d+\.\d+([-+].*)?$/;

/** The variables of one start. `${version}` is empty where the definition has a range: nothing can be pinned to one. */
export function variablesOf(
  definition: Pick<ServerDefinition, "host" | "path" | "version" | "baseFolder">,
  facts: StartFacts,
): Variables {
  const { host, path, version, baseFolder } = definition;
  return {
    values: {
      port: String(facts.port ?? ""),
      wsPort: String(facts.wsPort ?? ""),
      host,
      path,
      version: version !== null && EXACT_VERSION.test(version) ? version : "",
      pidFile: facts.pidFile,
      sessionFile: facts.sessionFile ?? "",
      sessionId: facts.sessionId ?? "",
      stateDir: facts.stateDir,
      configDir: baseFolder,
      ownerPid: String(facts.ownerPid ?? ""),
      token: facts.token,
    },
    env: (name) => facts.env(name),
    commands: facts.commands ?? new Map(),
  };
}

type Part =
  | { kind: "text"; text: string }
  | { kind: "variable"; name: VariableName }
  | { kind: "environment"; name: string; fallback: string | null }
  | { kind: "command"; words: string }
  | { kind: "unknown"; name: string }
  | { kind: "unclosed" };

const TOKEN = /\$\$\{|\$\{([^{}]*)\}|\$\{/g;

function parseParts(text: string): Part[] {
  const parts: Part[] = [];
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    if (match.index > end) parts.push({ kind: "text", text: text.slice(end, match.index) });
    end = match.index + match[0].length;
    parts.push(match[0] === "$${" ? { kind: "text", text: "${" } : reference(match[1]));
  }
  if (end < text.length) parts.push({ kind: "text", text: text.slice(end) });
  return parts;
}

function reference(name: string | undefined): Part {
  if (name === undefined) return { kind: "unclosed" };
  const known = VARIABLE_NAMES.find((each) => each === name);
  if (known !== undefined) return { kind: "variable", name: known };
  const [, variable, fallback = null] = /^env:(.+?)(?::-([^]*))?$/.exec(name) ?? [];
  if (variable !== undefined) return { kind: "environment", name: variable, fallback };
  return name.startsWith("cmd:")
    ? { kind: "command", words: name.slice(4).trim() }
    : { kind: "unknown", name };
}

/** The environment variables that a text asks for without a default. */
export function environmentNames(text: string): string[] {
  return parseParts(text).flatMap((part) =>
    part.kind === "environment" && part.fallback === null ? [part.name] : []
  );
}

/** Every environment variable that the definition asks for. */
export function environmentNamesOf(definition: ServerDefinition): string[] {
  const { launch, args, cwd, env, envFile, headers, session, stop } = definition;
  const tiers = launch.map((tier) => [tier.command, tier.args]);
  const texts = textsIn([tiers, args, cwd, env, envFile, headers, session?.payload, stop.command]);
  return [
    ...new Set(texts.flatMap(parseParts).flatMap((part) => part.kind === "environment" ? [part.name] : [])),
  ];
}

/** The words of every `${cmd:…}` in the texts of a value, at any depth. */
export function commandsIn(value: unknown): string[] {
  return textsIn(value).flatMap(parseParts).flatMap((part) => part.kind === "command" ? [part.words] : []);
}

function mentions(text: string, variable: VariableName): boolean {
  return parseParts(text).some((part) => part.kind === "variable" && part.name === variable);
}

/** @throws DefinitionError where the text has an unknown variable or an unclosed `${`. */
export function checkVariables(text: string, place: Partial<DefinitionPlace>): void {
  for (const part of parseParts(text)) checkPart(part, place);
}

function checkPart(part: Part, place: Partial<DefinitionPlace>): asserts part is Resolvable {
  if (part.kind === "unclosed") {
    throw new DefinitionError('has a "${" without "}"', { ...place, hint: 'write "$${" for a literal "${"' });
  }
  if (part.kind === "unknown") {
    throw new DefinitionError(`has the unknown variable \${${part.name}}`, {
      ...place,
      hint: hintFor(part.name),
    });
  }
  if (part.kind !== "command") return;
  const words = splitWords(part.words);
  if (words === null || words.length === 0) {
    const problem = words === null ? "in which a quote has no partner" : "without a program";
    throw new DefinitionError(`has a \${cmd:…} ${problem}`, {
      ...place,
      hint: 'write it as "${cmd:pass show docs/token}"',
    });
  }
}

type Resolvable = Exclude<Part, { kind: "unknown" | "unclosed" }>;

function hintFor(name: string): string {
  const known = VARIABLE_NAMES.map((each) => `\${${each}}`);
  const sameLetters = known.find((each) => each.toLowerCase() === `\${${name}}`.toLowerCase());
  if (sameLetters === undefined && /^[A-Z][A-Z0-9_]*$/.test(name)) return `did you mean "\${env:${name}}"?`;
  return didYouMean(`\${${name}}`, known) ??
    `there are ${known.join(" ")} \${env:NAME} \${cmd:PROGRAM}; "$\${" is a literal "\${"`;
}

export interface Expanded {
  /** For the process itself. */
  full: string;
  /** For records and messages: `${env:…}` and `${cmd:…}` stay as they are written. */
  masked: string;
  /** Whether a variable in it is empty. */
  hasEmpty: boolean;
}

/** @throws DefinitionError naming an unknown variable, with what was probably meant. */
export function expand(text: string, vars: Variables, place: Partial<DefinitionPlace> = {}): Expanded {
  const expanded: Expanded = { full: "", masked: "", hasEmpty: false };
  for (const part of parseParts(text)) {
    checkPart(part, place);
    switch (part.kind) {
      case "text":
        expanded.full += part.text;
        expanded.masked += part.text;
        break;
      case "variable": {
        const value = vars.values[part.name];
        expanded.full += value;
        expanded.masked += value;
        expanded.hasEmpty ||= value === "";
        break;
      }
      case "environment": {
        const { name, fallback } = part;
        const value = vars.env(name) || (fallback ?? "");
        expanded.full += value;
        expanded.masked += `\${env:${name}${fallback === null ? "" : `:-${fallback}`}}`;
        expanded.hasEmpty ||= value === "";
        break;
      }
      case "command": {
        const value = vars.commands.get(part.words) ?? "";
        expanded.full += value;
        expanded.masked += `\${cmd:${part.words}}`;
        expanded.hasEmpty ||= value === "";
        break;
      }
    }
  }
  return expanded;
}

/** Both renderings of a list of arguments; an inner list is left out whole when a variable in it is empty. */
export function expandArguments(
  args: readonly Argument[],
  vars: Variables,
  place: Partial<DefinitionPlace> = {},
): { args: string[]; maskedArgs: string[] } {
  const kept = args.flatMap((arg) => {
    if (typeof arg === "string") return [expand(arg, vars, place)];
    const group = arg.map((each) => expand(each, vars, place));
    return group.some((each) => each.hasEmpty) ? [] : group;
  });
  return { args: kept.map((each) => each.full), maskedArgs: kept.map((each) => each.masked) };
}

/** A value with every text in it expanded, at any depth; keys are left alone. */
export function expandJson(value: unknown, vars: Variables, place: Partial<DefinitionPlace> = {}): unknown {
  if (typeof value === "string") return expand(value, vars, place).full;
  if (Array.isArray(value)) return value.map((each) => expandJson(each, vars, place));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, expandJson(each, vars, place)]));
}

/** The environment variables that a start asks for and that are not set: each counts as empty text. */
export function unsetVariables(
  definition: ServerDefinition,
  { tier, env }: { tier: string; env: (name: string) => string | undefined },
): string[] {
  const texts = definition.launch.filter((each) => each.tier === tier).flatMap(({ command, args }) => [
    command,
    ...args,
  ]);
  const all = [...texts, ...definition.args, definition.cwd, ...Object.values(definition.env)];
  // A group of arguments is left out whole: that is how a definition says that it can do without.
  const needed = [
    ...all.filter((each) => typeof each === "string"),
    ...textsIn(definition.envFile),
    ...textsIn(definition.session?.payload),
  ];
  return [...new Set(needed.flatMap(environmentNames))].filter((name) => env(name) === undefined);
}

/** Whether a start, or its end by `stop.command`, asks for this variable. */
export function usesVariable(definition: ServerDefinition, variable: VariableName): boolean {
  const { launch, args, cwd, env, envFile, session, stop } = definition;
  const tiers = launch.map((tier) => [tier.command, tier.args]);
  return textsIn([tiers, args, cwd, env, envFile, session?.payload, stop.command])
    .some((text) => mentions(text, variable));
}

/** Whether anything tells the server which port it is to listen on. */
export function passesPortOn(definition: ServerDefinition, port: number): boolean {
  const ofTier = ({ command, args }: LaunchTier) => [command, ...args.flat()];
  const texts = [
    ...definition.launch.flatMap(ofTier),
    ...definition.args.flat(),
    ...Object.values(definition.env),
    ...textsIn(definition.session?.payload),
  ];
  return texts.some((text) => mentions(text, "port") || text.includes(String(port)));
}

function textsIn(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (Array.isArray(value)) return value.flatMap(textsIn);
  return isObject(value) ? Object.values(value).flatMap(textsIn) : [];
}
