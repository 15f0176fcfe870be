import { UsageError } from "../args.ts";
import { serverNames } from "../completions/candidates.ts";
import { type Shell, SHELLS, SHIMS } from "../completions/shims.ts";
import { EXIT } from "../exit_codes.ts";
import type { Verb } from "../verb.ts";

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
      const names = await serverNames(context);
      if (output.json) output.document({ names });
      else output.raw(names.map((name) => name + "\n").join(""));
      return EXIT.done;
    }
    const shell = shellOf(args.names);
    if (output.json) output.document({ shell, script: SHIMS[shell] });
    else output.raw(SHIMS[shell]);
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
