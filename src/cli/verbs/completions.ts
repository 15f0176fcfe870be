import { UsageError } from "../args.ts";
import { type Shell, SHELLS } from "../completions/table.ts";
import { EXIT } from "../exit_codes.ts";
import type { Context, Verb } from "../verb.ts";

export const completions: Verb = {
  name: "completions",
  summary: "print what a shell needs to complete verbs, options and servers",
  usage: SHELLS.join("|"),
  details: "bash:        source <(foster completions bash)\n" +
    "zsh:         foster completions zsh > _foster, in a folder of $fpath\n" +
    "fish:        foster completions fish > ~/.config/fish/completions/foster.fish\n" +
    "powershell:  foster completions powershell | Out-String | Invoke-Expression",
  options: [{ name: "names", kind: "flag", summary: "print the servers' names instead, one a line" }],
  examples: [
    ["completions bash", "the script for bash"],
    ["completions --names", "every name that can be given to a verb"],
  ],
  async run(context, args) {
    const { output } = context;
    if (args.flag("names")) {
      const names = await namesOf(context);
      if (output.json) output.document({ names });
      else output.raw(names.map((name) => name + "\n").join(""));
      return EXIT.done;
    }
    const shell = shellOf(args.names);
    const { completionScript, completionTable } = await import("../completions/table.ts");
    const { VERBS } = await import("../verbs.ts");
    const verbs = await Promise.all(Object.values(VERBS).map((load) => load()));
    const script = completionScript(shell, completionTable(verbs));
    if (output.json) output.document({ shell, script });
    else output.raw(script);
    return EXIT.done;
  },
};

/** @throws UsageError */
function shellOf(names: readonly string[]): Shell {
  const [name, more] = names;
  const shell = SHELLS.find((each) => each === (name === "pwsh" ? "powershell" : name));
  if (shell !== undefined && more === undefined) return shell;
  const what = name === undefined ? "which shell?" : `${names.join(" ")} is no shell that foster knows`;
  throw new UsageError(what, `foster completions ${SHELLS.join("|")}`);
}

/** A broken definition file must not spoil the command line: its servers are then missing, and those with a record stay. */
async function namesOf({ definitions, state }: Context): Promise<string[]> {
  const defined = await definitions().then((found) => found.names(), () => []);
  const records = await state.records();
  const recorded = records.map(({ key, stored }) => stored.kind === "record" ? stored.record.name : key);
  return [...new Set([...defined, ...recorded])];
}
