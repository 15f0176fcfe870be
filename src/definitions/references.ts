/**
 * What the texts of a definition refer to.
 *
 * @module
 */
import { isObject } from "../base/json.ts";
import type { LaunchTier, ServerDefinition } from "./definition.ts";
import { environmentNames, mentions } from "./variables.ts";

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
  const needed = [...all.filter((each) => typeof each === "string"), ...textsIn(definition.session?.payload)];
  return [...new Set(needed.flatMap(environmentNames))].filter((name) => env(name) === undefined);
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
