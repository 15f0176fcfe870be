/**
 * The help, made from the verbs themselves.
 *
 * @module
 */
import { GLOBAL_OPTIONS, type OptionSpec } from "./args.ts";
import type { Verb } from "./verb.ts";
import { VERBS } from "./verbs.ts";

export async function overview(): Promise<string> {
  const lines = [
    "foster owns the life of local MCP servers.",
    "",
    "Usage: foster VERB [NAME…] [OPTIONS]",
    "",
  ];
  const names = Object.keys(VERBS);
  const width = Math.max(...names.map((name) => name.length));
  for (const load of Object.values(VERBS)) {
    const verb = await load();
    lines.push(`  ${verb.name.padEnd(width)}  ${verb.summary}`);
  }
  lines.push("", "Everywhere:", ...optionLines(GLOBAL_OPTIONS));
  lines.push("", "foster VERB --help says more about a verb. foster --version prints the version.", "");
  return lines.join("\n");
}

export function verbHelp(verb: Verb): string {
  const lines = [`${verb.summary[0]?.toUpperCase()}${verb.summary.slice(1)}.`, ""];
  lines.push(`Usage: foster ${[verb.name, verb.usage].filter((part) => part !== "").join(" ")}`);
  if (verb.details !== undefined) lines.push("", verb.details);
  if (verb.options.length > 0) lines.push("", "Options:", ...optionLines(verb.options));
  lines.push("", "Everywhere:", ...optionLines(GLOBAL_OPTIONS), "", "Examples:");
  for (const [command, what] of verb.examples) lines.push(`  foster ${command}`, `      ${what}`);
  return lines.join("\n") + "\n";
}

function optionLines(options: readonly OptionSpec[]): string[] {
  const left = options.map((option) => {
    const alias = option.alias === undefined ? "" : `-${option.alias}, `;
    return `${alias}--${option.name}${option.value === undefined ? "" : ` ${option.value}`}`;
  });
  const width = Math.max(...left.map((text) => text.length));
  return options.map((option, index) => `  ${(left[index] ?? "").padEnd(width)}  ${option.summary}`);
}
