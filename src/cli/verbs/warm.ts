import { DEFAULT_WARM_TIMEOUT_MS, warm as warmLaunch, WarmError } from "../../cache/warm.ts";
import { resolveCommand } from "../../lifecycle/start/command.ts";
import { valueHider } from "../../lifecycle/start/hide_values.ts";
import { resolvePorts } from "../../lifecycle/observe/ports.ts";
import type { World } from "../../lifecycle/world.ts";
import { type ServerDefinition, withOverrides } from "../../definitions/definition.ts";
import { EXIT, type ExitCode } from "../exit_codes.ts";
import { describeFailure } from "../problems.ts";
import type { Output } from "../output.ts";
import { wantedServers } from "../targets.ts";
import type { Context, Verb } from "../verb.ts";
import { worldOf } from "../worlds.ts";

export const warm: Verb = {
  name: "warm",
  summary: "fetch what a start will need (uvx, npx and the like) without starting it",
  usage: "[NAME…] [--all] [--timeout D]",
  details:
    "Without a name: every server of the definition file. A server whose command fetches nothing is content.",
  options: [
    { name: "all", kind: "flag", summary: "every server of the definition file" },
    { name: "timeout", kind: "duration", value: "D", summary: "for each server (10m)" },
  ],
  examples: [
    ["warm godot-ai", "fills uv's cache, so that the first up is quick"],
    ["warm --all --json", "the same for a whole definition file, for programs"],
  ],
  async run(context, args) {
    const wanted = await wantedServers(context, args);
    const timeoutMs = args.duration("timeout") ?? DEFAULT_WARM_TIMEOUT_MS;
    const rows: WarmRow[] = [];
    let code: ExitCode = EXIT.done;
    // One after the other: the tools wait for one another's caches anyway.
    for (const { name, find } of wanted) {
      const warmed = await warmOrSay(
        context,
        { name, isOne: wanted.length === 1 },
        async () => await warmOne(context, await find(), timeoutMs),
      );
      if (code === EXIT.done) code = warmed.code;
      rows.push(warmed.row);
      if (!context.output.json) print(context.output, warmed.row);
    }
    if (context.output.json) context.output.document({ servers: rows });
    return code;
  },
};

interface WarmRow {
  name: string;
  key: string;
  ok: boolean;
  /** False where there was nothing to fetch. */
  fetched: boolean;
  what: string;
  elapsed_ms: number;
  message: string;
  hint: string;
}

interface WarmResult {
  row: WarmRow;
  code: ExitCode;
}

/** What keeps one of several servers from being warmed keeps none of the others. */
async function warmOrSay(
  context: Context,
  { name, isOne }: { name: string; isOne: boolean },
  warmServer: () => Promise<WarmResult>,
): Promise<WarmResult> {
  try {
    return await warmServer();
  } catch (error) {
    const { message, hint, exitCode: code } = describeFailure(error, false);
    if (isOne || context.signal.aborted || code === EXIT.bug) throw error;
    const row = { name, key: name, ok: false, fetched: false, what: "", elapsed_ms: 0, message, hint };
    return { row, code };
  }
}

async function warmOne(
  context: Context,
  written: ServerDefinition,
  timeoutMs: number,
): Promise<WarmResult> {
  const { host, output, signal } = context;
  const { name, key } = written;
  const row: WarmRow = {
    name,
    key,
    ok: false,
    fetched: false,
    what: "",
    elapsed_ms: 0,
    message: "",
    hint: "",
  };
  output.progress(`${name}: fetching`);
  const startedAt = host.clock.monotonic();
  let hidden = (text: string) => text;
  try {
    const launch = await launchOf(worldOf(context), written);
    if ("hint" in launch) return { row: { ...row, ...launch }, code: EXIT.no_command };
    hidden = valueHider(host, launch);
    const { fetched, what, message } = await warmLaunch(host, {
      server: name,
      launch,
      cwd: launch.cwd,
      env: launch.env,
      timeoutMs,
      log: (line) => output.detail(hidden(line)),
      signal,
    });
    const elapsed_ms = Math.round(host.clock.monotonic() - startedAt);
    const said = { what: hidden(what), message: hidden(message) };
    return { row: { ...row, ok: true, fetched, ...said, elapsed_ms }, code: EXIT.done };
  } catch (error) {
    if (!(error instanceof WarmError)) throw error;
    const elapsed_ms = Math.round(host.clock.monotonic() - startedAt);
    const said = { message: hidden(error.message), hint: hidden(error.hint) };
    return { row: { ...row, elapsed_ms, ...said }, code: codeOf(error) };
  }
}

/** As a start would find it, in the folder that it would run in. */
async function launchOf(world: World, written: ServerDefinition) {
  const folder = world.state.server(written.key);
  await folder.prepare();
  const definition = withOverrides(written, await folder.overrides());
  const ports = definition.transport === "stdio" ? null : await resolvePorts(world, definition);
  return await resolveCommand(world, folder, { definition, ports, ownerPid: null });
}

function codeOf({ code }: WarmError): ExitCode {
  switch (code) {
    case "no_command":
      return EXIT.no_command;
    case "timeout":
      return EXIT.not_ready;
    case "failed":
      return EXIT.no;
  }
}

function print(output: Output, { name, ok, message, hint, fetched, elapsed_ms }: WarmRow): void {
  if (ok) {
    const time = fetched ? ` in ${elapsed_ms} ms` : "";
    output.line(`${output.paint("✓", "good")} ${name}  ${message}${time}`);
    return;
  }
  output.line(`${output.paint("✗", "bad")} ${name}  ${output.paint("not fetched", "bad")}`);
  output.problem(message);
  if (hint !== "") output.problem(`  ${hint}`);
}
