/**
 * Takes the values that came from the environment out of a text about a start.
 *
 * @module
 */
import type { Host } from "../../host/host.ts";
import type { ResolvedCommand } from "./command.ts";

/** Shorter ones stand in any text by chance. */
const MIN_LENGTH = 4;

const REFERENCE = /\$\{(?:env|cmd):[^{}]*\}/g;

/** A function that puts the name of a variable in place of its value, wherever a tool says it. */
export function valueHider(
  { env }: Pick<Host, "env">,
  command: Pick<ResolvedCommand, "env" | "envNames" | "args" | "maskedArgs" | "maskedCommand" | "maskedCwd">,
): (text: string) => string {
  const hidden = new Map<string, string>();
  const hide = (value: string | undefined, shown: string) => {
    if (value !== undefined && value.length >= MIN_LENGTH) hidden.set(value, shown);
  };
  for (const name of command.envNames) hide(command.env[name], `\${${name}}`);
  for (const masked of [command.maskedCommand, command.maskedCwd, ...command.maskedArgs]) {
    for (const [reference, name = ""] of masked.matchAll(/\$\{env:(\w+)[^}]*\}/g)) {
      hide(env.get(name), reference);
    }
  }
  command.args.forEach((arg, index) => {
    const masked = command.maskedArgs[index];
    if (masked === undefined || masked === arg) return;
    hide(arg, masked);
    // What a program printed is known by its place only.
    const references = masked.match(REFERENCE) ?? [];
    const literals = masked.split(REFERENCE).map((part) => part.replace(/\W/g, "\\$&"));
    const values = new RegExp(`^${literals.join("([^]*?)")}$`).exec(arg)?.slice(1) ?? [];
    references.forEach((reference, at) => hide(values[at], reference));
  });
  const longestFirst = [...hidden].sort(([a], [b]) => b.length - a.length);
  return (text) => longestFirst.reduce((said, [value, shown]) => said.replaceAll(value, () => shown), text);
}
