import { basename, dirname, join, resolve } from "node:path";
import { HostError } from "../../host/host.ts";
import { UsageError } from "../args.ts";
import { EXIT } from "../exit_codes.ts";
import type { Verb } from "../verb.ts";

export const init: Verb = {
  name: "init",
  summary: "write a commented definition file, and the schema beside it",
  usage: "[--config FILE]",
  details: "In this folder, or the file that --config names. Asks nothing, and never overwrites a file.",
  operands: "none",
  options: [],
  examples: [
    ["init", "foster.jsonc and foster.schema.json in this folder"],
    ["init --json", "the same, with the paths as JSON"],
  ],
  async run({ host, output, callerFolder }, args) {
    const { FILE_NAMES } = await import("../../definitions/load.ts");
    const { definitionJsonSchema } = await import("../../definitions/schema.ts");
    const named = args.text("config");
    const file = resolve(callerFolder, named ?? "foster.jsonc");
    const folder = dirname(file);
    const schemaFile = join(folder, "foster.schema.json");
    // Of two files of the usual names in one folder only one would be read.
    const others = FILE_NAMES.includes(basename(file))
      ? FILE_NAMES.map((name) => join(folder, name))
      : [file];
    for (const path of others) {
      if (await host.files.stat(path) !== null) throw new UsageError(`${path} is there already`);
    }
    await host.files.makeDir(folder, 0o755);
    try {
      await host.files.writeNew(schemaFile, JSON.stringify(definitionJsonSchema(), null, 2) + "\n", 0o644);
    } catch (error) {
      if (!(error instanceof HostError && error.code === "exists")) throw error;
    }
    await host.files.writeNew(file, TEMPLATE, 0o644);
    if (output.json) output.document({ file, schema: schemaFile });
    else {
      output.line(file);
      output.indented("foster up starts what it defines; foster presets lists what can be extended");
    }
    return EXIT.done;
  },
};

const TEMPLATE = `{
  "$schema": "./foster.schema.json",
  "servers": {
    // A built-in definition under a name of your own: foster presets lists them.
    "example": {
      "extends": "demo"
    }
    // A server from npm, on a port that foster chooses once and keeps:
    // "docs": {
    //   "command": "npx",
    //   "args": ["-y", "@modelcontextprotocol/server-everything", "streamableHttp"],
    //   "env": { "PORT": "\${port}" },
    //   "port": "auto",
    //   "requiredTools": ["echo"]
    // }
  }
}
`;
