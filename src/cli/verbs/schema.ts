import { EXIT } from "../exit_codes.ts";
import type { Verb } from "../verb.ts";

export const schema: Verb = {
  name: "schema",
  summary: "the JSON Schema of definition files",
  usage: "",
  operands: "none",
  options: [],
  examples: [
    ["schema", "prints it"],
    ["schema > foster.schema.json", "keeps it beside a definition file, for its $schema key"],
  ],
  async run({ output }) {
    const { definitionJsonSchema } = await import("../../definitions/schema.ts");
    output.document(definitionJsonSchema());
    return EXIT.done;
  },
};
