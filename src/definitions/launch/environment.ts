/**
 * The environment of a server: what the caller has, and on top of it what the definition and the start add.
 *
 * @module
 */
import { join, resolve } from "node:path";
import { upward } from "../../base/upward.ts";
import { type Host, type System, withinReach } from "../../host/host.ts";
import type { ServerDefinition } from "../definition.ts";
import { placeOf } from "./command_line.ts";
import { expand, type Variables } from "../variables.ts";

/** The variable that carries the instance token. */
export const TOKEN_VARIABLE = "FOSTER_TOKEN";

/** A checkout to run a Python server from. */
export interface DevSource {
  /** The folder that belongs on PYTHONPATH. */
  root: string;
  /** Entries of the inherited PYTHONPATH that have the same package. */
  replaced: readonly string[];
}

export interface ChildEnvironmentOptions {
  /** The caller's environment, proxy settings in their original form. Left as it is. */
  inherited: Readonly<Record<string, string>>;
  definition: ServerDefinition;
  vars: Variables;
  instanceToken: string;
  system: System;
  /** Told to the child where the definition has an `ownerEnv` (not on Windows); null where nobody owns it. */
  ownerPid: number | null;
  /** Null for none, and for the retry after a failed start. */
  devSource: DevSource | null;
  /** A folder to put in front of PATH, where the command was found off it: npx wants its own node. */
  extraPath: string | null;
  /** What the definition's `envFile` says. */
  envFile: Readonly<Record<string, string>>;
}

/** The whole environment of the child: later additions win, the instance token last. */
export function childEnvironment(options: ChildEnvironmentOptions): Record<string, string> {
  const { inherited, definition, vars, instanceToken, system, ownerPid, devSource, extraPath, envFile } =
    options;
  const child = new EnvironmentBlock(inherited, system);
  child.delete(TOKEN_VARIABLE);
  if (extraPath !== null) {
    child.set("PATH", [extraPath, child.get("PATH")].filter(Boolean).join(separatorOf(system)));
  }
  if (definition.session !== null && vars.values.sessionFile !== "") {
    child.set(definition.session.env, vars.values.sessionFile);
  }
  if (definition.devSource !== null && devSource !== null) {
    const { mode } = definition.devSource;
    child.set("PYTHONPATH", pythonPath(child.get("PYTHONPATH"), { ...devSource, mode, system }));
  }
  for (const [name, value] of Object.entries(envFile)) child.set(name, value);
  for (const [name, text] of Object.entries(definition.env)) {
    child.set(name, expand(text, vars, { ...placeOf(definition), key: `env.${name}` }).full);
  }
  const { telemetry, ownerEnv } = definition;
  if (telemetry?.disable && !telemetry.env.some((name) => isTruthy(child.get(name)))) {
    const [first] = telemetry.env;
    if (first !== undefined) child.set(first, "true");
  }
  if (ownerEnv !== null && ownerPid !== null && system !== "windows") child.set(ownerEnv, String(ownerPid));
  child.set(TOKEN_VARIABLE, instanceToken);
  return child.all();
}

const TRUTHY = ["1", "true", "yes", "on"];

/** Exactly `1`, `true`, `yes` and `on`, in any case and with blanks around. */
export function isTruthy(text: string | undefined): boolean {
  return text !== undefined && TRUTHY.includes(text.trim().toLowerCase());
}

/** PYTHONPATH with the checkout's root: before all else, or in place of the entries that have the same package. */
export function pythonPath(
  inherited: string | undefined,
  { root, replaced, mode, system }: DevSource & { mode: "prefix" | "replace"; system: System },
): string {
  const separator = separatorOf(system);
  if (mode === "prefix") return inherited ? root + separator + inherited : root;
  const entries = (inherited ?? "").split(separator)
    .filter((entry) => entry.trim() !== "")
    .map((entry) => replaced.includes(entry) ? root : entry);
  const all = entries.includes(root) ? entries : [root, ...entries];
  return [...new Set(all)].join(separator);
}

function separatorOf(system: System): string {
  return system === "windows" ? ";" : ":";
}

/** Names of variables do not differ by case on Windows: `Path` and `PATH` are one. */
class EnvironmentBlock {
  readonly #entries: Map<string, string>;
  readonly #system: System;

  constructor(inherited: Readonly<Record<string, string>>, system: System) {
    this.#entries = new Map(Object.entries(inherited));
    this.#system = system;
  }

  get(name: string): string | undefined {
    return this.#entries.get(this.#spelling(name));
  }

  set(name: string, value: string): void {
    this.#entries.set(this.#spelling(name), value);
  }

  delete(name: string): void {
    this.#entries.delete(this.#spelling(name));
  }

  all(): Record<string, string> {
    return Object.fromEntries(this.#entries);
  }

  #spelling(name: string): string {
    if (this.#system !== "windows") return name;
    const folded = name.toUpperCase();
    for (const known of this.#entries.keys()) if (known.toUpperCase() === folded) return known;
    return name;
  }
}

type SourceHost = Pick<Host, "files" | "env" | "system">;

/** How many folders above the definition's may hold the checkout. */
const LEVELS_UP = 5;

/**
 * Looks for the checkout that `devSource` names, from the definition's folder upward, and for the entries of the
 * inherited PYTHONPATH that have the package too. Null where the definition has none or the checkout is not there.
 */
export async function findDevSource(
  host: SourceHost,
  definition: Pick<ServerDefinition, "devSource" | "baseFolder">,
): Promise<DevSource | null> {
  if (definition.devSource === null) return null;
  const steps = definition.devSource.marker.split("/").filter((step) => step !== "");
  // The package's own folder and the file in it: `pkg/__init__.py`.
  const inPackage = steps.slice(-2).join("/");
  for (const folder of upward(definition.baseFolder).slice(0, LEVELS_UP + 1)) {
    if (await exists(host, join(folder, ...steps))) {
      return {
        root: join(folder, ...steps.slice(0, -2)),
        replaced: await holders(host, { definition, inPackage }),
      };
    }
  }
  return null;
}

async function holders(
  host: SourceHost,
  { definition, inPackage }: { definition: Pick<ServerDefinition, "baseFolder">; inPackage: string },
): Promise<string[]> {
  const entries = (host.env.get("PYTHONPATH") ?? "").split(host.system === "windows" ? ";" : ":");
  const found: string[] = [];
  for (const entry of entries) {
    if (entry.trim() !== "" && await exists(host, resolve(definition.baseFolder, entry, inPackage))) {
      found.push(entry);
    }
  }
  return found;
}

async function exists({ files }: Pick<Host, "files">, path: string): Promise<boolean> {
  return await withinReach(files.realPath(path), null) !== null;
}
