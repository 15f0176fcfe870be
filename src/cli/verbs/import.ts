import { join, resolve } from "node:path";
import { placesOf } from "../../clients/client.ts";
import { type Gathered, gatherFile, gatherSources } from "../../clients/import/sources.ts";
import { type ImportPlan, planImport } from "../../clients/import/plan.ts";
import { writeDefinitionFile } from "../../clients/import/write.ts";
import { CLIENT_IDS, CLIENTS } from "../../clients/known/mod.ts";
import { readSettings } from "../../clients/settings.ts";
import { namedClient } from "../clients.ts";
import { type Args, UsageError } from "../args.ts";
import { EXIT } from "../exit_codes.ts";
import type { Context, Verb } from "../verb.ts";

export const importServers: Verb = {
  name: "import",
  summary: "take over servers from the settings of other MCP programs",
  usage: "[FILE] [--from CLIENT] [--write]",
  details:
    "Reads the settings of Claude Code, Claude Desktop, Cursor, VS Code, Zed, Codex, Gemini CLI, Windsurf,\n" +
    "opencode, Cline, Continue, Goose and Copilot CLI: those of this folder and of your home, without FILE.\n" +
    "Shows what it would do, and does it with --write: into foster.jsonc of this folder, or the file that is there\n" +
    "already, whose comments stay and whose earlier text is kept as FILE.bak. Secrets are never copied: a definition\n" +
    "then takes them from the environment. foster attach --import does the same and changes the clients too.",
  options: [
    {
      name: "from",
      kind: "text",
      value: "CLIENT",
      values: CLIENT_IDS,
      summary: "this client's settings alone",
    },
    { name: "write", kind: "flag", summary: "change the definition file" },
  ],
  examples: [
    ["import", "shows what would be taken over from all clients"],
    ["import .mcp.json --write", "takes over a project's servers"],
  ],
  async run(context, args) {
    const { host, output } = context;
    const gathered = await gather(context, args);
    const file = await targetOf(context, args);
    const before = await readSettings(host, file);
    const plan = planImport(gathered.sources, { file, text: before?.text ?? null });
    const writes = args.flag("write") && plan.imported.length > 0;
    const backup = writes ? await writeDefinitionFile(host, file, { text: plan.text, before }) : null;
    if (output.json) {
      output.document({
        file,
        written: writes,
        backup,
        sources: [...new Set(gathered.sources.map((source) => source.file))],
        imported: plan.imported,
        left_out: plan.leftOut,
      });
    } else show(context, { plan, gathered, file, backup, writes });
    return plan.imported.length > 0 || plan.leftOut.length > 0 ? EXIT.done : EXIT.no;
  },
};

/** @throws UsageError where the named file, or any known one, is not there */
async function gather(context: Context, args: Args): Promise<Gathered> {
  const { host, callerFolder, output } = context;
  const [named, more] = args.names;
  if (more !== undefined) throw new UsageError(`one file at a time: ${args.names.join(", ")}`);
  const from = args.text("from");
  const client = from === null ? null : namedClient(from);
  const places = await placesOf(host, callerFolder);
  if (places === null) throw new UsageError("nothing says where your home is: HOME is not set");
  if (named !== undefined) {
    const file = resolve(callerFolder, named);
    const found = await gatherFile(host, file, { places, client });
    if (found === null) {
      throw new UsageError(`there is no file ${file}`, "foster import looks in the known places");
    }
    return found;
  }
  const found = await gatherSources(host, places, client === null ? CLIENTS : [client]);
  for (const message of found.unreadable) output.talk(`passed over: ${message}`);
  if (found.sources.length + found.without.length > 0) return found;
  throw new UsageError(
    `no settings of ${client?.title ?? "another MCP program"} in ${callerFolder} nor in your home`,
    `it knows ${CLIENT_IDS.join(", ")}; foster import FILE reads any other`,
  );
}

/** The file that `--config` names, the one of the caller's folder, or a new one there. */
async function targetOf({ host, callerFolder }: Context, args: Args): Promise<string> {
  const named = args.text("config");
  if (named !== null) return resolve(callerFolder, named);
  const plain = join(callerFolder, "foster.json");
  return await host.files.stat(plain) === null ? join(callerFolder, "foster.jsonc") : plain;
}

interface Shown {
  plan: ImportPlan;
  gathered: Gathered;
  file: string;
  backup: string | null;
  writes: boolean;
}

function show({ output }: Context, { plan, gathered, file, backup, writes }: Shown): void {
  const { imported, leftOut, shown } = plan;
  if (imported.length > 0 && !writes) output.raw(shown);
  for (const { name, from, notes } of imported) {
    output.talk(`${name}: from ${from}`);
    for (const note of notes) output.talk(`  ${note}`);
  }
  for (const { name, from, reason } of leftOut) output.talk(`${name}: left out (${from}): ${reason}`);
  for (const each of gathered.without) output.talk(`${each} has no servers`);
  if (imported.some(({ notes }) => notes.some((note) => note.includes("was not copied")))) {
    output.talk(
      'a secret may also come from a program, "${cmd:pass show NAME}", or from a file, "envFile": ".env"',
    );
  }
  if (writes) {
    output.line(file);
    if (backup !== null) output.talk(`its earlier text is in ${backup}`);
    output.talk(
      "foster attach makes your clients use them; foster connect NAME serves one of them to a client",
    );
  } else if (imported.length > 0) output.talk(`nothing was written: --write puts this into ${file}`);
  else output.talk("nothing to take over");
}
