import type { ServerDefinition } from "../../definitions/definition.ts";
import { environmentNamesOf, variablesOf } from "../../definitions/variables.ts";
import { DefinitionError } from "../../definitions/definition_error.ts";
import { withinReach } from "../../host/host.ts";
import type { ServiceKind } from "../../export/service.ts";
import type { ContainerServer } from "../../export/container.ts";
import { type Args, UsageError } from "../args.ts";
import { ownCommand, warnOfPath } from "../attached.ts";
import { bringIn } from "../brought_in.ts";
import { EXIT, type ExitCode } from "../exit_codes.ts";
import { definitionsInScope, findDefinition } from "../targets.ts";
import type { Context, Verb } from "../verb.ts";

const KINDS = ["kubernetes", "compose", "systemd", "launchd", "task"] as const;
type Kind = typeof KINDS[number];

export const exportServers: Verb = {
  name: "export",
  summary: "print what runs the same definitions in containers, or with the user's session",
  usage: `${KINDS.join("|")} [NAME…] [OPTIONS]`,
  details:
    "kubernetes and compose: a container for each server, or with --together one for all, from the image that the\n" +
    "Dockerfile of foster's repository makes. Values of env and headers become names of secrets, and are never written.\n" +
    "What only this machine has (paths, programs) is refused, naming it.\n" +
    "systemd, launchd and task (Windows): foster serve with the user's session; --install puts it there.",
  options: [
    { name: "together", kind: "flag", summary: "containers: one for all servers, in place of one for each" },
    { name: "image", kind: "text", value: "REF", summary: "containers: the image" },
    {
      name: "allow-paths",
      kind: "flag",
      summary: "containers: leave paths of this machine, to be mounted by you",
    },
    { name: "install", kind: "flag", summary: "services: write it where the session looks for it" },
    { name: "uninstall", kind: "flag", summary: "services: take that back" },
  ],
  examples: [
    ["export kubernetes demo", "a Deployment and a Service for the demo"],
    ["export compose --together", "one container for every server of the file"],
    ["export systemd", "the unit, on stdout"],
    ["export systemd --install", "foster serve starts with your session from now on"],
  ],
  async run(context, args) {
    const [given, ...names] = args.names;
    const kind = KINDS.find((each) => each === given);
    if (kind === undefined) {
      const what = given === undefined ? "export for what?" : `export ${given}: there is no such system here`;
      throw new UsageError(what, `one of ${KINDS.join(", ")}`);
    }
    switch (kind) {
      case "kubernetes":
      case "compose":
        return await exportContainers(context, args, { kind, names });
      case "systemd":
      case "launchd":
      case "task":
        return await exportService(context, args, { kind, names });
    }
  },
};

/** Those named, else all of the definition file. @throws UsageError */
async function wanted(context: Context, args: Args, names: readonly string[]): Promise<ServerDefinition[]> {
  if (names.length === 0) return await definitionsInScope(context, args);
  const found: ServerDefinition[] = [];
  for (const name of new Set(names)) found.push(await findDefinition(context, name));
  return found;
}

// ------------------------------------------------------------------------------------------------------- containers

async function exportContainers(
  context: Context,
  args: Args,
  { kind, names }: { kind: Extract<Kind, "kubernetes" | "compose">; names: readonly string[] },
): Promise<ExitCode> {
  refuseOptions(args, ["install", "uninstall"], kind);
  const { output } = context;
  const workloadsOf = await import("../../export/workload.ts");
  const together = args.flag("together");
  const servers: ContainerServer[] = [];
  const shared = new Map<string, string>();
  for (const definition of await wanted(context, args, names)) {
    const taken = together ? shared : new Map<string, string>();
    servers.push(await containerServer(context, definition, { taken, allowPaths: args.flag("allow-paths") }));
  }
  const unfit = servers.filter((each) => each.unfit.length > 0);
  if (unfit.length > 0) {
    const reasons = unfit.flatMap(({ name, unfit }) => unfit.map((reason) => `"${name}": ${reason}`));
    const fit = servers.filter((each) => each.unfit.length === 0).map(({ name }) => `"${name}"`);
    throw new UsageError(
      `not everything can go into a container:\n${reasons.join("\n")}`,
      fit.length === 0
        ? "--allow-paths leaves paths as they are, for you to mount"
        : `foster export ${kind} ${fit.join(" ")} leaves it out`,
    );
  }
  const image = args.text("image") ?? workloadsOf.DEFAULT_IMAGE;
  let workloads;
  try {
    workloads = workloadsOf.workloads(servers, { together });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UsageError(error.message, "rename one, export them one by one, or use --together");
  }
  const warnings = workloadsOf.warningsOf(servers);
  for (const warning of warnings) output.talk(warning);
  if (together && servers.filter(({ variables }) => variables.length > 0).length > 1) {
    output.talk(
      "in one container every server sees the variables of all: without --together each has its own",
    );
  }
  const secrets = workloads.flatMap(workloadsOf.variablesOf)
    .map(({ name, server, what, isOptional }) => ({ name, server, what, optional: isOptional }));
  if (kind === "kubernetes") {
    const { kubernetesManifests, kubernetesText } = await import("../../export/kubernetes.ts");
    const manifests = kubernetesManifests(workloads, { image });
    if (output.json) output.document({ kind, manifests, secrets, warnings });
    else output.raw(kubernetesText(workloads, manifests));
  } else {
    const { composeFile, composeText } = await import("../../export/compose.ts");
    const file = composeFile(workloads, { image });
    if (output.json) output.document({ kind, file, secrets, warnings });
    else output.raw(composeText(workloads, file));
  }
  return EXIT.done;
}

async function containerServer(
  { host, state }: Context,
  definition: ServerDefinition,
  { taken, allowPaths }: { taken: Map<string, string>; allowPaths: boolean },
): Promise<ContainerServer> {
  const { forContainer, pathsToObserve } = await import("../../export/container.ts");
  const present = new Set<string>();
  for (const path of pathsToObserve(definition)) {
    // A path that foster may not look at counts as there.
    if (await withinReach(host.files.stat(path), "hidden") !== null) present.add(path);
  }
  const facts = {
    exists: (path: string) => present.has(path),
    envFileNames: await envFileNames({ host, state }, definition),
  };
  return forContainer(definition, { facts, taken, allowPaths });
}

/** Null where the file can't be read. */
async function envFileNames(
  { host, state }: Pick<Context, "host" | "state">,
  definition: ServerDefinition,
): Promise<readonly string[] | null> {
  if (definition.envFile === null) return [];
  const { readEnvFile } = await import("../../definitions/launch/values.ts");
  const vars = variablesOf(definition, {
    port: null,
    wsPort: null,
    pidFile: "",
    sessionFile: null,
    sessionId: null,
    stateDir: state.path,
    ownerPid: null,
    token: "",
    env: (name) => host.env.get(name),
  });
  try {
    return Object.keys(await readEnvFile(host, definition, vars));
  } catch (error) {
    if (!(error instanceof DefinitionError)) throw error;
    return null;
  }
}

// --------------------------------------------------------------------------------------------------------- services

async function exportService(
  context: Context,
  args: Args,
  { kind, names }: { kind: ServiceKind; names: readonly string[] },
): Promise<ExitCode> {
  refuseOptions(args, ["together", "image", "allow-paths"], kind);
  if (args.flag("install") && args.flag("uninstall")) throw new UsageError("either --install or --uninstall");
  const { servicePlace, systemOf } = await import("../../export/install.ts");
  const { host, output } = context;
  const changes = args.flag("install") || args.flag("uninstall");
  if (changes && host.system !== systemOf(kind)) {
    throw new UsageError(`${kind} is not of this system`, `without --install the text is printed`);
  }
  const place = servicePlace(host, kind);
  if (changes && place === null) throw new UsageError("nothing says where your home is: HOME is not set");
  if (args.flag("uninstall") && place !== null) return await uninstall(context, place);
  const { serviceText } = await import("../../export/service.ts");
  const definitions = await context.definitions();
  const servers = names.length > 0
    ? await Promise.all([...new Set(names)].map((name) => findDefinition(context, name)))
    : definitions.inFile;
  const variables = [...new Set(servers.flatMap(environmentNamesOf))].sort();
  const command = await serveCommand(context, { names, file: definitions.file });
  const text = serviceText(kind, { command, variables });
  await warnOfPath(context, command[0] ?? "");
  if (variables.length > 0) {
    const where = kind === "systemd"
      ? "write them into ~/.config/foster/environment"
      : "give them in an envFile";
    output.talk(`a service does not have your shell's variables: ${variables.join(", ")}; ${where}`);
  }
  if (!args.flag("install") || place === null) {
    if (output.json) {
      output.document({ kind, file: place?.file ?? null, text, variables, ...commandsOf(place) });
    } else output.raw(text);
    return EXIT.done;
  }
  const code = await install(context, { kind, place, text, variables });
  await bringIn(context, names);
  return code;
}

type Place = NonNullable<ReturnType<typeof import("../../export/install.ts").servicePlace>>;

function commandsOf(place: Place | null) {
  return { enable: place?.enable ?? [], disable: place?.disable ?? [] };
}

async function serveCommand(
  context: Context,
  { names, file }: { names: readonly string[]; file: string | null },
): Promise<string[]> {
  const { command, before, after } = await ownCommand(context);
  return [command, ...before, "serve", ...names, ...file === null ? [] : ["--config", file], ...after];
}

async function install(
  { host, output }: Context,
  { kind, place, text, variables }: {
    kind: ServiceKind;
    place: Place;
    text: string;
    variables: readonly string[];
  },
): Promise<ExitCode> {
  const { runManager, writeService } = await import("../../export/install.ts");
  const { file, enable } = place;
  const result = await writeService(host, file, text);
  if (result.kind === "not_ours") throw new UsageError(result.why, "it is left as it is: move it away first");
  const problem = await runManager(host, enable);
  if (output.json) {
    output.document({
      kind,
      file,
      written: result.kind === "written",
      enabled: problem === null,
      variables,
      ...commandsOf(place),
    });
    return EXIT.done;
  }
  output.line(`${result.kind === "written" ? "wrote" : "unchanged:"} ${file}`);
  if (problem === null) output.line("foster serve runs, and starts with your session");
  else {
    output.talk(`it is not enabled yet (${problem}); type:`);
    for (const command of enable) output.line(`  ${shellLine(command)}`);
  }
  output.talk(`foster export ${kind} --uninstall takes it back`);
  return EXIT.done;
}

async function uninstall({ host, output }: Context, place: Place): Promise<ExitCode> {
  const { presentService, runManager } = await import("../../export/install.ts");
  const { file, disable } = place;
  const present = await presentService(host, file);
  if (present.kind === "edited" || present.kind === "foreign") {
    throw new UsageError(present.why, "it is left as it is: remove it yourself");
  }
  const problem = present.kind === "none" ? null : await runManager(host, disable);
  const removed = await host.files.remove(file);
  if (output.json) {
    output.document({ file, removed, disabled: problem === null, disable });
    return EXIT.done;
  }
  output.line(removed ? `removed ${file}` : `${file} is not there`);
  if (problem !== null) {
    output.talk(`the session may still know it (${problem}); type:`);
    for (const command of disable) output.line(`  ${shellLine(command)}`);
  }
  return EXIT.done;
}

function shellLine(words: readonly string[]): string {
  return words.map((word) => /^[\w@%+=:,./~\\-]+$/.test(word) ? word : JSON.stringify(word)).join(" ");
}

function refuseOptions(args: Args, names: readonly string[], kind: Kind): void {
  const given = names.find((name) => args.flag(name) || args.text(name) !== null);
  if (given !== undefined) throw new UsageError(`--${given} is not for export ${kind}`);
}
