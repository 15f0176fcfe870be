/**
 * From a launch tier to a command line.
 *
 * @module
 */
import { resolve } from "@std/path";
import type { LaunchTier, ServerDefinition } from "../definition.ts";
import type { DefinitionPlace } from "../definition_error.ts";
import { expand, expandArguments, expandJson, type Variables } from "../variables.ts";

export interface LaunchOptions {
  definition: ServerDefinition;
  vars: Variables;
  /** Whether `refreshArgs` come first: for the one retry after a failed start. */
  refresh?: boolean;
}

export interface ExpandedLaunch {
  /** As in the definition, expanded, not yet looked up. */
  command: string;
  /** `command` with `${env:NAME}` as it is written. */
  maskedCommand: string;
  args: string[];
  /** `args` with `${env:NAME}` as it is written, for records and messages. */
  maskedArgs: string[];
}

/** The command line of a tier: refresh arguments, the tier's own, then those that all tiers share. */
export function expandLaunch(tier: LaunchTier, options: LaunchOptions): ExpandedLaunch {
  const { definition, vars, refresh = false } = options;
  const place = placeOf(definition);
  const all = [...(refresh ? definition.refreshArgs ?? [] : []), ...tier.args, ...definition.args];
  const command = expand(tier.command, vars, { ...place, key: "command" });
  return {
    command: command.full,
    maskedCommand: command.masked,
    ...expandArguments(all, vars, { ...place, key: "args" }),
  };
}

/** The child's working folder, absolute. */
export function expandCwd(definition: ServerDefinition, vars: Variables): string {
  const { full } = expand(definition.cwd, vars, { ...placeOf(definition), key: "cwd" });
  return resolve(definition.baseFolder, full);
}

/** What the session file holds, null for a server without one. */
export function expandPayload(definition: ServerDefinition, vars: Variables): unknown {
  if (definition.session === null) return null;
  return expandJson(definition.session.payload, vars, { ...placeOf(definition), key: "session.payload" });
}

/** Where messages about this definition point to. */
export function placeOf({ name, source }: ServerDefinition): Pick<DefinitionPlace, "file" | "server"> {
  return { file: source.kind === "file" ? source.file : null, server: name };
}

export type LaunchMode = "auto" | "dev" | "user";

/**
 * Which tiers the user wants, from the definition's own `env`, else from the caller's environment: `dev` or `user` in
 * any case, anything else is `auto`.
 */
export function launchMode(definition: ServerDefinition, vars: Variables): LaunchMode {
  const { modeEnv, env } = definition;
  if (modeEnv === null) return "auto";
  const own = env[modeEnv];
  const text = own === undefined ? vars.env(modeEnv) ?? "" : expand(own, vars, placeOf(definition)).full;
  const mode = text.trim().toLowerCase();
  return mode === "dev" || mode === "user" ? mode : "auto";
}

const CHECKOUT_TIER = "dev_venv";

/** The tiers in the order of trying: `user` leaves the checkout out, `dev` puts it first. */
export function orderTiers(tiers: readonly LaunchTier[], mode: LaunchMode): LaunchTier[] {
  const others = tiers.filter(({ tier }) => tier !== CHECKOUT_TIER);
  switch (mode) {
    case "auto":
      return [...tiers];
    case "user":
      return others;
    case "dev":
      return [...tiers.filter(({ tier }) => tier === CHECKOUT_TIER), ...others];
  }
}
