import { ShellHint } from "../../base/shell_hint.ts";
import { cleanUp } from "../../doctor/cleanup.ts";
import { examine } from "../../doctor/examine.ts";
import { type Finding, inOrder, needsAttention, type Section, SECTIONS } from "../../doctor/findings.ts";
import type { KeptCheck } from "../../clients/attach/repair.ts";
import type { Stale } from "../../doctor/judgement.ts";
import type { ProcessRow } from "../../doctor/rows.ts";
import { allFields, childLines, foldLookalikes, processTable } from "../../doctor/view.ts";
import { DefinitionError } from "../../definitions/definition_error.ts";
import { statePaths } from "../../registry/paths.ts";
import { type Args, UsageError } from "../args.ts";
import { EXIT } from "../exit_codes.ts";
import type { Tone } from "../output.ts";
import type { Context, Verb } from "../verb.ts";

export const doctor: Verb = {
  name: "doctor",
  summary: "what is wrong with records, processes, ports and caches, and what to type",
  usage: `[${SECTIONS.join("|")}] [--cleanup-stale-records]`,
  details:
    "Reads only and ends nothing. Without a section all of them. Exit code 1 when anything is worth a warning.\n" +
    "--cleanup-stale-records lists first, then removes the records of processes that are gone: nothing else.\n" +
    "--verbose shows every field of the processes, and every process that merely looks like a server.",
  options: [{
    name: "cleanup-stale-records",
    kind: "flag",
    summary: "remove records and leases whose process is gone",
  }],
  examples: [
    ["doctor", "everything, each finding with what to type"],
    ["doctor processes --cleanup-stale-records", "removes what dead processes left in the state folder"],
  ],
  async run(context, args) {
    const sections = sectionsOf(args);
    const shell = new ShellHint({
      windows: context.host.system === "windows",
      stateDir: args.text("state-dir"),
      config: args.text("config"),
    });
    const progress = (text: string) => context.output.progress(text);
    const found = await examine(context, { sections, shell, progress });
    const silent = sections.includes("processes") ? await silentSupervisor(context) : [];
    const clients = sections.includes("tools") ? await unfitEntries(context, shell) : [];
    const secrets = sections.includes("tools") ? await secretsInClear(context) : [];
    const findings = inOrder([...found.findings, ...silent, ...clients, ...secrets]);
    print(context, { findings, rows: found.rows, shell });
    if (!args.flag("cleanup-stale-records")) return needsAttention(findings) ? EXIT.no : EXIT.done;
    const allRemoved = await removeStale(context, found.stale);
    const left = findings.filter(({ code }) => !allRemoved || !CLEANED.includes(code));
    return needsAttention(left) ? EXIT.no : EXIT.done;
  },
};

const UNFIT = {
  stale: "starts foster in another way than it would be written now",
  vanished: "is for a server that is no longer defined",
  gone: "is gone: its program wrote the file anew",
} as const;

/** What attach wrote into clients' settings and does not fit any more. */
async function unfitEntries(context: Context, shell: ShellHint): Promise<Finding[]> {
  const { host, state } = context;
  if (await host.files.stat(statePaths(state.path).attached) === null) return [];
  const { checkAttached } = await import("../attached.ts");
  const checks = await checkAttached(context);
  const unfit = checks.flatMap(({ kept, entry, client, kind }): Finding[] => {
    if (kind === "fits" || kind === "changed") return [];
    return [{
      level: "warn",
      section: "tools",
      code: `client_entry_${kind}`,
      message: `${client.title}: the entry "${entry.name}" of ${kept.path} ${UNFIT[kind]}`,
      fix: kind === "gone" ? shell.foster("attach", client.id) : shell.foster("attach", "--repair"),
    }];
  });
  return [...unfit, ...await overruledEntries(context, checks)];
}

/** Entries of attach's that a project's own file makes useless in this folder. */
async function overruledEntries(context: Context, checks: readonly KeptCheck[]): Promise<Finding[]> {
  const { placesOf } = await import("../../clients/client.ts");
  const { describeWinner, winnerHint, winningEntries } = await import("../../clients/attach/precedence.ts");
  const { clientOf } = await import("../../clients/known/mod.ts");
  const places = await placesOf(context.host, context.callerFolder);
  if (places === null) return [];
  const useful = checks.filter(({ kind }) => kind !== "gone" && kind !== "vanished");
  const groups = Map.groupBy(
    useful.flatMap(({ kept: { path }, entry: { name, at, clients } }) =>
      clients.map((id) => ({ id, path, at, name }))
    ),
    ({ id, path, at }) => JSON.stringify([id, path, at]),
  );
  const findings: Finding[] = [];
  for (const entries of groups.values()) {
    const [file] = entries;
    const client = file === undefined ? null : clientOf(file.id);
    if (file === undefined || client === null) continue;
    const names = entries.map(({ name }) => name);
    for (const winner of await winningEntries(context.host, { client, places, file, names })) {
      findings.push({
        level: winner.isPending ? "info" : "warn",
        section: "tools",
        code: "client_entry_overruled",
        message: `${client.title}: "${winner.name}": ${describeWinner(client, winner)} (${file.path})`,
        fix: winnerHint(client),
      });
    }
  }
  return findings;
}

/** Secrets in the text of foster's own definition file; a broken file is another finding. */
async function secretsInClear(context: Context): Promise<Finding[]> {
  const definitions = await context.definitions().catch((error: unknown) => {
    if (!(error instanceof DefinitionError)) throw error;
    return null;
  });
  if (definitions === null || definitions.isMcpJson || definitions.inFile.length === 0) return [];
  const { literalSecrets } = await import("../../clients/import/literal_secrets.ts");
  return definitions.inFile.flatMap((definition) =>
    literalSecrets(definition).map((key): Finding => ({
      level: "warn",
      section: "tools",
      code: "literal_secret",
      message: `${definitions.file}: "${key}" of "${definition.name}" holds a secret: ` +
        'write "${env:NAME}" or "${cmd:PROGRAM}" in its place, or name an "envFile"',
      fix: "",
    }))
  );
}

/** One that is there and gives no answer keeps nothing up. */
async function silentSupervisor({ host, state }: Context): Promise<Finding[]> {
  if (await host.files.stat(statePaths(state.path).supervisor) === null) return [];
  const { findSupervisor } = await import("../../supervisor/control_client.ts");
  const found = await findSupervisor(host, state.path);
  if (found.kind !== "silent") return [];
  const { pid } = found.record;
  return [{
    level: "error",
    section: "processes",
    code: "supervisor_silent",
    message: `the supervisor (pid ${pid}) does not answer: ${found.why}`,
    fix: `kill -KILL ${pid}; its servers stay, and the next foster up takes them up again`,
  }];
}

/** The findings that are no more once all that is stale was removed. */
const CLEANED = ["stale_record", "unfinished_start", "dead_lease"];

function sectionsOf(args: Args): readonly Section[] {
  const [name, more] = args.names;
  const cleanup = args.flag("cleanup-stale-records");
  if (name === undefined) return SECTIONS;
  const section = SECTIONS.find((each) => each === name);
  if (section === undefined || more !== undefined) {
    throw new UsageError(
      `${args.names.join(" ")} is no section of doctor`,
      `they are: ${SECTIONS.join(", ")}`,
    );
  }
  if (cleanup && section !== "processes") {
    throw new UsageError(`--cleanup-stale-records is about processes, not ${section}`);
  }
  return [section];
}

/** Whether all that was stale is removed. */
async function removeStale(
  { host, state, signal, output }: Context,
  stale: readonly Stale[],
): Promise<boolean> {
  let all = true;
  for await (const { removed, message } of cleanUp(host, { state, stale, signal })) {
    all &&= removed;
    output.problem(message);
  }
  return all;
}

const TONE: Record<Finding["level"], Tone> = { info: "dim", warn: "warn", error: "bad" };

function print(
  { output, host }: Pick<Context, "output" | "host">,
  { findings, rows, shell }: { findings: readonly Finding[]; rows: readonly ProcessRow[]; shell: ShellHint },
): void {
  if (output.json) {
    output.document({ findings, processes: rows });
    return;
  }
  const { verbose } = output.options;
  if (rows.length > 0) {
    output.table(verbose ? allFields(rows) : processTable(rows, host.clock.now()));
    if (verbose) childLines(rows).forEach((line) => output.line(line));
    output.line();
  }
  if (findings.length === 0) output.line("nothing to find fault with");
  for (const { level, section, message, fix } of verbose ? findings : foldLookalikes(findings, shell)) {
    output.line(`${output.paint(level.padEnd(5), TONE[level])}  ${section}  ${message}`);
    if (fix !== "") output.line(`       ${fix}`);
  }
}
