import { basename, join, resolve } from "node:path";
import { changeFile, type FileResult, type FileWork, planFile } from "../../clients/attach/file.ts";
import { listKept, placedEntries } from "../../clients/attach/kept.ts";
import {
  describeWinner,
  winnerHint,
  winningEntries,
  type WinningEntry,
} from "../../clients/attach/precedence.ts";
import { repairKept } from "../../clients/attach/repair.ts";
import { clientsHere, worksFor } from "../../clients/attach/targets.ts";
import { type Client, type Places, placesOf } from "../../clients/client.ts";
import { type ImportPlan, planImport } from "../../clients/import/plan.ts";
import { gatherSources } from "../../clients/import/sources.ts";
import { writeDefinitionFile } from "../../clients/import/write.ts";
import { CLIENT_IDS } from "../../clients/known/mod.ts";
import { readSettings, type SettingsText } from "../../clients/settings.ts";
import { isObject } from "../../base/json.ts";
import { printable } from "../../base/printable.ts";
import { startOnce } from "../../clients/attach/first_start.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import { userConfigFolder } from "../../definitions/load.ts";
import { readDefinitions } from "../../definitions/read_text.ts";
import { environmentOverrides } from "../../definitions/normalise.ts";
import { HostError } from "../../host/host.ts";
import { type Args, UsageError } from "../args.ts";
import {
  checkAttached,
  connectCommand,
  findIn,
  gatewayOf,
  hasService,
  ownCommand,
  warnOfPath,
} from "../attached.ts";
import { bringIn } from "../brought_in.ts";
import { namedClient } from "../clients.ts";
import { confirmed } from "../confirm.ts";
import { EXIT, type ExitCode } from "../exit_codes.ts";
import { findDefinition, ownOrConnected } from "../targets.ts";
import type { Context, Verb } from "../verb.ts";

export const attach: Verb = {
  name: "attach",
  summary: "make MCP clients reach your servers through foster",
  usage: "[CLIENT…] [OPTIONS]",
  details: `Clients: ${CLIENT_IDS.join(" ")}.\n` +
    "Without names: those found on this machine. Writes foster connect into their settings, with whole paths, for\n" +
    "every server of the definition file, or for --server; everything else in the files stays as it is, and\n" +
    "foster detach gives back what was there. Entries of other servers under the same names are left alone.\n" +
    "Each new server is started once, so that no client waits for its first start; exit code 1 when one does not.",
  options: [
    { name: "server", kind: "texts", value: "NAME", summary: "this server, may be given again" },
    {
      name: "via",
      kind: "text",
      value: "HOW",
      values: ["stdio", "http"],
      summary: "stdio (foster connect) or http (where foster is a service)",
    },
    {
      name: "scope",
      kind: "text",
      value: "S",
      values: ["user", "project"],
      summary: "the user's settings, or this project's",
    },
    { name: "import", kind: "flag", summary: "take over what the clients start themselves first" },
    { name: "repair", kind: "flag", summary: "renew entries of an earlier attach, nothing else" },
    { name: "dry-run", kind: "flag", summary: "show what would change, and change nothing" },
    { name: "yes", kind: "flag", alias: "y", summary: "do not ask" },
  ],
  examples: [
    ["attach --dry-run", "shows what would change in the clients found here"],
    ["attach --import --yes", "every client's servers go through foster from now on"],
  ],
  async run(context, args) {
    const { host, output } = context;
    const places = await placesOf(host, context.callerFolder);
    if (places === null) throw new UsageError("nothing says where your home is: HOME is not set");
    if (args.flag("repair")) return await repair(context, args, places);
    const clients = args.names.length > 0
      ? [...new Set(args.names)].map(namedClient)
      : await clientsHere(places);
    if (clients.length === 0) {
      throw new UsageError("no MCP client that foster knows was found", `name one: ${CLIENT_IDS.join(" ")}`);
    }
    const imported = args.flag("import") ? await planImportInto(context, { args, places, clients }) : null;
    const servers = await wantedServers(context, { args, imported });
    const works = await wantedWorks(context, { args, places, clients, servers, imported });
    const isDry = args.flag("dry-run");
    const planned: FileResult[] = [];
    for (const work of works) planned.push(await planFile(host, work));
    const winners = await winnersOver(context, { places, works, planned });
    if (!output.json) {
      showPlan(context, { planned, winners, imported, servers, without: without(clients, works) });
    }
    const isChange = planned.some(({ edits }) => edits.length > 0) ||
      (imported?.plan.imported.length ?? 0) > 0;
    if (isChange && args.text("via") !== "http") {
      await warnOfPath(context, (await ownCommand(context)).command);
    }
    if (isDry && !output.json) showDiff(context, { planned, imported });
    if (isDry || !isChange) {
      return finish(context, { results: planned, winners, imported, written: false });
    }
    if (!args.flag("yes") && !await confirmed(context, "Change these files?")) {
      output.talk("nothing was changed");
      return EXIT.no;
    }
    if (imported !== null && imported.plan.imported.length > 0) {
      await writeDefinitionFile(host, imported.file, { text: imported.plan.text, before: imported.before });
    }
    await bringIn(context, servers.map(({ name }) => name));
    const results: FileResult[] = [];
    for (const work of works) results.push(await changed(context, work));
    const allStarted = await startNew(context, results);
    await noticeLost(context, results);
    const code = finish(context, { results, winners, imported, written: true });
    return code === EXIT.done && !allStarted ? EXIT.no : code;
  },
};

const AT_ONCE = 4;

/**
 * Each server that a client has newly is started once: a cold npx takes longer than most clients wait. Whether all of
 * them answered: the entry of one that did not stays.
 */
async function startNew(context: Context, results: readonly FileResult[]): Promise<boolean> {
  const { host, output } = context;
  const connect = await connectCommand(context);
  const started = new Map<string, { server: ServerDefinition; added: Record<string, string> }>();
  for (const { client, changes } of results) {
    for (const { kind, server, value } of changes) {
      const env = value[client.envKey ?? "env"];
      const own = started.get(server.key);
      if (kind === "same" || own !== undefined && Object.keys(own.added).length > 0) continue;
      // Of several entries the one that brings an environment along.
      started.set(server.key, { server, added: isObject(env) ? textsOf(env) : {} });
    }
  }
  const waiting = [...started.values()];
  const failed: string[] = [];
  const next = async () => {
    for (let each = waiting.shift(); each !== undefined; each = waiting.shift()) {
      const { server: { name }, added } = each;
      output.progress(`${name}: started once`);
      const args = connect.argsFor(each.server);
      const result = await startOnce(host, { command: connect.command, args, added });
      output.clearProgress();
      if (result.kind === "started") output.talk(`${name}: answers, ${result.tools} tools`);
      else {
        failed.push(name);
        output.talk(`${name}: did not start yet: ${printable(result.why)}`);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, next));
  for (const name of failed) output.talk(`foster up "${name}" tries again; its entry stays`);
  return failed.length === 0;
}

/** References of a client's own stay out: nobody expands them here. */
function textsOf(env: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      typeof value === "string" && !/[$%{]/.test(value) ? [[name, value]] : []
    ),
  );
}

/** Renews what an earlier attach wrote, wherever its servers are defined. */
async function repair(context: Context, args: Args, places: Places): Promise<ExitCode> {
  const { host, output, state } = context;
  const ids = args.names.map((name) => namedClient(name).id);
  const checks = (await checkAttached(context)).filter(({ client }) =>
    ids.length === 0 || ids.includes(client.id)
  );
  const due = checks.filter(({ kind }) => kind === "stale" || kind === "vanished");
  const others = checks.filter(({ kind }) => kind === "gone" || kind === "changed");
  const done = args.flag("dry-run")
    ? due.map((check) => ({ check, problem: null }))
    : await repairKept(host, due, { places, stateFolder: state.path, find: findIn(context) });
  const rows = [...done, ...others.map((check) => ({ check, problem: null }))].map(({ check, problem }) => ({
    client: check.client.id,
    file: check.kept.path,
    entry: check.entry.name,
    kind: check.kind,
    problem,
  }));
  if (output.json) output.document({ written: !args.flag("dry-run") && due.length > 0, entries: rows });
  else if (rows.length === 0) output.talk("every entry fits");
  else {
    const said = {
      stale: "renewed",
      vanished: "taken back",
      gone: "is gone",
      changed: "was changed: left alone",
      fits: "fits",
    };
    output.table([
      ["CLIENT", "FILE", "ENTRY", "WHAT"],
      ...rows.map(({ client, file, entry, kind, problem }) => [client, file, entry, problem ?? said[kind]]),
    ]);
  }
  return rows.some(({ problem }) => problem !== null) ? EXIT.usage : EXIT.done;
}

/** One file that can't be written keeps no other from being changed. */
async function changed({ host, state }: Context, work: FileWork): Promise<FileResult> {
  try {
    return await changeFile(host, work, state.path);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return {
      client: work.client,
      path: work.file.path,
      changes: [],
      left: [],
      edits: [],
      diff: () => [],
      problem: error.message,
    };
  }
}

interface ImportInto {
  file: string;
  /** The text of the definition file; null where there is no file. */
  before: SettingsText | null;
  plan: ImportPlan;
  servers: ServerDefinition[];
}

/** Into the definition file in scope, else into the user's own. */
async function planImportInto(
  context: Context,
  { args, places, clients }: { args: Args; places: Places; clients: readonly Client[] },
): Promise<ImportInto> {
  const { host, callerFolder, output } = context;
  const named = args.text("config");
  const own = userConfigFolder(host);
  let [file, project] = [join(own ?? callerFolder, "foster.jsonc"), own === null];
  if (named !== null) [file, project] = [resolve(callerFolder, named), true];
  else {
    const scope = await context.definitions();
    if (scope.file !== null && !scope.isMcpJson) [file, project] = [scope.file, scope.kind === "project"];
  }
  if (basename(file) === ".mcp.json") throw new UsageError(`${file} is written for other programs`);
  const gathered = await gatherSources(host, places, clients);
  for (const message of gathered.unreadable) output.talk(`passed over: ${message}`);
  const before = await readSettings(host, file);
  const plan = planImport(gathered.sources, { file, text: before?.text ?? null });
  const overrides = environmentOverrides((name) => host.env.get(name));
  const servers = readDefinitions({ file, text: plan.text, project }, overrides);
  return { file, before, plan, servers };
}

async function wantedServers(
  context: Context,
  { args, imported }: { args: Args; imported: ImportInto | null },
): Promise<ServerDefinition[]> {
  const names = args.texts("server");
  if (names.length > 0) {
    const own = (name: string) =>
      imported?.servers.find((each) => each.name === name) ?? findDefinition(context, name);
    return await Promise.all([...new Set(names)].map(own));
  }
  if (imported !== null) return imported.servers;
  const definitions = await context.definitions();
  const { file } = definitions;
  const inFile = ownOrConnected(definitions);
  if (inFile.length > 0) return inFile;
  throw new UsageError(
    file === null
      ? "which server? There is no definition file in scope"
      : `which server? ${file} defines no servers`,
    "--server NAME names one, a preset say; --import takes over what the clients have",
  );
}

interface WorkInput {
  args: Args;
  places: Places;
  clients: readonly Client[];
  servers: readonly ServerDefinition[];
  imported: ImportInto | null;
}

async function wantedWorks(context: Context, input: WorkInput): Promise<FileWork[]> {
  const { args, places, clients, servers, imported } = input;
  const scope = oneOf(args, "scope", ["user", "project"] as const) ?? "user";
  const via = oneOf(args, "via", ["stdio", "http"] as const);
  if (via === "http" && scope === "project") {
    throw new UsageError("no token is written into a project's file", "--via stdio needs none");
  }
  // A gateway that is always there needs no process for each client.
  const isHttp = via === "http" || via === null && scope === "user" && await hasService(context);
  const http = isHttp ? await gatewayOf(context) : null;
  if (via === "http" && http === null) {
    throw new UsageError("no gateway of foster is there", "foster serve --detach starts it");
  }
  const options = {
    scope,
    servers,
    connect: await connectCommand(context),
    http,
    imported: imported?.plan ?? null,
    placed: placedEntries((await listKept({ host: context.host, stateFolder: context.state.path })).kept),
  };
  const works: FileWork[] = [];
  for (const client of clients) works.push(...await worksFor(client, places, options));
  return works;
}

function oneOf<T extends string>(args: Args, option: string, values: readonly T[]): T | null {
  const text = args.text(option);
  if (text === null) return null;
  const found = values.find((value) => value === text);
  if (found === undefined) throw new UsageError(`--${option} is ${values.join(" or ")}, not ${text}`);
  return found;
}

/** For each planned file. */
type Winners = readonly (readonly WinningEntry[])[];

/** Entries that the clients prefer to the planned ones, without those that this attach replaces itself. */
async function winnersOver(
  { host }: Context,
  { places, works, planned }: { places: Places; works: readonly FileWork[]; planned: readonly FileResult[] },
): Promise<Winners> {
  const isReplaced = ({ name, path, at }: WinningEntry) =>
    works.some(({ file }, index) =>
      file.path === path && file.at.join("\0") === at.join("\0") &&
      planned[index]?.changes.some((change) => change.name === name)
    );
  const winners: WinningEntry[][] = [];
  for (const [index, { client, file }] of works.entries()) {
    const names = (planned[index]?.changes ?? []).map(({ name }) => name);
    const found = names.length === 0 ? [] : await winningEntries(host, { client, places, file, names });
    winners.push(found.filter((each) => !isReplaced(each)));
  }
  return winners;
}

const SIGNS = { add: "+", replace: "~", same: "=" } as const;
const WORDS = { add: "new", replace: "in place of what was there", same: "already there" } as const;

/** Clients that have no settings of the wanted scope. */
function without(clients: readonly Client[], works: readonly FileWork[]): Client[] {
  return clients.filter((client) => !works.some((work) => work.client === client));
}

/** A program that writes its settings from memory has taken the entries out by the time that the servers have answered. */
async function noticeLost(context: Context, results: FileResult[]): Promise<void> {
  if (!results.some(({ edits }) => edits.length > 0)) return;
  const gone = (await checkAttached(context)).filter(({ kind }) => kind === "gone");
  for (const [index, result] of results.entries()) {
    const { client, changes, path } = result;
    const real = await context.host.files.realPath(path) ?? path;
    const isLost = changes.some(({ name }) =>
      gone.some(({ kept, entry }) => kept.path === real && entry.name === name)
    );
    if (isLost) {
      results[index] = {
        ...result,
        problem: `${client.title} took the entries out again: quit it and repeat this`,
      };
    }
  }
}

function showDiff(
  { output }: Context,
  { planned, imported }: { planned: readonly FileResult[]; imported: ImportInto | null },
): void {
  if (imported !== null && imported.plan.imported.length > 0) {
    output.line(`+++ ${imported.file}`);
    const lines = imported.plan.shown.trimEnd().split("\n");
    for (const line of lines) output.line(line.startsWith("+") ? line : `+${line}`);
  }
  for (const { path, diff } of planned) {
    const lines = diff();
    if (lines.length > 0) { for (const line of [`--- ${path}`, `+++ ${path}`, ...lines]) output.line(line); }
  }
}

function showPlan(
  { output }: Context,
  { planned, winners, imported, servers, without }: {
    planned: readonly FileResult[];
    winners: Winners;
    imported: ImportInto | null;
    servers: readonly ServerDefinition[];
    without: readonly Client[];
  },
): void {
  if (imported !== null && imported.plan.imported.length > 0) {
    output.talk(`${imported.file}: ${imported.plan.imported.length} servers taken over`);
    for (const { name, from, notes } of imported.plan.imported) {
      output.talk(`  + ${name}: from ${from}`);
      for (const note of notes) output.talk(`      ${note}`);
    }
  }
  for (const { name, from, reason } of imported?.plan.leftOut ?? []) {
    if (!/^it is the same/.test(reason)) output.talk(`  ! ${name}: stays as it is in ${from}: ${reason}`);
  }
  for (const server of servers) {
    // What a project's file would have started is shown before anything uses it.
    const [tier] = server.launch;
    const args = server.args.flat().join(" ");
    output.talk(`${server.name}: ${[tier?.command ?? "", args].join(" ").trim()}`);
  }
  for (const [index, { client, path, changes, left, problem }] of planned.entries()) {
    output.talk(`${client.title}: ${path}${problem === null ? "" : `: left alone: ${problem}`}`);
    for (const { kind, name, server } of changes) {
      output.talk(
        `  ${SIGNS[kind]} ${name}${name === server.name ? "" : ` (${server.name})`}: ${WORDS[kind]}`,
      );
    }
    for (const { name, reason } of left) output.talk(`  ! ${name}: left alone: ${reason}`);
    const winning = winners[index] ?? [];
    for (const [what, entries] of Map.groupBy(winning, (each) => describeWinner(client, each))) {
      output.talk(`  ! ${entries.map(({ name }) => name).join(", ")}: ${what}`);
    }
    if (winning.length > 0) output.talk(`      ${winnerHint(client)}`);
  }
  for (const { title } of without) output.talk(`${title}: has no settings of this scope`);
}

function finish(
  { output }: Context,
  { results, winners, imported, written }: {
    results: readonly FileResult[];
    winners: Winners;
    imported: ImportInto | null;
    written: boolean;
  },
) {
  if (output.json) {
    output.document({
      written,
      definition_file: imported?.file ?? null,
      imported: imported?.plan.imported ?? [],
      left_out: imported?.plan.leftOut ?? [],
      clients: results.map(({ client, path, changes, left, problem, diff }, index) => ({
        client: client.id,
        file: path,
        entries: changes.map(({ kind, name, server, value }) => ({
          kind,
          name,
          server: server.name,
          value: shown(value),
        })),
        left,
        overruled: (winners[index] ?? []).map(({ name, path, isPending }) => ({
          name,
          by: path,
          pending: isPending,
        })),
        problem,
        ...(written ? {} : { diff: diff() }),
        takes_effect: client.takesEffect,
      })),
    });
  } else {
    const rows = results.map(({ client, path, changes, problem }, index) => [
      client.id,
      path,
      problem === null ? changes.map(({ name }) => name).join(", ") || "-" : "-",
      [...new Set(changes.map(({ value }) => isConnect(value) ? "foster connect" : "http"))].join(", ") ||
      "-",
      problem ??
        (changes.some(({ kind }) => kind !== "same") ? written ? "changed" : "would change" : "as it was") +
          overruled(winners[index] ?? []),
    ]);
    output.table([["CLIENT", "FILE", "SERVERS", "HOW", "RESULT"], ...rows]);
    const changed = new Map(
      results.filter(({ edits }) => written && edits.length > 0).map((
        { client },
      ) => [client.title, client.takesEffect]),
    );
    for (const [title, when] of changed) output.talk(`${title} sees it ${when}`);
    if (!written) output.talk("nothing was written");
  }
  return results.some(({ problem }) => problem !== null) ? EXIT.usage : EXIT.done;
}

function overruled(winners: readonly WinningEntry[]): string {
  const files = [...new Set(winners.map(({ path }) => path))];
  return files.length === 0
    ? ""
    : `; here ${files.join(", ")} wins for ${winners.map(({ name }) => name).join(", ")}`;
}

function isConnect(value: Readonly<Record<string, unknown>>): boolean {
  return "command" in value || "cmd" in value;
}

/** Without the token, and without the values of variables. */
function shown(value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, isObject(each) ? masked(each) : each]),
  );
}

function masked(value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, isObject(each) ? masked(each) : "…"]),
  );
}
