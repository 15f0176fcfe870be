import { basename, join, resolve } from "node:path";
import { userFolders } from "../../base/user_folders.ts";
import { type Candidate, type Expected, expectedWord, serverNames } from "../completions/candidates.ts";
import { EXIT } from "../exit_codes.ts";
import type { Context, Verb } from "../verb.ts";

export const complete: Verb = {
  name: "complete",
  summary: "print what may stand in the place of the last of these words, one candidate a line",
  usage: "-- WORDS…",
  details: "For shells: foster completions prints what makes them ask.",
  operands: "command",
  options: [
    { name: "describe", kind: "flag", summary: "a tab and what it is behind each" },
    { name: "next", kind: "flag", summary: "the next word: the same as an empty one at the end" },
  ],
  examples: [["complete -- up de", "demo, and what else begins so"]],
  async run(context, args) {
    const describe = args.flag("describe");
    const words = args.flag("next") ? [...args.rest, ""] : args.rest;
    const line = { before: words.slice(0, -1), current: words.at(-1) ?? "" };
    const expected = await expectedWord(line, { verbs: context.verbs, describe });
    const candidates = await candidatesOf(context, expected, line.current);
    if (context.output.json) context.output.document({ candidates });
    else context.output.raw(candidates.map((each) => lineOf(each, describe) + "\n").join(""));
    return EXIT.done;
  },
};

function lineOf({ text, summary }: Candidate, describe: boolean): string {
  return describe && summary !== "" ? `${text}\t${summary}` : text;
}

async function candidatesOf(
  context: Context,
  { candidates, servers, paths, prefix }: Expected,
  current: string,
): Promise<Candidate[]> {
  const typed = current.slice(prefix.length);
  const names = servers ? await serverNames(context) : [];
  const found = paths === "none" ? [] : await pathsFrom(context, typed, paths);
  const all = [...candidates, ...[...names, ...found].map((text) => ({ text, summary: "" }))];
  // A line end in a name would make two candidates of it.
  return all.filter(({ text }) => text.startsWith(typed) && !/[\r\n]/.test(text))
    .map(({ text, summary }) => ({ text: prefix + text, summary }));
}

/** Files and folders that begin as typed, folders with a slash; hidden ones only where a dot was typed. */
async function pathsFrom(
  { host, callerFolder }: Context,
  typed: string,
  wanted: "files" | "folders",
): Promise<string[]> {
  const begun = typed.endsWith("/") ? "" : basename(typed);
  const folder = typed.slice(0, typed.length - begun.length);
  const { home } = userFolders(host);
  const real = folder.startsWith("~/") && home !== null
    ? join(home, folder.slice(2))
    : resolve(callerFolder, folder);
  const entries = await host.files.list(real).catch(() => null) ?? [];
  const shown = entries.filter(({ name }) =>
    name.startsWith(begun) && name.startsWith(".") === begun.startsWith(".")
  );
  const listed = await Promise.all(shown.map(async ({ name, kind }) => {
    const isFolder = kind === "directory" ||
      (kind === "link" && await host.files.list(join(real, name)) !== null);
    return isFolder ? `${folder}${name}/` : wanted === "files" ? folder + name : null;
  }));
  return listed.filter((path) => path !== null).sort();
}
