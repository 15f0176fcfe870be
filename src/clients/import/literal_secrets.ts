import type { ServerDefinition } from "../../definitions/definition.ts";
import { findSecrets } from "./secrets.ts";

const REFERENCE = /\$\{[^{}]*\}/g;

/** The keys of a definition under which a secret stands in clear text. */
export function literalSecrets({ args, env, headers }: ServerDefinition): string[] {
  const words = args.flat();
  const named: [key: string, name: string | null, value: string][] = [
    ...Object.entries(env).map(([name, value]): [string, string, string] => [`env.${name}`, name, value]),
    ...Object.entries(headers).map((
      [name, value],
    ): [string, string, string] => [`headers.${name}`, name, value]),
    ...words.map((word, index): [string, string | null, string] => {
      const flag = /^--?([A-Za-z][\w.-]*)$/.exec(words[index - 1] ?? "")?.[1] ?? null;
      return [`args.${index}`, word.startsWith("-") ? null : flag, word];
    }),
  ];
  return named.filter(([, name, value]) =>
    findSecrets(value, { name, references: REFERENCE }).parts.length > 0
  )
    .map(([key]) => key);
}
