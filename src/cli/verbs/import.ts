import { dirname, join, resolve } from "@std/path";
import { HostError } from "../../host/host.ts";
import { DefinitionError } from "../../definitions/definition_error.ts";
import { userFolders } from "../../base/user_folders.ts";
import { knownPlaces } from "../../clients/import_places.ts";
import { type ImportPlan, type ImportSource, planImport } from "../../clients/import_plan.ts";
import { parseDefinitionText } from "../../definitions/jsonc.ts";
import { type Args, UsageError } from "../args.ts";
import { EXIT } from "../exit_codes.ts";
import type { Context, Verb } from "../verb.ts";

const NEW_FILE_MODE = 0o644;

export const importServers: Verb = {
  name: "import",
  summary: "take over servers from the settings of other MCP programs",
  usage: "[FILE] [--write]",
  details:
    "Reads .mcp.json, claude_desktop_config.json, .cursor/mcp.json, .vscode/mcp.json and Zed's settings.json;\n" +
    "without FILE, those of this folder and of your home. Shows what it would do, and does it with --write: into\n" +
    "foster.jsonc of this folder, or the file that is there already, whose comments stay and whose earlier text is\n" +
    "kept as FILE.bak. Secrets are never copied: a definition then takes them from the environment.",
  options: [{ name: "write", kind: "flag", summary: "change the definition file" }],
  examples: [
    ["import", "shows what would be taken over from the known places"],
    ["import .mcp.json --write", "takes over a project's servers"],
  ],
  async run(context, args) {
    const { host, output } = context;
    const sources = await sourcesOf(context, args);
    const file = await targetOf(context, args);
    const before = await host.files.readText(file);
    const plan = await planImport(sources, { file, text: before, home: userFolders(host).home });
    const writes = args.flag("write") && plan.imported.length > 0;
    const backup = writes && before !== null ? `${file}.bak` : null;
    if (writes) await write(context, { file, backup, text: plan.text });
    if (output.json) {
      output.document({
        file,
        written: writes,
        backup,
        sources: sources.map((source) => source.file),
        imported: plan.imported,
        left_out: plan.leftOut,
      });
    } else show(context, plan, { file, backup, writes });
    return plan.imported.length > 0 || plan.leftOut.length > 0 ? EXIT.done : EXIT.no;
  },
};

/** @throws UsageError where the named file, or any known one, is not there */
async function sourcesOf(context: Context, { names }: Args): Promise<ImportSource[]> {
  const { host, callerFolder, output } = context;
  const [named, more] = names;
  if (more !== undefined) throw new UsageError(`one file at a time: ${names.join(", ")}`);
  if (named !== undefined) {
    const file = resolve(callerFolder, named);
    const text = await host.files.readText(file);
    if (text === null) {
      throw new UsageError(`there is no file ${file}`, "foster import looks in the known places");
    }
    return [{ file, text }];
  }
  const found: ImportSource[] = [];
  const places = knownPlaces(host, callerFolder);
  for (const file of places) {
    try {
      const text = await host.files.readText(file);
      if (text === null) continue;
      parseDefinitionText(text, file);
      found.push({ file, text });
    } catch (error) {
      if (!(error instanceof HostError || error instanceof DefinitionError)) throw error;
      output.talk(`passed over: ${error.message}`);
    }
  }
  if (found.length > 0) return found;
  throw new UsageError(
    `no settings of another MCP program in ${callerFolder} nor in your home`,
    `looked at ${places.join(", ")}; foster import FILE reads any other`,
  );
}

/** The file that `--config` names, the one of the caller's folder, or a new one there. */
async function targetOf({ host, callerFolder }: Context, args: Args): Promise<string> {
  const named = args.text("config");
  if (named !== null) return resolve(callerFolder, named);
  const plain = join(callerFolder, "foster.json");
  return await host.files.stat(plain) === null ? join(callerFolder, "foster.jsonc") : plain;
}

async function write(
  { host }: Context,
  { file, backup, text }: { file: string; backup: string | null; text: string },
): Promise<void> {
  // The file may be a link into a folder of settings: what it leads to is what changes.
  const real = await host.files.realPath(file) ?? file;
  const mode = (await host.files.stat(real))?.mode ?? NEW_FILE_MODE;
  if (backup !== null) await host.files.copy(real, backup);
  await host.files.makeDir(dirname(real), 0o755);
  await host.files.writeAtomic(real, text, mode);
}

function show(
  { output }: Context,
  { imported, leftOut, without, shown }: ImportPlan,
  { file, backup, writes }: { file: string; backup: string | null; writes: boolean },
): void {
  if (imported.length > 0 && !writes) output.raw(shown);
  for (const { name, from, notes } of imported) {
    output.talk(`${name}: from ${from}`);
    for (const note of notes) output.talk(`  ${note}`);
  }
  for (const { name, from, reason } of leftOut) output.talk(`${name}: left out (${from}): ${reason}`);
  for (const each of without) output.talk(`${each} has no servers`);
  if (writes) {
    output.line(file);
    if (backup !== null) output.talk(`its earlier text is in ${backup}`);
    output.talk("foster connect NAME serves a stdio server to a client");
  } else if (imported.length > 0) output.talk(`nothing was written: --write puts this into ${file}`);
  else output.talk("nothing to take over");
}
