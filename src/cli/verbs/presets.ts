import { PRESETS } from "../../definitions/presets.ts";
import { EXIT } from "../exit_codes.ts";
import type { Verb } from "../verb.ts";

export const presets: Verb = {
  name: "presets",
  summary: "the definitions that are always there",
  usage: "",
  operands: "none",
  options: [],
  examples: [
    ["presets", "names and what they are"],
    ["presets --json", "their definitions, to copy from"],
  ],
  run({ output }) {
    const all = [...PRESETS.values()];
    if (output.json) {
      output.document({
        presets: all.map(({ name, summary, written }) => ({ name, summary, definition: written })),
      });
    } else output.table([["NAME", "WHAT"], ...all.map(({ name, summary }) => [name, summary])]);
    return Promise.resolve(EXIT.done);
  },
};
