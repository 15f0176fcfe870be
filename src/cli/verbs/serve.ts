import { resolve } from "node:path";
import { rowDocument, rowOfRecord, type ServerRow } from "../../lifecycle/row.ts";
import { listAll, type ListedRow } from "../../lifecycle/observe/list.ts";
import type { World } from "../../lifecycle/world.ts";
import type { ServerDefinition } from "../../definitions/definition.ts";
import { type Resident, startResident, USUAL_GATEWAY } from "../../gateway/resident.ts";
import { recordIn } from "../../registry/store.ts";
import { statePaths } from "../../registry/paths.ts";
import {
  type GatewaySettings,
  readEnrolled,
  readSupervisorFile,
  type SupervisorFile,
} from "../../registry/supervisor_files.ts";
import type { SupervisedServer } from "../../supervisor/enrolment.ts";
import { ControlError, findSupervisor } from "../../supervisor/control_client.ts";
import { enrolledServer } from "../../supervisor/enrol.ts";
import {
  endSupervisor,
  ensureSupervisor,
  environmentOptions,
  type Environments,
  handOn,
  ownEnvironment,
  replaceSupervisor,
} from "../../supervisor/ensure.ts";
import { type Args, UsageError } from "../args.ts";
import { bringIn } from "../brought_in.ts";
import { readEnrolments } from "../enrolments.ts";
import { EXIT, type ExitCode } from "../exit_codes.ts";
import { type Failure, failureDocument } from "../problems.ts";
import { portOf } from "../port.ts";
import { RunOutput } from "../run_output.ts";
import { stdioRow } from "../stdio_servers.ts";
import { wantedDefinitions } from "../targets.ts";
import type { Context, Verb } from "../verb.ts";
import { worldOf } from "../worlds.ts";

const ADDRESS = /^(?:\d{1,3}(?:\.\d{1,3}){3}|[\da-fA-F]*:[\da-fA-F:.]*(?:%\w+)?)$/;
const TOKEN_LIMIT_BYTES = 1024;
const LOOPBACK = /^(?:127\.\d+\.\d+\.\d+|::1)$/;

const STOP_SUMMARY =
  "end the supervisor, servers that speak stdio and those that requests started; others stay";

export const serve: Verb = {
  name: "serve",
  summary: "be the supervisor and gateway: every server behind one address",
  usage: "[NAME…] [OPTIONS]",
  details:
    "Without a name: every server of the definition file. Where a supervisor runs already, the servers are enrolled\n" +
    "there. The address is the same every time; its token stands in gateway.token in the state folder.",
  options: [
    { name: "port", kind: "text", value: "N|auto", summary: "listen there from now on; auto chooses anew" },
    { name: "detach", kind: "flag", summary: "leave it running, and print where it is" },
    { name: "stop", kind: "flag", summary: STOP_SUMMARY },
    { name: "replace", kind: "flag", summary: "put this foster in the place of the one that runs" },
    {
      name: "no-token",
      kind: "flag",
      summary: "let every program of this machine in: for one-user machines",
    },
    { name: "listen", kind: "text", value: "ADDR", summary: "listen on this address instead of 127.0.0.1" },
    { name: "host", kind: "texts", value: "NAME", summary: "also answer to this Host name" },
    {
      name: "token-file",
      kind: "text",
      value: "FILE",
      summary: "the token is what stands there, a mounted secret say",
    },
  ],
  examples: [
    ["serve", "in the foreground, until Ctrl-C"],
    ["serve --detach --json", "in the background, with its address as JSON"],
  ],
  async run(context, args) {
    const world = worldOf(context);
    await world.state.check();
    if (args.flag("stop")) return await stop(context, world);
    const settings = settingsOf(args);
    const token = await givenToken(context, args);
    const definitions = await served(context, args);
    await bringIn(context, args.names);
    const servers = await Promise.all(
      definitions.map((definition) =>
        enrolledServer(world, definition, { startedBy: "connect", idleMs: null, timeoutMs: null })
      ),
    );
    const request = {
      settings,
      servers: servers.map((each): SupervisedServer => ({ ...each, by: "serve" })),
    };
    const isAny = args.flag("replace") || await lacksItsPort(world, settings);
    const environments = await replaceSupervisor(world, { isAny });
    const found = await findSupervisor(world.host, world.state.path);
    if (found.kind === "silent") {
      throw new ControlError(`the supervisor (pid ${found.record.pid}) does not answer: ${found.why}`);
    }
    if (found.kind === "live") {
      await refuseOther(world, { settings, present: found.record });
      if (token !== null && token !== await world.state.gatewayToken()) {
        throw new UsageError(
          `the supervisor (pid ${found.record.pid}) runs with another token`,
          "foster serve --replace, with the same options, puts another in its place; its servers stay",
        );
      }
      await found.control.serve(request.servers, ownEnvironment(world));
      return await show(context, world, { record: found.record, servers: request.servers });
    }
    if (token !== null) await world.state.setGatewayToken(token);
    warnOfListen(context, settings);
    return args.flag("detach")
      ? await detach(context, world, { ...request, environments })
      : await foreground(context, world, { ...request, environments });
  },
};

export interface ServeSettings {
  port: number | "auto" | null;
  /** Null where the command line says nothing of it. */
  gateway: GatewaySettings | null;
}

interface ServeRequest {
  /** What an earlier supervisor kept of its servers. */
  environments: Environments;
  settings: ServeSettings;
  servers: SupervisedServer[];
}

/** @throws UsageError */
export function settingsOf(args: Args): ServeSettings {
  const port = portOf(args);
  const given = args.text("listen") ?? "127.0.0.1";
  const listen = given === "localhost" ? "127.0.0.1" : given.replace(/^\[(.*)\]$/, "$1");
  if (!ADDRESS.test(listen)) {
    throw new UsageError(`--listen takes an address of this machine, not ${JSON.stringify(given)}`);
  }
  const token = !args.flag("no-token");
  if (!token && !LOOPBACK.test(listen)) {
    throw new UsageError(`--no-token is not for --listen ${listen}: other machines could use every server`);
  }
  const hosts = [...args.texts("host")];
  const isSaid = !token || args.text("listen") !== null || hosts.length > 0;
  return { port, gateway: isSaid ? { token, listen, hosts } : null };
}

/** What `--token-file` holds; null without it. @throws UsageError whose message holds nothing of it */
async function givenToken({ host, callerFolder }: Context, args: Args): Promise<string | null> {
  const given = args.text("token-file");
  if (given === null) return null;
  if (args.flag("no-token")) throw new UsageError("either --token-file or --no-token");
  if (args.text("port") === "auto") {
    throw new UsageError("--port auto makes a new token: not with --token-file");
  }
  const file = resolve(callerFolder, given);
  const bytes = await host.files.readSlice(file, 0, TOKEN_LIMIT_BYTES);
  if (bytes === null) throw new UsageError(`--token-file ${file}: there is no such file`);
  const token = new TextDecoder().decode(bytes).trim();
  if (!/^[0-9a-f]{32,128}$/.test(token)) {
    throw new UsageError(
      `--token-file ${file} does not hold 32 to 128 digits of 0-9 and a-f`,
      "openssl rand -hex 32 makes such a token",
    );
  }
  return token;
}

/** Said to whoever starts it: the token is all that stands between other machines and the servers. */
function warnOfListen({ output }: Context, { gateway }: ServeSettings): void {
  if (gateway === null || LOOPBACK.test(gateway.listen)) return;
  output.problem(
    `other machines can reach this gateway on ${gateway.listen}: whoever has its token can use every server, and ` +
      "nothing is encrypted",
  );
}

/** Those of the file, or those named; none at all where neither is there. */
async function served(context: Context, args: Args): Promise<ServerDefinition[]> {
  if (args.names.length > 0) return await wantedDefinitions(context, args);
  return (await context.definitions()).inFile;
}

/** Whether it is asked for another port because somebody else has the one that the gateway of this folder had. */
async function lacksItsPort({ host, state }: World, { port }: ServeSettings): Promise<boolean> {
  if (port !== "auto") return false;
  const [enrolled, present] = await Promise.all([
    readEnrolled(host, state.path),
    readSupervisorFile(host, state.path),
  ]);
  return enrolled.kind === "file" && present.kind === "file" &&
    enrolled.value.port !== Number(new URL(present.value.endpoint).port);
}

/** What runs is not changed under its clients. @throws UsageError */
async function refuseOther(
  { host, state }: World,
  { settings: { port, gateway }, present: { pid, endpoint } }: {
    settings: ServeSettings;
    present: SupervisorFile;
  },
): Promise<void> {
  const present = new URL(endpoint).port;
  const hint = "foster serve --replace, with the same options, puts another in its place; its servers stay";
  if (port !== null && String(port) !== present) {
    throw new UsageError(`the supervisor (pid ${pid}) listens on port ${present}`, hint);
  }
  const enrolled = await readEnrolled(host, state.path);
  const kept = (enrolled.kind === "file" ? enrolled.value.gateway : null) ?? USUAL_GATEWAY;
  if (gateway !== null && JSON.stringify(gateway) !== JSON.stringify(kept)) {
    throw new UsageError(
      `the supervisor (pid ${pid}) listens on ${kept.listen}${kept.token ? "" : " without a token"}` +
        (kept.hosts.length === 0 ? "" : `, as ${kept.hosts.join(", ")} too`),
      hint,
    );
  }
}

/** How it fails where no server is to blame. */
function failed({ output }: Context, failure: Failure): ExitCode {
  if (output.json) output.document(failureDocument(failure));
  output.problem(failure.message);
  if (failure.hint !== "") output.problem(`  ${failure.hint}`);
  return failure.exitCode;
}

function portHeld(message: string): Failure {
  const hint = "foster serve --port auto chooses another, for good";
  return { code: "foreign_port", message, hint, exitCode: EXIT.foreign_port };
}

async function stop(context: Context, world: World): Promise<ExitCode> {
  const found = await findSupervisor(world.host, world.state.path);
  switch (found.kind) {
    case "none":
      context.output.talk("No supervisor is running.");
      if (context.output.json) context.output.document({ stopped: null, ended: [], running: [] });
      return EXIT.done;
    case "silent":
      return failed(context, {
        code: "supervisor_silent",
        message: `the supervisor (pid ${found.record.pid}) does not answer: ${found.why}`,
        hint: `kill ${found.record.pid} ends it; its servers stay`,
        exitCode: EXIT.no,
      });
    case "live":
      return await stopLive(context, world, found.record.pid);
  }
}

/** Says which servers ended with it, and which run on. */
async function stopLive(context: Context, world: World, pid: number): Promise<ExitCode> {
  const { output } = context;
  const before = await running(context);
  if (!await endSupervisor(world, "stop")) {
    const message = `the supervisor (pid ${pid}) has not ended yet`;
    return failed(context, { code: "not_ended", message, hint: "", exitCode: EXIT.no });
  }
  const left = new Set((await running(context)).map(({ key }) => key));
  const namesOf = (rows: readonly ListedRow[]) => rows.map(({ name }) => name).join(", ");
  const ended = before.filter(({ key }) => !left.has(key));
  const stay = before.filter(({ key }) => left.has(key));
  const withIt = ended.length === 0 ? "" : `, and with it: ${namesOf(ended)}`;
  if (output.json) {
    const named = (rows: readonly ListedRow[]) => rows.map(({ name, key }) => ({ name, key }));
    output.document({ stopped: { pid }, ended: named(ended), running: named(stay) });
  }
  output.talk(`The supervisor (pid ${pid}) has ended${withIt}.`);
  if (stay.length > 0) output.talk(`Still running: ${namesOf(stay)}. foster down --all stops them.`);
  return EXIT.done;
}

/** Servers whose process is there. */
async function running(context: Context): Promise<ListedRow[]> {
  const listed = await listAll(context.host, {
    state: context.state,
    enrolments: await readEnrolments(context),
  });
  return listed.map(({ row }) => row).filter(({ process }) => process === "ours");
}

async function detach(
  context: Context,
  world: World,
  { settings, servers, environments }: ServeRequest,
): Promise<ExitCode> {
  const started = await ensureSupervisor(world, [...argsOf(settings), ...environmentOptions(environments)]);
  if (started.kind === "without") {
    const portTaken = /port (\d+) is held/.test(started.why);
    return portTaken ? failed(context, portHeld(started.why)) : failed(context, {
      code: "no_supervisor",
      message: started.why,
      hint: "",
      exitCode: EXIT.no,
    });
  }
  await handOn(started.control, environments);
  await started.control.serve(servers, ownEnvironment(world));
  const found = await findSupervisor(world.host, world.state.path);
  if (found.kind !== "live") throw new ControlError("the supervisor ended right after its start");
  return await show(context, world, { record: found.record, servers });
}

/** For the hidden verb that becomes the supervisor. */
function argsOf({ port, gateway }: ServeSettings): string[] {
  return [
    "--needs-port",
    ...(port === null ? [] : ["--port", String(port)]),
    ...(gateway === null ? [] : [
      ...(gateway.token ? [] : ["--no-token"]),
      "--listen",
      gateway.listen,
      ...gateway.hosts.flatMap((host) => ["--host", host]),
    ]),
  ];
}

async function foreground(
  context: Context,
  world: World,
  { settings, servers, environments }: ServeRequest,
): Promise<ExitCode> {
  const { output } = context;
  const lines = new RunOutput(output, servers.map(({ name }) => name));
  const started = await startResident({ ...world, signal: context.signal }, {
    ...settings,
    stay: true,
    needsPort: true,
    environmentsOf: Object.keys(environments),
    onNews: (server, news) => lines.news(server, news),
    onError: ({ name }, error) =>
      output.detail(`${name}: ${error instanceof Error ? error.stack : String(error)}`),
    say: (text) => output.talk(text),
  });
  switch (started.kind) {
    case "taken":
      return failed(context, {
        code: "guarded",
        message: `another supervisor was started in this moment (pid ${started.pid ?? "unknown"})`,
        hint: "",
        exitCode: EXIT.guarded,
      });
    case "port_taken":
      return failed(context, portHeld(`port ${started.port} is held by another program`));
    case "started":
      return await stayed(context, world, {
        resident: started.resident,
        servers,
        environments,
      });
  }
}

async function stayed(
  context: Context,
  world: World,
  { resident, servers, environments }: {
    resident: Resident;
    servers: SupervisedServer[];
    environments: Environments;
  },
): Promise<ExitCode> {
  try {
    await resident.restore();
    for (const [key, environment] of Object.entries(environments)) {
      resident.setEnvironment(key, environment);
    }
    await resident.serve(servers, ownEnvironment(world));
    await show(context, world, { record: resident.file, servers, goesOn: true });
    await resident.run();
    // Ended by who looks at it: no verb is to bring it back.
    if (context.signal.aborted) resident.quit("stop");
  } finally {
    await resident.close();
  }
  return EXIT.done;
}

async function show(
  context: Context,
  { state }: World,
  { record, servers, goesOn = false }: {
    record: SupervisorFile;
    servers: readonly SupervisedServer[];
    /** Lines of what happens follow. */
    goesOn?: boolean;
  },
): Promise<ExitCode> {
  const { output } = context;
  const token_file = statePaths(state.path).gatewayToken;
  const enrolments = await readEnrolments(context);
  const rows = await Promise.all(servers.map(async ({ name, key }): Promise<ServerRow> => {
    const known = recordIn(await state.server(key).read());
    const row = known === null ? await stdioRow(context, { name, key, enrolments }) : rowOfRecord(known);
    return { ...row, endpoint: `${record.endpoint}/mcp/${key}` };
  }));
  const { pid, endpoint, version } = record;
  const answer = { supervisor: { pid, endpoint, token_file, version }, servers: rows.map(rowDocument) };
  if (output.json) {
    if (goesOn) output.event({ type: "serving", ...answer });
    else output.document(answer);
    return EXIT.done;
  }
  output.line(
    `foster ${version} serves ${endpoint}  pid ${pid}`,
  );
  const enrolled = await readEnrolled(context.host, state.path);
  const { token } = (enrolled.kind === "file" ? enrolled.value.gateway : null) ?? USUAL_GATEWAY;
  output.line(
    token
      ? `  token: ${token_file}`
      : "  no token is asked for: whoever has an account on this machine can use these servers; for machines of one user",
  );
  for (const { name, endpoint: address } of rows) output.line(`  ${name}  ${address}`);
  return EXIT.done;
}
